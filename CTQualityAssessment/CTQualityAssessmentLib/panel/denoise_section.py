"""Section Denoise and compare, first half: a volume with less noise, and what that may have cost."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
from CTQualityAssessmentLib.models import DEFAULT_DENOISER
from CTQualityAssessmentLib.mrml.denoised_nodes import DenoisedNodes, find_denoised, is_denoised, report_from_scene
from CTQualityAssessmentLib.panel.assess_section import duration
from CTQualityAssessmentLib.panel.choices import ModelChoice
from CTQualityAssessmentLib.panel.denoising_run import DenoisingEnd, DenoisingRun, Wish
from CTQualityAssessmentLib.panel.findings_section import has_detector
from CTQualityAssessmentLib.panel.packages import ensure_packages
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.translation import said

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models import BundleInfo
    from CTQualityAssessmentLib.panel.panel import Panel

#: White on dark red can be read on light and dark panels.
_FLAG = '<span style="background-color:#b71c1c; color:#ffffff; font-weight:bold">&nbsp;{text}&nbsp;</span>'


class DenoiseSection(Section):
    """Choice of denoiser and strength, progress, the guard's sentences, figures before and after.

    Attributes:
        nodes: what was made of the chosen volume; None where nothing was.
        report: what is known of it; None where nothing is.
    """

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        ui = self.ui
        self.nodes: DenoisedNodes | None = None
        self.report: DenoisingReport | None = None
        self._seen: object = None
        self._message: tuple[object, str] = (None, "")
        self.run = DenoisingRun(ui.denoiseButton, panel.assess.worker, self._on_progress, self._on_voxels, self._on_end)
        self.choice = ModelChoice(
            "denoise",
            DEFAULT_DENOISER,
            ui.denoiserCombo,
            ui.denoiserStatementLabel,
            ui.denoiserCardLabel,
            ui.denoiserCardButton,
            self._store,
        )
        self.choice.reload()
        ui.denoisingTable.setMRMLScene(slicer.mrmlScene)
        ui.denoiseButton.clicked.connect(self.panel.guarded(self.denoise))
        ui.denoiseCancelButton.clicked.connect(self.run.cancel)
        ui.denoiseProgressBar.visible = ui.denoiseCancelButton.visible = False

    def refresh(self) -> None:
        """Show what there is of the chosen volume, and why the button is off where it is."""
        ui = self.ui
        if self.parameters is not None:
            self.choice.show(str(self.parameters.denoiserName))
        self.nodes = find_denoised(slicer.mrmlScene, self.input) if self.input is not None else None
        text = self.nodes.report.GetText() if self.nodes is not None else None
        table = self.nodes.table if self.nodes is not None else None
        if (self.nodes, text) != self._seen:
            self._seen = (self.nodes, text)
            self._show(table)
        busy = self.run.concerns(self.input)
        about, message = self._message
        ui.denoiseStatusLabel.text = message if busy or about is self.input else ""
        reason = self.why_not()
        name, use = self._button()
        ui.denoiseButton.text = name
        ui.denoiseButton.enabled = not reason
        ui.denoiseButton.toolTip = reason or use

    def why_not(self) -> str:
        """The sentence that tells why nothing can be denoised; empty where it can."""
        if self.run.busy or self.panel.assess.run.busy:
            return _("A run is going on: wait for it or cancel it.")
        if not self.choice.bundles:
            return _("No denoiser is installed. Install the extension again, or add one under Models.")
        if self.input is None:
            return _("Choose a CT volume first.")
        if is_denoised(self.input):
            return _("This volume is denoised already. Choose the CT it was made from.")
        facts = self.panel.volume.facts
        if facts is not None and facts.refusal:
            return facts.refusal
        if self._shown_already() and not self._unasked():
            return _("This strength is shown already. Move a slider to change it.")
        return ""

    def strength(self) -> Strength:
        """What the sliders say."""
        values = self.parameters
        found = (values.strengthLung, values.strengthSoftTissue, values.strengthBone)
        return Strength(*(round(float(value), 2) for value in found))

    def denoise(self) -> None:
        """Denoise the chosen volume, after asking for packages that are missing."""
        if self.why_not() or self.parameters is None:
            return
        if not ensure_packages(self.panel.resource("requirements.txt")):
            self._tell(_("Some packages are not installed yet, so nothing was denoised."))
            return
        if self.why_not() or self.parameters is None:  # the volume may have gone in the minutes of an installation
            self.panel.refresh()
            return
        looks = {"findings": self._wants_findings(), "scores": bool(self.parameters.compareScores)}
        wish = Wish(self.input, self._model(), str(self.parameters.device), self.strength(), **looks)
        self.run.start(wish)
        self.panel.refresh()

    def forget(self) -> None:
        """Let go of all nodes: the scene is about to be closed, or the results removed."""
        self.nodes, self.report, self._seen, self._message = None, None, None, (None, "")
        self.ui.denoisingTable.setMRMLTableNode(None)
        self.panel.findings.forget()

    def info(self) -> BundleInfo | None:
        """The chosen denoiser; None where none is installed."""
        return self.choice.bundles.get(self._model())

    def _model(self) -> str:
        return self.choice.current(str(self.parameters.denoiserName)) if self.parameters is not None else ""

    def _again(self) -> bool:
        """Whether only the strength has to change."""
        there = self.nodes is not None and self.nodes.volume is not None
        return there and self.run.answered(self.input, self._model())

    def _shown_already(self) -> bool:
        """Whether the strength in view is the one that the sliders say."""
        return self._again() and self.report is not None and self.report.strength == self.strength()

    def _wants_findings(self) -> bool:
        return self.parameters is not None and bool(self.parameters.findLesions) and has_detector(self.info())

    def _unasked(self) -> bool:
        """Whether the user wants to know something of the strength in view that nobody looked at."""
        report = self.report
        if report is None or self.parameters is None:
            return False
        findings = self._wants_findings() and report.findings is None
        return findings or (bool(self.parameters.compareScores) and report.scores is None)

    def _button(self) -> tuple[str, str]:
        """What the button is called now, and what it does."""
        if self._shown_already() and self._unasked():
            return _("Examine"), _("Look at this strength again, and at what was ticked since")
        if self._again():
            return (
                _("Apply strength"),
                _("Make this strength of what the network found; takes no time of the network but for its test"),
            )
        return (
            _("Denoise"),
            _("Take noise out of a copy of the volume, in a process of its own; the volume itself stays as it is"),
        )

    def _store(self, name: str) -> None:
        if self.parameters is not None:
            self.parameters.denoiserName = name

    def _show(self, table: slicer.vtkMRMLTableNode | None) -> None:
        """The guard's sentences first, then the figures."""
        ui, problem = self.ui, ""
        self.report = None
        try:
            self.report = report_from_scene(self.nodes) if self.nodes is not None else None
        except ValueError:
            problem = _("The result in this scene was written by another version; denoise the volume again.")
        lines = [html.escape(problem)] if problem else []
        if self.report is not None:
            lines += _guard_lines(self.report)
            lines += ["⚠ " + html.escape(said(warning)) for warning in self.report.warnings]
            lines.append(html.escape(_("Strength: {words}.").format(words=said(self.report.strength.words()))))
        ui.guardLabel.text = "<br>".join(lines)
        ui.guardLabel.visible = bool(lines)
        ui.denoisingTable.setMRMLTableNode(table)
        ui.denoisingTable.visible = table is not None
        if table is not None:
            ui.denoisingTable.resizeColumnsToContents()

    def _tell(self, message: str) -> None:
        self._message = (self.input, message)
        self.ui.denoiseStatusLabel.text = message

    def _on_progress(self, done: int, total: int, message: str, left_s: float | None) -> None:
        bar = self.ui.denoiseProgressBar
        bar.visible = self.ui.denoiseCancelButton.visible = True
        bar.maximum = total  # 0 shows a bar without a percentage
        bar.value = done
        left = "" if left_s is None else " · " + _("{time} left").format(time=duration(left_s))
        count = f" {done} / {total}" if total else ""
        self._tell(f"{message}{count}{left}")

    def _on_voxels(self, nodes: DenoisedNodes) -> None:
        """The volume is there: ready to be compared, while the worker looks what may be lost in it."""
        source = self.run.node
        if self.parameters is not None and source is self.input:
            self.parameters.compareVolume = nodes.volume
        self.panel.compare.renew_difference(source, nodes.volume)
        self.panel.refresh()

    def _on_end(self, end: DenoisingEnd) -> None:
        self.ui.denoiseProgressBar.visible = self.ui.denoiseCancelButton.visible = False
        self._message = (end.node, end.message or (_("Done.") if end.nodes is not None else ""))
        if end.log:
            self.ui.detailsText.visible = True
            self.ui.detailsText.plainText = end.log
        self.panel.refresh()


def _guard_lines(report: DenoisingReport) -> list[str]:
    """What the guard found, flagged sentences first and so that nobody overlooks them."""
    if not report.retention:
        return [html.escape(_("Nobody has looked yet whether lesions survive in this volume."))]
    found = []
    for one in sorted(report.retention, key=lambda one: not one.flagged):
        text = html.escape(said(one.sentence()))
        found.append(_FLAG.format(text=text) if one.flagged else text)
    return found
