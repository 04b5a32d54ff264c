"""Boxes of the lesion detector: over which image they are drawn, and the way from the list to the place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.mrml.finding_nodes import box_centre_world, show_in_views, side_of
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.panel.choices import Choices
from CTQualityAssessmentLib.panel.section import Section

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models import BundleInfo
    from CTQualityAssessmentLib.panel.panel import Panel


class FindingsSection(Section):
    """What the detector marked in the original and in the denoised volume."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._boxes: tuple[slicer.vtkMRMLMarkupsROINode, ...] = ()
        self._choices = Choices(self.ui.findingsCombo, self._jump)
        self._listed: tuple[tuple[str, str], ...] | None = None
        self.ui.boxesCheck.toggled.connect(lambda: self.place())

    def refresh(self) -> None:
        """List the boxes of the chosen volume, and say why there is no choice where there is none."""
        nodes, report = self.panel.denoise.nodes, self.panel.denoise.report
        self._boxes = nodes.boxes if nodes is not None else ()
        there = tuple((one.GetID(), one.GetName()) for one in self._boxes)  # names alone are those of any volume
        if there != self._listed:
            self._listed = there
            items = {"": _("Choose a box")} | {box.GetID(): box.GetName() for box in self._boxes}
            self._choices.fill(items)
        reason = ""
        if report is None or report.findings is None:
            reason = _("Nobody looked for lesions yet: tick it above, then denoise.")
        elif not self._boxes:
            reason = _("The lesion detector marks nothing, neither before nor after.")
        for widget in (self.ui.findingsCombo, self.ui.boxesCheck):
            self.offer(widget, reason)
        without = "" if has_detector(self.panel.denoise.info()) else _("This denoiser came without a lesion detector.")
        self.offer(self.ui.findingsCheck, without)
        self.place()

    def place(self) -> None:
        """Draw each box over the image that it was found in, and over no other."""
        nodes = self.panel.denoise.nodes
        if not self._boxes or nodes is None:
            return
        wanted = bool(self.ui.boxesCheck.checked)
        views = {"before": _views_of(self.input), "after": _views_of(nodes.volume)}
        for box in self._boxes:
            show_in_views(box, views.get(side_of(box), []) if wanted else [])

    def forget(self) -> None:
        """Let go of all nodes."""
        self._boxes, self._listed = (), None
        self._choices.fill({"": _("Choose a box")})

    def _jump(self, box_id: str) -> None:
        box = slicer.mrmlScene.GetNodeByID(box_id) if box_id else None
        if box is not None:
            with self.panel.shown_errors():
                self.panel.jumps.jump_to_place(box_centre_world(box))


def has_detector(info: BundleInfo | None) -> bool:
    """Whether a denoiser's bundle holds a lesion detector."""
    return info is not None and bool(info.metadata["ctqa"].get("detector_config"))


def _views_of(volume: slicer.vtkMRMLScalarVolumeNode | None) -> list[str]:
    """IDs of the slice views that show a volume."""
    if volume is None:
        return []
    shown = {
        one.GetLayoutName()
        for one in nodes_of_class(slicer.mrmlScene, "vtkMRMLSliceCompositeNode")
        if one.GetBackgroundVolumeID() == volume.GetID()
    }
    views = nodes_of_class(slicer.mrmlScene, "vtkMRMLSliceNode")
    return [view.GetID() for view in views if view.GetLayoutName() in shown]
