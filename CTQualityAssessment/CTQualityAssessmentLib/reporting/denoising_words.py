"""What a denoising did, in lines for people."""

from __future__ import annotations

from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.reporting.measure_words import MEASURE_WORDS, number_text

DENOISING_DISCLAIMER = "A research tool, not a medical device. Look at the residual: it must show noise and no anatomy."


def report_lines(report: DenoisingReport) -> list[str]:
    """One line for each thing to know, the guard's findings first."""
    lines = [
        f"{report.slices_denoised} of {report.slices} slices denoised in {report.seconds:.1f} s; "
        f"strength {report.strength.words()}."
    ]
    lines += [one.sentence() for one in report.retention]
    lines += [f"{label}: {before} before, {after} after" for label, before, after in measure_rows(report)]
    if report.bias:
        moved = ", ".join(f"{name} {one.bias_hu:+.1f}" for name, one in report.bias.items())
        lines.append(f"Mean change of HU: {moved}")
    if report.scores is not None:
        lines.append(f"Mean score: {_number(report.scores.before)} before, {_number(report.scores.after)} after")
    if report.findings is not None:
        before, after = len(report.findings.before), len(report.findings.after)
        lines.append(f"Boxes of the lesion detector (no diagnosis): {before} before, {after} after")
    lines += [f"Warning: {warning}" for warning in report.warnings]
    return [*lines, f"{report.model.statement} {DENOISING_DISCLAIMER}"]


def measure_rows(report: DenoisingReport) -> list[tuple[str, str, str]]:
    """Name of each physical measure that one of the volumes has, before and after, in words."""
    words = {one.name: one for one in MEASURE_WORDS}
    return [
        (words[name].label, number_text(words[name], pair.before), number_text(words[name], pair.after))
        for name, pair in (report.measures or {}).items()
        if pair.before is not None or pair.after is not None
    ]


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"
