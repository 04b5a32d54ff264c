"""What a denoising did, in words for people: lines of the command line, sentences of the page."""

from __future__ import annotations

import math

from CTQualityAssessmentLib.denoising import LEAST_KEPT, DenoisingReport, Findings, Retention
from CTQualityAssessmentLib.reporting.measure_labels import MEASURE_WORDS
from CTQualityAssessmentLib.reporting.measure_words import number_text
from CTQualityAssessmentLib.translation import said

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
        moved = ", ".join(f"{name} {signed(one.bias_hu)}" for name, one in report.bias.items())
        lines.append(f"Mean change of HU: {moved}")
    if report.scores is not None:
        lines.append(f"Mean score: {_number(report.scores.before)} before, {_number(report.scores.after)} after")
    if report.findings is not None:
        lines.append(finding_counts(report.findings))
    lines += [f"Warning: {warning}" for warning in report.warnings]
    return [*lines, f"{report.model.statement} {DENOISING_DISCLAIMER}"]


def measure_rows(report: DenoisingReport) -> list[tuple[str, str, str]]:
    """Name of each physical measure that one of the volumes has, before and after, in words."""
    words = {one.name: one for one in MEASURE_WORDS}
    return [
        (said(words[name].label), number_text(words[name], pair.before), number_text(words[name], pair.after))
        for name, pair in (report.measures or {}).items()
        if pair.before is not None or pair.after is not None
    ]


def finding_counts(findings: Findings) -> str:
    """How many boxes the detector marks before and after."""
    before, after = len(findings.before), len(findings.after)
    return f"Boxes of the lesion detector (no diagnosis): {before} before, {after} after"


def percent_kept(share: float) -> str:
    """Rounded down, as in :meth:`~CTQualityAssessmentLib.denoising.Retention.sentence`: '93 %'."""
    return f"{math.floor(100 * share + 1e-6)} %"


def denoising_headline(report: DenoisingReport) -> tuple[str, str]:
    """The verdict of the guard on a denoising, and what it rests on."""
    measured = [one for one in report.retention if one.kept is not None]
    if not measured:
        why = "there was no room for one in this volume" if report.retention else "the guard was not run"
        return "Not known whether lesions survive", f"No lesion was put in for trial: {why}."
    least = min(one.kept for one in measured if one.kept is not None)
    if any(one.flagged for one in measured):
        return (
            f"Red flag: {percent_kept(least)} of a lesion's signal kept",
            f"Of some lesions put into this volume for trial less than {LEAST_KEPT * 100:g} % of the signal is left. "
            "Such lesions may be lost: lower the strength, or keep the original.",
        )
    somewhere = "" if len(measured) == len(report.retention) else ", where it could be measured"
    return (
        f"{percent_kept(least)} or more of the lesions' signal kept{somewhere}",
        "Of lesions put into this volume for trial. It says how much signal is left, not whether a reader finds a "
        "lesion.",
    )


def denoising_sentences(report: DenoisingReport) -> list[str]:
    """What was done and what it changed, sentence by sentence, without the guard's findings."""
    found = [
        f"{report.slices_denoised} of {report.slices} slices were denoised; the others show no patient. Strength: "
        f"{report.strength.words()}."
        if report.slices_denoised < report.slices
        else f"All {report.slices} slices were denoised. Strength: {report.strength.words()}."
    ]
    noise = (report.measures or {}).get("noise_hu")
    if noise is not None and noise.before and noise.after is not None:
        verb = "fell" if noise.after < noise.before else "rose" if noise.after > noise.before else "stayed"
        found.append(
            f"The global noise level {verb} from {noise.before:.1f} to {noise.after:.1f} HU "
            f"({change_text(noise.before, noise.after)})."
        )
    if report.bias:
        name, most = max(report.bias.items(), key=lambda item: abs(item[1].bias_hu))
        found.append(f"The mean of {name} moved most of all tissues, by {signed(most.bias_hu)} HU.")
    return found


def change_text(before: float | None, after: float | None) -> str:
    """The change in percent of what was before: '-53 %'; 'n/a' where there is none."""
    if not before or after is None:
        return "n/a"
    return f"{signed(100 * (after - before) / abs(before), 0)} %"


def signed(value: float, decimals: int = 1) -> str:
    """A change with its sign; one that rounds to zero has none."""
    text = f"{value:+.{decimals}f}"
    return text.lstrip("+-") if float(text) == 0 else text


def lesion_text(one: Retention) -> str:
    """Which lesions were put in: '4 mm, ±20 HU, soft tissue'."""
    return f"{one.diameter_mm:g} mm, ±{one.contrast_hu:g} HU, {one.tissue}"


#: What a denoised volume must not be taken for, one sentence each.
NOT_THE_DENOISING = (
    "It is not proof that nothing was lost. The guard's lesions are round discs of a few sizes and contrasts; real "
    "ones are other.",
    "It is not a dose reduction: the scan stays the one that was made.",
    "It is not fit for measuring noise, dose or scanner: those figures belong to the original.",
    "It does not replace the original. Keep it, and look at it where something depends on a faint detail.",
    "The quality score does not judge it: the scorer was never trained on denoised images.",
)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"
