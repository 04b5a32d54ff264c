"""The whole panel: its sections, its place in the life of the scene and of the module."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.assessment_nodes import overlay_ids
from CTQualityAssessmentLib.mrml.denoised_nodes import is_denoised
from CTQualityAssessmentLib.mrml.difference import is_difference
from CTQualityAssessmentLib.mrml.measure_nodes import add_measures
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.time_series import sequence_of
from CTQualityAssessmentLib.panel.assess_section import AssessSection
from CTQualityAssessmentLib.panel.compare_section import CompareSection
from CTQualityAssessmentLib.panel.denoise_section import DenoiseSection
from CTQualityAssessmentLib.panel.findings_section import FindingsSection
from CTQualityAssessmentLib.panel.measures_section import MeasuresSection
from CTQualityAssessmentLib.panel.models_section import ModelsSection
from CTQualityAssessmentLib.panel.overlays_section import OverlaysSection
from CTQualityAssessmentLib.panel.parameters import PLAIN, QUALITY, PanelParameters, tie_widgets, wrap_parameters
from CTQualityAssessmentLib.panel.removal_section import RemovalSection
from CTQualityAssessmentLib.panel.report_section import ReportSection
from CTQualityAssessmentLib.panel.results_section import TIME_POINT, ResultsSection
from CTQualityAssessmentLib.panel.shortcuts import NEXT_WORST, PLAIN_IMAGE, PREVIOUS_WORST, Shortcuts
from CTQualityAssessmentLib.panel.slice_jumps import SliceJumps
from CTQualityAssessmentLib.panel.view_texts import ViewTexts
from CTQualityAssessmentLib.panel.volume_section import VolumeSection
from CTQualityAssessmentLib.panel.watching import Watching
from CTQualityAssessmentLib.translation import told

if TYPE_CHECKING:
    from types import SimpleNamespace

    from CTQualityAssessmentLib.panel.run import RunEnd

_VIEWS = ("vtkMRMLSliceNode", "vtkMRMLSliceCompositeNode")


class Panel(VTKObservationMixin):
    """Owns the sections and everything that has to be given back: observers, shortcuts, the worker.

    Args:
        ui: the widgets of the .ui file by name.
        parameter_node: gives the module's parameter node, a singleton that scenes reset but keep.
        resources: the module's folder Resources.
    """

    def __init__(
        self, ui: SimpleNamespace, parameter_node: Callable[[], slicer.vtkMRMLScriptedModuleNode], resources: Path
    ) -> None:
        super().__init__()
        self.ui = ui
        self.parameters: PanelParameters | None = None
        self._parameter_node = parameter_node
        self._resources = resources
        self._gui_tag: Any = None
        self._entered = self._refreshing = self._stale = False
        self.jumps, self.texts = SliceJumps(self), ViewTexts(self)
        self.watching = Watching(lambda: self.texts.show(), lambda: self.findings.place(), lambda: self.refresh())
        self.volume = VolumeSection(self)
        self.measures = MeasuresSection(self)
        self.assess = AssessSection(self)
        self.denoise = DenoiseSection(self)
        self.findings = FindingsSection(self)
        self.compare = CompareSection(self)
        self.results = ResultsSection(self)
        self.removal = RemovalSection(self)
        self.overlays = OverlaysSection(self)
        self.report = ReportSection(self)
        self.models = ModelsSection(self)
        self._sections = (
            self.volume,
            self.measures,
            self.assess,
            self.results,
            self.overlays,
            self.denoise,
            self.findings,
            self.compare,
            self.removal,
            self.report,
            self.models,
        )
        self._shortcuts = Shortcuts(
            {
                NEXT_WORST: lambda: self.jumps.step_rank(1),
                PREVIOUS_WORST: lambda: self.jumps.step_rank(-1),
                PLAIN_IMAGE: self.toggle_plain_image,
            }
        )
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._on_scene_start_close)
        self.addObserver(scene, scene.EndCloseEvent, self._on_scene_replaced)
        self.addObserver(scene, scene.EndImportEvent, self._on_scene_replaced)
        self.addObserver(scene, scene.NodeAddedEvent, self._on_node_added)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self._on_node_about_to_be_removed)
        self.addObserver(scene, scene.NodeRemovedEvent, self._on_node_removed)

    # --- life of the module ---------------------------------------------------------------------------------------

    def enter(self) -> None:
        """The user opened the module."""
        self._entered = True
        self.connect_parameters()
        self._shortcuts.add(slicer.util.mainWindow())
        self.watching.watch_views()
        self.refresh()

    def exit(self) -> None:
        """The user went to another module: overlays stay, our text and keys go, a run goes on."""
        self._entered = False
        self._shortcuts.remove()
        self.watching.ignore_views()
        self.watching.ignore_sequence()
        self.compare.stop_flicker()
        self.texts.clear()
        self.disconnect_parameters()

    def cleanup(self) -> None:
        """The module is being reloaded or the application quits."""
        self.exit()
        for run in (self.assess.run, self.denoise.run, self.compare.run, self.measures.measuring):
            run.close()
        self.removeObservers()

    # --- parameters -----------------------------------------------------------------------------------------------

    def connect_parameters(self) -> None:
        """Read the parameters afresh and tie them to the widgets.

        Also after a scene was loaded: a wrapper that was made before its volume existed keeps seeing none.
        """
        self.disconnect_parameters()
        node = self._parameter_node()
        self.parameters = wrap_parameters(node)
        if self.parameters.inputVolume is None:
            self.parameters.inputVolume = _first_volume()
        try:
            self._gui_tag = tie_widgets(self.parameters, self.ui)
        except ValueError:  # a value of another version that the widgets cannot show
            node.UnsetAllParameters()
            self.parameters = wrap_parameters(node)
            self._gui_tag = tie_widgets(self.parameters, self.ui)
        self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._on_parameters_modified)

    def disconnect_parameters(self) -> None:
        """Untie widgets and parameters."""
        if self.parameters is None:
            return
        self.removeObserver(self.parameters.parameterNode, vtk.vtkCommand.ModifiedEvent, self._on_parameters_modified)
        if self._gui_tag is not None:
            self.parameters.disconnectGui(self._gui_tag)
        self.parameters, self._gui_tag = None, None

    def refresh(self) -> None:
        """Bring all sections up to date with the scene."""
        if self._refreshing or self.parameters is None:
            return
        self._refreshing = True
        try:
            self.watching.watch_sequence_of(self.results.input)
            for section in self._sections:
                section.refresh()
        finally:
            self._refreshing = False

    @contextmanager
    def still(self) -> Iterator[None]:
        """What happens to the scene in here is looked at once, by who caused it, and not node by node."""
        before, self._refreshing = self._refreshing, True
        try:
            yield
        finally:
            self._refreshing, self._stale = before, False

    # --- what happens ---------------------------------------------------------------------------------------------

    def toggle_plain_image(self) -> None:
        """Overlay off, and on again."""
        if self.parameters is not None:
            self.overlays.choose(QUALITY if self.overlays.current() is None else PLAIN)

    def on_run_end(self, end: RunEnd) -> None:
        """A run ended: keep the measures with its result, and show it if its volume is still the chosen one."""
        if end.nodes is not None:
            node = end.nodes.volume
            self.results.keep(end.nodes, end.assessment)
            measures = self.measures.measuring.known(node) if node is not None else None
            if measures is not None:
                add_measures(slicer.mrmlScene, node, measures)
            sequence = sequence_of(slicer.mrmlScene, node)
            if sequence is not None:  # the run saw to it that the voxels are still those it began with
                end.nodes.parameters.SetAttribute(TIME_POINT, str(sequence.current))
        self.refresh()

    def resource(self, name: str) -> Path:
        """Path of a file in the module's folder Resources."""
        return self._resources / name

    @contextmanager
    def shown_errors(self) -> Iterator[None]:
        """Tell the user of an error in the status line; a fault goes to the log with its traceback."""
        try:
            yield
        except CTQAError as error:
            self.ui.statusLabel.text = told(error)
        except Exception as error:
            logging.exception("CTQualityAssessment: unexpected fault")
            self.ui.statusLabel.text = _("An unexpected fault ({kind}); the Python console shows where.").format(
                kind=type(error).__name__
            )

    def guarded(self, action: Callable[[], None]) -> Callable[[], None]:
        """The action as a slot: without arguments, its errors shown (PythonQt would only print them)."""

        def slot() -> None:
            with self.shown_errors():
                action()

        return slot

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Show the wait cursor for work of a second or two."""
        qt.QApplication.setOverrideCursor(qt.Qt.WaitCursor)
        try:
            yield
        finally:
            qt.QApplication.restoreOverrideCursor()

    # --- observers ------------------------------------------------------------------------------------------------

    def _on_parameters_modified(self, caller: object, event: object) -> None:
        self.refresh()

    def _on_scene_start_close(self, caller: object, event: object) -> None:
        for run in (self.assess.run, self.denoise.run):
            run.abandon(_("The scene was closed, so the run was stopped."))
        self.compare.run.abandon()
        self.compare.forget()
        self.measures.measuring.forget_job()
        self.watching.ignore_sequence()
        self.disconnect_parameters()
        self.results.forget()
        self.denoise.forget()

    def _on_scene_replaced(self, caller: object, event: object) -> None:
        if self._entered:
            self.connect_parameters()
            self.watching.ignore_views()
            self.watching.watch_views()
            self.refresh()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_added(self, caller: object, event: object, node: slicer.vtkMRMLNode) -> None:
        if self._entered and node is not None and node.GetClassName() in _VIEWS:  # of a layout that is shown first
            self.watching.watch_views()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_about_to_be_removed(self, caller: object, event: object, node: slicer.vtkMRMLNode) -> None:
        for run in (self.assess.run, self.denoise.run):
            if run.concerns(node):
                run.abandon(_("The volume was removed, so the run was stopped."))
        if self.compare.run.concerns(node):
            self.compare.run.cancel()
        if self.compare.flicker.concerns(node):
            self.compare.stop_flicker()
        if node is not None and self._entered and (node.IsA("vtkMRMLScalarVolumeNode") or self._is_result(node)):
            # Somebody takes a volume, or a part of a result, away by hand: look again once it is gone.
            self._stale = True

    def _on_node_removed(self, caller: object, event: object) -> None:
        if self._stale and self._entered:
            self._stale = False
            self.refresh()

    def _is_result(self, node: slicer.vtkMRMLNode) -> bool:
        owners = (self.results.nodes, self.results.time, self.denoise.nodes)
        return any(node is one for owner in owners if owner is not None for one in owner.made())


def _first_volume() -> slicer.vtkMRMLScalarVolumeNode | None:
    """The first grey-value volume of the scene that this module did not make."""
    ours = overlay_ids(slicer.mrmlScene)
    for node in nodes_of_class(slicer.mrmlScene, "vtkMRMLScalarVolumeNode"):
        own = node.GetID() in ours or is_difference(node) or is_denoised(node)
        if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not own:
            return node
    return None
