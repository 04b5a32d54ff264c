"""The views and the sequence that the panel follows while it is open."""

from __future__ import annotations

from collections.abc import Callable

import slicer
import vtk
from slicer.util import VTKObservationMixin

from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.time_series import sequence_of

_MODIFIED = vtk.vtkCommand.ModifiedEvent


class Watching(VTKObservationMixin):
    """Tells of moved views, of other images in them, and of another time point in view.

    Args:
        on_view: called when a slice view was moved.
        on_layers: called when a slice view shows other volumes.
        on_time_point: called when the browser of the watched volume's sequence changed.
    """

    def __init__(
        self, on_view: Callable[[], None], on_layers: Callable[[], None], on_time_point: Callable[[], None]
    ) -> None:
        super().__init__()
        self._on_view, self._on_layers, self._on_time_point = on_view, on_layers, on_time_point
        self._browser: slicer.vtkMRMLSequenceBrowserNode | None = None

    def watch_views(self) -> None:
        """Follow all slice views of the scene; again, once there are others."""
        for kind, action in (
            ("vtkMRMLSliceNode", self._view_modified),
            ("vtkMRMLSliceCompositeNode", self._layers_modified),
        ):
            for node in nodes_of_class(slicer.mrmlScene, kind):
                if not self.hasObserver(node, _MODIFIED, action):
                    self.addObserver(node, _MODIFIED, action)

    def watch_sequence_of(self, volume: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Follow the sequence whose time points this volume shows, if it shows one."""
        sequence = sequence_of(slicer.mrmlScene, volume)
        browser = sequence.browser if sequence is not None else None
        if browser is not self._browser:
            self.ignore_sequence()
            self._browser = browser
            if browser is not None:
                self.addObserver(browser, _MODIFIED, self._browser_modified)

    def ignore_views(self) -> None:
        """Follow no view any more."""
        self.removeObservers(self._view_modified)
        self.removeObservers(self._layers_modified)

    def ignore_sequence(self) -> None:
        """Follow no sequence any more."""
        if self._browser is not None:
            self.removeObserver(self._browser, _MODIFIED, self._browser_modified)
            self._browser = None

    def _view_modified(self, caller: object, event: object) -> None:
        self._on_view()

    def _layers_modified(self, caller: object, event: object) -> None:
        self._on_layers()

    def _browser_modified(self, caller: object, event: object) -> None:
        self._on_time_point()
