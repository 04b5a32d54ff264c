"""Section Assess: choose model, device and maps; run, watch, cancel."""

from __future__ import annotations

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.models import DEFAULT_BUNDLE
from CTQualityAssessmentLib.mrml.time_series import sequence_of
from CTQualityAssessmentLib.panel.choices import Choices, ModelChoice
from CTQualityAssessmentLib.panel.packages import ensure_packages
from CTQualityAssessmentLib.panel.run import AssessmentRun, RunEnd, RunRequest
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.panel.time_run import TimeRun
from CTQualityAssessmentLib.panel.worker_process import WorkerProcess

_STAGES = (3, 1, 2, 4, 0)


class AssessSection(Section):
    """Model card, device, progress with time left, and the two buttons."""

    def __init__(self, panel: object) -> None:
        super().__init__(panel)
        ui = self.ui
        self.worker = WorkerProcess(ui.assessButton)
        self.run = AssessmentRun(ui.assessButton, self.worker, self._on_progress, self._on_rows, self._on_end)
        self._series: TimeRun | None = None
        self._devices = Choices(ui.deviceCombo, lambda value: self._store("device", value))
        self._devices.fill({"auto": _("Automatic"), "cpu": _("CPU"), "cuda": _("Graphics card (CUDA)")})
        self._stages = Choices(ui.stageCombo, lambda value: self._store("attentionStage", value))
        self._stages.fill(
            {stage: _("None") if stage == 0 else _("Stage {stage} of 4").format(stage=stage) for stage in _STAGES}
        )
        self.choice = ModelChoice(
            "score",
            DEFAULT_BUNDLE,
            ui.modelCombo,
            ui.modelStatementLabel,
            ui.modelCardLabel,
            ui.modelCardButton,
            lambda name: self._store("modelName", name),
        )
        self.choice.reload()
        ui.assessButton.clicked.connect(self.panel.guarded(self.assess))
        ui.cancelButton.clicked.connect(self.cancel)
        self._show_idle()

    def refresh(self) -> None:
        """Show the chosen settings, and why the button is off where it is."""
        if self.parameters is not None:
            self.choice.show(str(self.parameters.modelName))
            self._devices.show(str(self.parameters.device))
            self._stages.show(int(self.parameters.attentionStage))
        self.ui.allTimePointsCheck.visible = sequence_of(slicer.mrmlScene, self.input) is not None
        reason = self.why_not()
        self.ui.assessButton.enabled = not reason
        self.ui.assessButton.toolTip = reason or _("Score every slice of the volume in a process of its own")

    def why_not(self) -> str:
        """The sentence that tells why no run can start; empty when one can."""
        if self.run.busy or self.panel.denoise.run.busy:
            return _("A run is going on: wait for it or cancel it.")
        if not self.choice.bundles:
            return _("No model is installed. Install the extension again.")
        if self.input is None:
            return _("Choose a CT volume first.")
        facts = self.panel.volume.facts
        return facts.refusal if facts is not None else ""

    def assess(self) -> None:
        """Start a run on the chosen volume, after asking for packages that are missing."""
        if self.why_not() or self.parameters is None:
            return
        if not ensure_packages(self.panel.resource("requirements.txt")):
            self.ui.statusLabel.text = _("Some packages are not installed yet, so nothing was assessed.")
            return
        if self.why_not() or self.parameters is None:  # the volume may have gone in the minutes of an installation
            self.panel.refresh()
            return
        stage = self.parameters.attentionStage
        model = self.choice.current(str(self.parameters.modelName))
        request = RunRequest(self.input, model, str(self.parameters.device), (int(stage),) if stage else ())
        sequence = sequence_of(slicer.mrmlScene, self.input)
        self._series = TimeRun(request, sequence) if sequence is not None and self.parameters.allTimePoints else None
        self.run.start(self._series.next_request() if self._series is not None else request)
        self.ui.detailsText.visible = False
        self.panel.refresh()

    def cancel(self) -> None:
        """Stop at the next slice and keep what is there; of a sequence, the time points that are complete."""
        if self._series is not None:
            self._series.stopped = True
        self.run.cancel()

    def _on_progress(self, done: int, total: int, message: str, left_s: float | None) -> None:
        bar = self.ui.progressBar
        bar.visible = self.ui.cancelButton.visible = True
        bar.maximum = total  # 0 shows a bar without a percentage
        bar.value = done
        left = "" if left_s is None else " · " + _("{time} left").format(time=duration(left_s))
        count = f" {done} / {total}" if total else ""
        series = "" if self._series is None else f"{self._series.place()} · "
        self.ui.statusLabel.text = f"{series}{message}{count}{left}"

    def _on_rows(self) -> None:
        if self.run.live is not None and self.run.node is self.input:
            self.panel.results.show_live(self.run.live)

    def _on_end(self, end: RunEnd) -> None:
        series = self._series
        if series is not None and series.take(end):
            self.run.start(series.next_request())
            return
        self._series = None
        self._show_idle()
        with self.panel.shown_errors():
            if series is not None:
                end = series.end(end)
            self.ui.statusLabel.text = end.message or (_("Done.") if end.nodes is not None else "")
        self.ui.detailsText.visible = bool(end.log)
        self.ui.detailsText.plainText = end.log
        self.panel.on_run_end(end)

    def _show_idle(self) -> None:
        self.ui.progressBar.visible = False
        self.ui.cancelButton.visible = False
        self.ui.detailsText.visible = False

    def _store(self, name: str, value: object) -> None:
        if self.parameters is not None:
            setattr(self.parameters, name, value)


def duration(seconds: float) -> str:
    """Time that is left, for people."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"
