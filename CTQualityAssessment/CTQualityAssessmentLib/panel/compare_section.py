"""Section Denoise and compare, second half: two volumes side by side, by turns, and their difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.assessment.difference import VolumeDifference
from CTQualityAssessmentLib.mrml.assessment_nodes import assessment_from_scene, overlay_ids
from CTQualityAssessmentLib.mrml.compare_layout import (
    COMPARED_VIEW,
    DIFFERENCE_VIEW,
    INPUT_VIEW,
    SIDE_BY_SIDE,
    WITH_DIFFERENCE,
    register_layouts,
)
from CTQualityAssessmentLib.mrml.difference import find_differences, is_difference, remove_differences, second_of
from CTQualityAssessmentLib.panel.assess_section import duration
from CTQualityAssessmentLib.panel.difference_run import DifferenceEnd, DifferenceRun
from CTQualityAssessmentLib.panel.flicker import Flicker
from CTQualityAssessmentLib.panel.section import Section

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel

_OURS = (SIDE_BY_SIDE, WITH_DIFFERENCE)
_FOUR_UP = 3


class CompareSection(Section):
    """The second volume, the two layouts, and what the difference amounts to."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._before = _FOUR_UP
        self._told: tuple[object, object, str] = (None, None, "")
        ui = self.ui
        ui.compareSelector.setMRMLScene(slicer.mrmlScene)
        self.run = DifferenceRun(ui.differenceButton, self._on_progress, self._on_end)
        self.flicker = Flicker(ui.flickerButton)
        ui.sideBySideButton.clicked.connect(self.panel.guarded(self.side_by_side))
        ui.differenceButton.clicked.connect(self.panel.guarded(self.difference))
        ui.differenceCancelButton.clicked.connect(self.run.cancel)
        ui.flickerButton.toggled.connect(lambda: self._on_flicker())
        ui.usualLayoutButton.clicked.connect(self.panel.guarded(self.usual_layout))
        self._show_idle()
        register_compare_layouts()

    @property
    def second(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The volume that is compared with the input."""
        return self.parameters.compareVolume if self.parameters is not None else None

    def refresh(self) -> None:
        """Say why the buttons are off where they are."""
        ui, reason = self.ui, self.why_not()
        for button, use in (
            (ui.sideBySideButton, _("Show both volumes in linked slice views, with the window of the first")),
            (ui.differenceButton, _("Subtract the first volume from the second and show the difference beside both")),
            (ui.flickerButton, _("Show both volumes by turns in the same place; press again to stop")),
        ):
            button.enabled = not reason
            button.toolTip = reason or use
        if self.flicker.running and (
            reason or not self.flicker.concerns(self.input) or not self.flicker.concerns(self.second)
        ):
            self.stop_flicker()
        self.offer(ui.usualLayoutButton, "" if self.shown() else _("No comparison is on the screen."))
        first, second, text = self._told
        ui.compareLabel.text = text if text and first is self.input and second is self.second else ""

    def why_not(self) -> str:
        """The sentence that tells why nothing can be compared; empty where it can."""
        if self.input is None:
            return _("Choose a CT volume first.")
        if self.second is None:
            return _("Choose a second volume to compare with.")
        if self.second is self.input:
            return _("Choose another volume than the one under Volume.")
        if self.second.GetID() in overlay_ids(slicer.mrmlScene) or is_difference(self.second):
            return _("The second volume is a result of this module, not a CT.")
        facts = self.panel.volume.facts
        return facts.refusal if facts is not None else ""

    def shown(self) -> bool:
        """Whether one of our layouts is on the screen."""
        manager = slicer.app.layoutManager()
        return manager is not None and int(manager.layout) in _OURS

    def view_names(self) -> list[str]:
        """Names of the views of our layout that is on the screen; empty when another layout is."""
        if not self.shown():
            return []
        names = [INPUT_VIEW, COMPARED_VIEW]
        return [*names, DIFFERENCE_VIEW] if int(slicer.app.layoutManager().layout) == WITH_DIFFERENCE else names

    def side_by_side(self) -> None:
        """Both volumes in linked views."""
        if not self.why_not():
            self.stop_flicker()
            self._arrange(SIDE_BY_SIDE, {INPUT_VIEW: self.input, COMPARED_VIEW: self.second})
            self.panel.refresh()

    def difference(self) -> None:
        """Make the difference, in a process of its own, and show it beside both volumes."""
        if not self.why_not():
            self.run.start(self.input, self.second)

    def renew_difference(self, first: slicer.vtkMRMLScalarVolumeNode, second: slicer.vtkMRMLScalarVolumeNode) -> None:
        """One of the two got other voxels: their difference is made again where it is on the screen, else it goes."""
        if not any(second_of(node) is second for node in find_differences(slicer.mrmlScene, first)):
            return
        if first is self.input and second is self.second and DIFFERENCE_VIEW in self.view_names():
            self.run.start(first, second)
        else:
            remove_differences(slicer.mrmlScene, first)

    def stop_flicker(self) -> None:
        """Show the first volume again, the button up."""
        self.flicker.stop()
        self.ui.flickerButton.checked = False

    def forget(self) -> None:
        """Let go of all nodes: the scene is about to be closed, or the module left."""
        self.stop_flicker()
        self._told = (None, None, "")
        self._show_idle()

    def _on_flicker(self) -> None:
        if not self.ui.flickerButton.checked:
            self.flicker.stop()
            return
        manager = slicer.app.layoutManager()
        names = []
        if manager is not None and not self.why_not():
            names = self.view_names()[:1] or list(manager.sliceViewNames())
            _same_window(self.input, self.second)
        if not self.flicker.start(self.input, self.second, names):
            self._told = (self.input, self.second, _("Show the volume in a slice view first."))
            self.ui.flickerButton.checked = False
            self.refresh()

    def _on_progress(self, done: int, total: int, message: str, left_s: float | None) -> None:
        bar = self.ui.differenceProgressBar
        bar.visible = self.ui.differenceCancelButton.visible = True
        bar.maximum = total  # 0 shows a bar without a percentage
        bar.value = done
        left = "" if left_s is None else " · " + _("{time} left").format(time=duration(left_s))
        self.ui.compareLabel.text = f"{message}{left}"

    def _on_end(self, end: DifferenceEnd) -> None:
        self._show_idle()
        self._told = (end.first, end.second, end.message or self._describe(end))
        if end.node is not None and end.first is self.input and end.second is self.second:
            self.stop_flicker()
            shown = {INPUT_VIEW: self.input, COMPARED_VIEW: self.second, DIFFERENCE_VIEW: end.node}
            with self.panel.shown_errors():
                self._arrange(WITH_DIFFERENCE, shown)
        self.panel.refresh()

    def _show_idle(self) -> None:
        self.ui.differenceProgressBar.visible = self.ui.differenceCancelButton.visible = False

    def usual_layout(self) -> None:
        """Back to the layout that was there before the comparison."""
        manager = slicer.app.layoutManager()
        if manager is not None and self.shown():
            self.stop_flicker()
            manager.setLayout(self._before)
            self.panel.refresh()

    def _arrange(self, layout: int, volumes: dict[str, slicer.vtkMRMLScalarVolumeNode]) -> None:
        manager = slicer.app.layoutManager()
        if manager is None:  # without a main window
            return
        if not self.shown():
            self._before = int(manager.layout)
        register_compare_layouts()
        manager.setLayout(layout)
        slicer.app.processEvents()  # the views are made then
        _same_window(self.input, self.second)
        for name, volume in volumes.items():
            widget = manager.sliceWidget(name)
            composite = widget.mrmlSliceCompositeNode()
            composite.SetBackgroundVolumeID(volume.GetID())
            composite.SetForegroundVolumeID(None)
            composite.SetLinkedControl(True)
            composite.SetHotLinkedControl(True)
            # All in the planes of the first volume, so that they show the same place.
            widget.mrmlSliceNode().RotateToVolumePlane(self.input)
            widget.sliceLogic().FitSliceToBackground()
        fields = manager.sliceWidget(INPUT_VIEW).mrmlSliceNode()
        for name in list(volumes)[1:]:
            other = manager.sliceWidget(name).mrmlSliceNode()
            other.SetFieldOfView(*fields.GetFieldOfView())
            other.GetSliceToRAS().DeepCopy(fields.GetSliceToRAS())
            other.UpdateMatrices()

    def _describe(self, end: DifferenceEnd) -> str:
        found: VolumeDifference = end.found
        pair = (end.first, end.second)
        lines = []
        if found.mean_hu is not None:
            lines.append(
                _("Second minus first, in the patient: {mean:.1f} HU on average, SD {sd:.1f} HU.").format(
                    mean=found.mean_hu, sd=found.sd_hu
                )
            )
        noise = [self.panel.measures.measuring.known(node) for node in pair]
        values = [m.volume.noise_hu if m is not None else None for m in noise]
        if None not in values:
            lines.append(_("Noise: {first:.1f} and {second:.1f} HU.").format(first=values[0], second=values[1]))
        scores = [_mean_score(node) for node in pair]
        if None not in scores:
            lines.append(_("Score: {first:.1f} and {second:.1f} of 4.").format(first=scores[0], second=scores[1]))
        if found.covered < 0.999:
            lines.append(_("The second volume covers {share:.0%} of the first.").format(share=found.covered))
        if found.resampled:
            lines.append(_("The second volume lies on another grid: it was interpolated, which smooths its noise."))
        return " ".join(lines)


def register_compare_layouts() -> None:
    """Make our layouts known to the application; harmless without a main window and when repeated."""
    manager = slicer.app.layoutManager()
    if manager is not None:
        register_layouts(manager.layoutLogic().GetLayoutNode())


def _same_window(first: slicer.vtkMRMLScalarVolumeNode, second: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Two images can be compared by eye in the same window only."""
    one, other = first.GetDisplayNode(), second.GetDisplayNode()
    if one is not None and other is not None:
        other.SetAutoWindowLevel(False)
        other.SetWindowLevel(one.GetWindow(), one.GetLevel())


def _mean_score(node: slicer.vtkMRMLScalarVolumeNode) -> float | None:
    try:
        assessment = assessment_from_scene(slicer.mrmlScene, node)
    except ValueError:  # of another version
        return None
    return assessment.summary.mean if assessment is not None else None
