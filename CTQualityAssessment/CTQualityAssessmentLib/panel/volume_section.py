"""Section Volume: choose a CT and read what speaks for and against it."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.mrml.assessment_nodes import overlay_ids
from CTQualityAssessmentLib.mrml.denoised_nodes import is_denoised
from CTQualityAssessmentLib.mrml.difference import is_difference
from CTQualityAssessmentLib.panel.sample_data import load_sample, sample_file
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.panel.volume_facts import VolumeFacts, volume_facts

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class VolumeSection(Section):
    """Selector, facts, warnings and the sample."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self.facts: VolumeFacts | None = None
        self._seen: tuple[str, int] | None = None
        self.ui.inputSelector.setMRMLScene(slicer.mrmlScene)
        self.ui.loadSampleButton.clicked.connect(self.panel.guarded(self.load_sample))
        self.ui.loadSampleButton.visible = sample_file(self.panel.resource("")).is_file()

    def refresh(self) -> None:
        """Describe the chosen volume again when another one was chosen or its voxels changed."""
        node = self.input
        image = node.GetImageData() if node is not None else None
        seen = (node.GetID(), image.GetMTime() if image is not None else 0) if node is not None else None
        if seen == self._seen and (seen is None) == (self.facts is None):
            return
        self._seen = seen
        self.facts = _facts(node) if node is not None else None
        facts = self.facts or VolumeFacts((_("Choose a CT volume, or load the sample."),), ())
        self.ui.factsLabel.text = "<br>".join(html.escape(line) for line in facts.lines)
        warnings = [facts.refusal] if facts.refusal else list(facts.warnings)
        self.ui.volumeWarningLabel.text = "<br>".join("⚠ " + html.escape(line) for line in warnings)
        self.ui.volumeWarningLabel.visible = bool(warnings)

    def load_sample(self) -> None:
        """Load the sample CT by way of the Sample Data module, choose it and show it."""
        if self.parameters is None:
            return
        with self.panel.waiting():
            node = load_sample(self.panel.resource(""))
        self.parameters.inputVolume = node
        slicer.util.setSliceViewerLayers(background=node, fit=True)


def _facts(node: slicer.vtkMRMLScalarVolumeNode) -> VolumeFacts:
    if node.GetID() in overlay_ids(slicer.mrmlScene) or is_difference(node):
        return VolumeFacts((), (), _("This is a result of this module, not a CT. Choose the CT it was made from."))
    facts = volume_facts(node)
    if is_denoised(node) and not facts.refusal:
        praise = _(
            "This volume was denoised: the scorer never saw such images and rewards what takes noise away. A higher "
            "score is no proof of a better image."
        )
        return replace(facts, warnings=(praise, *facts.warnings))
    return facts
