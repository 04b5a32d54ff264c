"""What a denoising did, in lines for people."""

from __future__ import annotations

from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.reporting.measure_words import MEASURE_WORDS

_DISCLAIMER = "A research tool, not a medical device. Look at the residual: it must show noise and no anatomy."


def report_lines(report: DenoisingReport) -> list[str]:
    """One line for each thing to know, the guard's findings first."""
    lines = [
        f"{report.slices_denoised} of {report.slices} slices denoised in {report.seconds:.1f} s; "
        f"strength {report.strength.words()}."
    ]
    lines += [one.sentence() for one in report.retention]
    labels = {words.name: words.label for words in MEASURE_WORDS}
    for name, pair in (report.measures or {}).items():
        if pair.before is not None or pair.after is not None:
            lines.append(f"{labels[name]}: {_number(pair.before)} before, {_number(pair.after)} after")
    if report.bias:
        moved = ", ".join(f"{name} {one.bias_hu:+.1f}" for name, one in report.bias.items())
        lines.append(f"Mean change of HU: {moved}")
    if report.scores is not None:
        lines.append(f"Mean score: {_number(report.scores.before)} before, {_number(report.scores.after)} after")
    if report.findings is not None:
        before, after = len(report.findings.before), len(report.findings.after)
        lines.append(f"Boxes of the lesion detector (no diagnosis): {before} before, {after} after")
    lines += [f"Warning: {warning}" for warning in report.warnings]
    return [*lines, f"{report.model.statement} {_DISCLAIMER}"]


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"
