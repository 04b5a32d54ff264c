"""The slice views: what they show, where they cut, and how they follow each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import slicer
from trame_slicer.core import SlicerApp
from trame_slicer.views import SliceView, ViewLayoutDefinition

from CTQualityAssessmentLib.mrml.difference import half_width, set_half_width
from CTQualityAssessmentLib.mrml.linked_views import LinkedViews, SteadyView
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.viewer.frames import SliceViewFactory
from CTQualityAssessmentLib.viewer.places import LAYOUTS, OWN, PLACES, PRESETS
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.windows import WINDOWS

#: Orientation by the patient axis (R, A, S) that it looks along, with what lies left, right, above and below.
_ORIENTATIONS: tuple[tuple[str, str], ...] = (("Sagittal", "APSI"), ("Coronal", "RLSI"), ("Axial", "RLAP"))


@dataclass(frozen=True)
class Pane:
    """What is written on one view: its orientation, and the patient's sides left, right, above, below."""

    place: str
    orientation: str
    sides: str


class SliceViews:
    """The views of one page.

    Args:
        app: scene and logics.
        factory: makes the streamed views.
        on_change: called when the large view moved to another slice or a window changed.
    """

    def __init__(self, app: SlicerApp, factory: SliceViewFactory, on_change: Callable[[], None]) -> None:
        self._app = app
        app.view_manager.register_factory(factory)
        self._views: dict[str, SliceView] = {
            place: app.view_manager.create_view(ViewLayoutDefinition.slice_view("Axial", label=place))
            for place in PLACES
        }
        app.app_logic.GetInteractionNode().SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.AdjustWindowLevel)
        self._factory, self._on_change = factory, on_change
        self._volume: Volume | None = None
        self._node: slicer.vtkMRMLScalarVolumeNode | None = None
        self._second: slicer.vtkMRMLScalarVolumeNode | None = None
        self._difference: slicer.vtkMRMLScalarVolumeNode | None = None
        self._alternative: slicer.vtkMRMLScalarVolumeNode | None = None
        self._adjusting = False
        self._steady = {place: SteadyView(view.get_view_node()) for place, view in self._views.items()}
        for place, steady in self._steady.items():
            # Of a lower priority than the view's own observer, which fits the node to the window.
            interactor = self._views[place].interactor()
            interactor.AddObserver("WindowResizeEvent", lambda *_, steady=steady: self._resized(steady), -1.0)
        self._links = LinkedViews([self._views[place].get_view_node() for place in LAYOUTS["compare"]])
        self.set_layout("three", "large")
        self.set_crosshair(True)
        self._large.get_view_node().AddObserver("ModifiedEvent", self._changed)

    @property
    def _large(self) -> SliceView:
        return self._views["large"]

    def show(self, volume: Volume, node: slicer.vtkMRMLScalarVolumeNode) -> tuple[Pane, ...]:
        """Show a volume in its own planes, all views through its middle; returns what to write on them."""
        self._factory.open()
        self.compare(None, None)
        self._volume, self._node, self._alternative = volume, node, None
        node.GetDisplayNode().AddObserver("ModifiedEvent", self._window_changed)
        normal = volume.canonical_slices().ijk_to_ras[:3, 2]
        along = int(np.argmax(np.abs(normal)))
        order = [along, *(axis for axis in (1, 0, 2) if axis != along)]
        panes = []
        for place, axis in zip(OWN, order, strict=True):
            view = self._views[place]
            orientation, sides = _ORIENTATIONS[axis]
            view.set_background_volume_id(node.GetID())
            view.set_foreground_volume_id(None)
            view.set_orientation(orientation)
            view.get_view_node().RotateToVolumePlane(node)
            panes.append(Pane(place, orientation, sides))
        panes += [Pane(place, panes[0].orientation, panes[0].sides) for place in PLACES[len(OWN) :]]
        self.reset()
        return tuple(panes)

    def compare(
        self, second: slicer.vtkMRMLScalarVolumeNode | None, difference: slicer.vtkMRMLScalarVolumeNode | None
    ) -> None:
        """Show a second volume and the difference beside the first, in its window and place; None ends that."""
        self._second, self._difference = second, difference
        for place, node in (("second", second), ("difference", difference)):
            self._views[place].set_background_volume_id(node.GetID() if node is not None else None)
            if node is not None:
                node.GetDisplayNode().AddObserver("ModifiedEvent", self._window_changed)
        if second is not None:
            self._follow_window(self._node.GetDisplayNode())
        self._links.align()

    def set_alternative(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """A volume on the grid of the first that can be shown in its place, in its window; None for no such."""
        if node is self._alternative:
            return
        self._alternative = node
        if node is not None:
            node.GetDisplayNode().AddObserver("ModifiedEvent", self._window_changed)
            self._follow_window(self._node.GetDisplayNode())

    def show_alternative(self, shown: bool) -> None:
        """Show it in place of the volume, or the volume again; nothing moves."""
        node = self._alternative if shown else self._node
        for place in OWN:
            self._views[place].set_background_volume_id(node.GetID() if node is not None else None)

    def set_layout(self, layout: str, alone: str) -> None:
        """Draw the views of a layout only; of "one" the view ``alone``."""
        shown = (alone,) if layout == "one" else LAYOUTS[layout]
        self._main = self._views[shown[0]]
        self._app.view_manager.set_current_view_ids(list(shown))
        self._links.active = layout == "compare"

    def reset(self) -> None:
        """The whole volume in every view, cut through its middle."""
        if self._volume is None:
            return
        middle = self._volume.slice_centre_ras(self._volume.slice_count // 2)
        for place in OWN:
            view = self._views[place]
            view.fit_view_to_content()
            self._steady[place].keep()
            view.get_view_node().JumpSliceByOffsetting(*middle)
            view.schedule_render()
        self._links.align()

    def jump(self, index: int) -> None:
        """Move the large view to a slice; the others show it as a line."""
        if self._volume is None:
            return
        index = min(max(index, 0), self._volume.slice_count - 1)
        self._large.get_view_node().JumpSliceByOffsetting(*self._volume.slice_centre_ras(index))
        self._large.schedule_render()

    def scroll(self, place: str, steps: int) -> None:
        """Move a view by slices of the volume, as far as there are any.

        Positive is to the next slice by number, as with the keys; in a view across the slices towards L, P or I.
        """
        if self._volume is None or place not in self._views:
            return
        view = self._views[place]
        first, last = view.get_slice_range()
        step = -view.get_slice_step()
        if place not in OWN[1:]:  # whichever way the slices are stored
            onwards = self._volume.ijk_to_ras[:3, self._volume.acquisition_axis]
            to_ras = view.get_view_node().GetSliceToRAS()
            if np.dot([to_ras.GetElement(row, 2) for row in range(3)], onwards) > 0:
                step = -step
        view.set_slice_value(min(max(view.get_slice_value() + steps * step, first), last))

    async def rest(self) -> dict[str, int]:
        """Wait until all pictures are drawn and sent; bytes of the last one of each view, by its place."""
        return await self._factory.rest()

    def ids(self, places: Sequence[str]) -> list[str]:
        """The view nodes of places, for what shall be seen there only."""
        return [self._views[place].get_view_node().GetID() for place in places]

    def index(self) -> int:
        """The slice in the large view, the nearest one where it stands between two."""
        if self._volume is None:
            return 0
        to_ras = self._large.get_view_node().GetSliceToRAS()
        origin = np.array([to_ras.GetElement(row, 3) for row in range(3)] + [1.0])
        along = (np.linalg.inv(self._volume.ijk_to_ras) @ origin)[self._volume.acquisition_axis]
        return int(np.clip(np.rint(along), 0, self._volume.slice_count - 1))

    def window(self) -> tuple[float, float]:
        """Width and level in HU."""
        display = self._node.GetDisplayNode() if self._node is not None else None
        return (display.GetWindow(), display.GetLevel()) if display is not None else (0.0, 0.0)

    def difference_half_width(self) -> float:
        """The difference in HU that has the last colour; 0 without one."""
        return half_width(self._difference) if self._difference is not None else 0.0

    def set_difference_half_width(self, hu: float) -> None:
        """Choose the window of the difference, even around zero."""
        if self._difference is not None:
            set_half_width(self._difference, hu)

    def set_window(self, name: str) -> None:
        """One of :data:`PRESETS`; other names change nothing."""
        if self._node is not None and name in dict(PRESETS):
            display = self._node.GetDisplayNode()
            display.SetAutoWindowLevel(False)
            display.SetWindowLevel(WINDOWS[name].width, WINDOWS[name].level)

    def adjust_window(self, width: int, level: int) -> None:
        """Steps of a tenth of the window: wider or narrower, level higher or lower."""
        if self._node is not None:
            display = self._node.GetDisplayNode()
            step = max(1.0, round(display.GetWindow() / 10))
            display.SetAutoWindowLevel(False)
            display.SetWindowLevel(max(1.0, display.GetWindow() + width * step), display.GetLevel() + level * step)

    def zoom(self, step: int) -> None:
        """In or out by a fifth, in the view that stands alone or else in the large one."""
        self._main.zoom(0.2 * step if step > 0 else 0.25 * step)

    def pan(self, right: int, up: int) -> None:
        """Look a tenth of the view further to the right or up, in the same view as :meth:`zoom`."""
        node = self._main.get_view_node()
        width, height, _ = node.GetFieldOfView()
        x, y, z = node.GetXYZOrigin()
        node.SetXYZOrigin(x + right * width / 10, y + up * height / 10, z)

    def overlay(self, node: slicer.vtkMRMLScalarVolumeNode | None, opacity: float) -> None:
        """Lay a volume over the CT, or nothing. The page draws the legend, sharper than a picture could."""
        for legend in nodes_of_class(self._app.scene, "vtkMRMLColorLegendDisplayNode"):
            legend.SetVisibility(False)
        for place in OWN:
            self._views[place].set_foreground_volume_id(node.GetID() if node is not None else None)
            self._views[place].set_foreground_opacity(min(max(opacity, 0.0), 1.0))

    def set_crosshair(self, visible: bool) -> None:
        """Lines where the other views cut."""
        logic = self._app.app_logic
        logic.SetIntersectingSlicesEnabled(slicer.vtkMRMLApplicationLogic.IntersectingSlicesVisibility, visible)
        for display in nodes_of_class(self._app.scene, "vtkMRMLSliceDisplayNode"):
            display.SetIntersectingSlicesVisibility(visible)

    def _resized(self, steady: SteadyView) -> None:
        with self._links.still():
            steady.resized()

    def _one_window(self) -> list[slicer.vtkMRMLScalarVolumeNode]:
        """All volumes of the patient that are shown are looked at in one window."""
        return [node for node in (self._node, self._second, self._alternative) if node is not None]

    def _follow_window(self, source: slicer.vtkMRMLScalarVolumeDisplayNode) -> None:
        """The others look as this one does; the window of the difference stays even around zero."""
        for node in self._one_window():
            if node.GetDisplayNode() is not source:
                node.GetDisplayNode().SetAutoWindowLevel(False)
                node.GetDisplayNode().SetWindowLevel(source.GetWindow(), source.GetLevel())

    def _window_changed(self, display: slicer.vtkMRMLScalarVolumeDisplayNode, _event: str) -> None:
        if self._adjusting:
            return
        self._adjusting = True
        try:
            if self._difference is not None and display is self._difference.GetDisplayNode():
                set_half_width(self._difference, display.GetWindow() / 2)
            elif any(display is node.GetDisplayNode() for node in self._one_window()):
                self._follow_window(display)
        finally:
            self._adjusting = False
        self._on_change()

    def _changed(self, *_: object) -> None:
        self._on_change()
