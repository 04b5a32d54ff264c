"""Section Volume: choose a CT and read what speaks for and against it."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.panel.volume_facts import VolumeFacts, keep_facts, volume_facts

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
        self.ui.loadSampleButton.visible = sample_folder() is not None

    def refresh(self) -> None:
        """Describe the chosen volume again when another one was chosen or its voxels changed."""
        node = self.input
        image = node.GetImageData() if node is not None else None
        seen = (node.GetID(), image.GetMTime() if image is not None else 0) if node is not None else None
        if seen == self._seen and (seen is None) == (self.facts is None):
            return
        self._seen = seen
        self.facts = volume_facts(node) if node is not None else None
        facts = self.facts or VolumeFacts((_("Choose a CT volume, or load the sample."),), ())
        self.ui.factsLabel.text = "<br>".join(html.escape(line) for line in facts.lines)
        warnings = [facts.refusal] if facts.refusal else list(facts.warnings)
        self.ui.volumeWarningLabel.text = "<br>".join("⚠ " + html.escape(line) for line in warnings)
        self.ui.volumeWarningLabel.visible = bool(warnings)

    def load_sample(self) -> None:
        """Add the sample CT to the scene, choose it and show it."""
        folder = sample_folder()
        if folder is None or self.parameters is None:
            return
        from CTQualityAssessmentLib.reading import read_volume

        with self.panel.waiting():
            volume = read_volume(folder)
            node = add_volume(slicer.mrmlScene, volume, _("CT quality sample"))
            keep_facts(node, volume.facts)
        self.parameters.inputVolume = node
        slicer.util.setSliceViewerLayers(background=node, fit=True)


def sample_folder() -> Path | None:
    """The sample that lies beside the module in its repository; an installed extension does not carry it."""
    folder = Path(__file__).resolve().parents[3] / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"
    return folder if folder.is_dir() else None
