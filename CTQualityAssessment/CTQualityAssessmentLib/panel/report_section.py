"""Section Report: the result as files."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import qt
from slicer.i18n import tr as _

from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.reporting.csv_file import write_csv
from CTQualityAssessmentLib.reporting.denoising_file import write_denoising
from CTQualityAssessmentLib.reporting.folder import result_folder
from CTQualityAssessmentLib.reporting.json_file import write_json
from CTQualityAssessmentLib.reporting.measures_file import write_measures
from CTQualityAssessmentLib.reporting.web_page import write_web_page
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.translation import told, untranslated

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class ReportSection(Section):
    """One button: choose a folder, get CSV, JSON and a web page."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self.ui.exportButton.clicked.connect(self.panel.guarded(self.export))

    def refresh(self) -> None:
        """Offer the export only where there is something to write."""
        known = (self.panel.results.assessment, self.panel.measures.current(), self._denoising())
        there = any(one is not None for one in known)
        self.ui.exportButton.enabled = there
        self.ui.exportButton.toolTip = (
            _("Write scores, physical measures and what denoising did as CSV, JSON and a web page into a folder")
            if there
            else _("There is nothing to write yet: assess a volume, or wait for its physical measures.")
        )

    def _denoising(self) -> DenoisingReport | None:
        """What is known of the denoised volume; None where a user deleted it."""
        nodes = self.panel.denoise.nodes
        return self.panel.denoise.report if nodes is not None and nodes.volume is not None else None

    def export(self) -> None:
        """Ask for a folder and write the report there."""
        assessment, measures = self.panel.results.assessment, self.panel.measures.current()
        folder = ask_for_folder(self.ui.exportButton)
        if not folder:
            return
        try:
            written = export_report(assessment, Path(folder), measures, self._denoising())
        except CTQAError as error:
            self.ui.reportStatusLabel.text = told(error)
            return
        self.ui.reportStatusLabel.text = _("Written: {names}").format(names=", ".join(written))


def ask_for_folder(parent: qt.QWidget) -> str:
    """Path of the folder that the user chooses; empty when they do not."""
    return str(qt.QFileDialog.getExistingDirectory(parent, _("Folder for the report")))


def export_report(
    assessment: VolumeAssessment | None,
    folder: Path,
    measures: PhysicalMeasures | None = None,
    denoising: DenoisingReport | None = None,
) -> list[str]:
    """Write the report into ``folder``, all files or none, and return their names.

    With ``denoising``, of the same volume, the page compares. ``index.html`` needs an assessment and the package jinja2
    and is left out without them.

    Raises:
        OutputFolderError: the folder cannot be written.
    """
    # The files are for everybody: in the words of the README, whatever language the window speaks.
    with untranslated(), result_folder(folder) as scratch:
        if assessment is not None:
            write_csv(scratch / "slices.csv", assessment)
            write_json(scratch / "assessment.json", assessment)
            if importlib.util.find_spec("jinja2") is not None:
                write_web_page(scratch / "index.html", assessment, measures=measures, denoising=denoising)
        if measures is not None:
            write_measures(scratch, measures)
        if denoising is not None:
            write_denoising(scratch, denoising)
        return sorted(file.name for file in scratch.iterdir())
