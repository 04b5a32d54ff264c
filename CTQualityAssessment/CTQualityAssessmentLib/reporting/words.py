"""The sentences in which an assessment is told, shared by the page, the web page and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.reporting.fact_labels import FACT_LABELS
from CTQualityAssessmentLib.results import FAIR_SCORE, MAP_KINDS, AttentionMap, VolumeAssessment, grade
from CTQualityAssessmentLib.translation import said, texts_of

_ = texts_of(__file__)

_ON_THE_PAGE = ("kvp", "exposure_mas", "ctdivol_mgy", "kernel", "slice_thickness_mm")


def verdict_score(assessment: VolumeAssessment) -> float | None:
    """The score of the volume: of a network that reads volumes its own, else the mean over the slices."""
    return assessment.summary.mean if assessment.volume_score is None else assessment.volume_score


def modality_word(assessment: VolumeAssessment) -> str:
    """The modality that the result is of, CT or MR."""
    return "MR" if assessment.facts.get("modality") == "MR" else "CT"


def told_line(assessment: VolumeAssessment) -> str:
    """What the network was told about the volume; empty where it is told nothing."""
    return f"The network was told: {assessment.prompt.text}" if assessment.prompt else ""


def curve_reading(assessment: VolumeAssessment) -> str:
    """What a dot of the curve is."""
    if assessment.volume_score is None:
        return "Each dot is a slice"
    return "Each dot is a slice, its value interpolated between the layers in which the network saw the volume"


def headline(assessment: VolumeAssessment) -> tuple[str, str]:
    """The verdict on the volume and its diagnostic meaning."""
    summary = assessment.summary
    if summary.mean is None:
        reasons = sorted({one.refusal.reason for one in assessment.slices if one.refusal})
        return _("No score"), " ".join([_("No slice could be scored."), *map(said, reasons[:2])])
    if assessment.volume_score is not None:
        word, meaning = grade(assessment.volume_score)
        return (
            _("{score:.1f} of 4: {word}").format(score=assessment.volume_score, word=said(word)),
            _("Of the volume as a whole; the word stands for: {meaning}.").format(meaning=said(meaning)),
        )
    return (
        _("{score:.1f} of 4: {word}").format(score=summary.mean, word=said(summary.grade or "")),
        _("Mean over the scored slices; the word stands for: {meaning}.").format(meaning=said(summary.meaning or "")),
    )


def summary_line(assessment: VolumeAssessment) -> str:
    """The volume in numbers, in one line."""
    s = assessment.summary
    counts = {"scored": s.scored, "slices": s.slices, "refused": s.refused}
    parts = [_("{scored} of {slices} slices scored, {refused} refused").format(**counts)]
    if s.mean is not None:
        parts += [
            _("median {score:.1f}").format(score=s.median),
            _("10th percentile {score:.1f}").format(score=s.percentile_10),
            _("range {low:.1f} to {high:.1f}").format(low=s.minimum, high=s.maximum),
            _("{share:.0%} under {fair:g}, the score of Fair").format(share=s.share_below_fair, fair=FAIR_SCORE),
            _("over {length:.0f} mm").format(length=s.scored_range_mm),
        ]
    return " · ".join(parts)


def fact_text(name: str, facts: Mapping[str, Any]) -> str:
    """The fact of that name with its unit; "n/a" where the scanner did not say."""
    unit = next(unit for known, _, unit in FACT_LABELS if known == name)
    value = facts.get(name)
    if value is None:
        return _("n/a")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    text = f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
    return f"{text} {unit}".strip()


def verdict_sentences(assessment: VolumeAssessment) -> list[str]:
    """The volume in words, sentence by sentence, as one would tell it to a colleague."""
    summary = assessment.summary
    found = []
    if summary.scored:
        below = sum(1 for one in assessment.slices if one.score is not None and one.score < FAIR_SCORE)
        slices = "The one scored slice" if summary.scored == 1 else f"{below} of {summary.scored} scored slices"
        verb = "is" if summary.scored == 1 and below else "is not" if summary.scored == 1 else _be(below)
        found.append(f"{slices} {verb} below {FAIR_SCORE:g}, the score of Fair.")
    if summary.scored > 1 and summary.best is not None:
        worst, best = assessment.slices[summary.worst[0]], assessment.slices[summary.best]
        found += [
            f"The worst is slice {worst.index} ({worst.score:.1f}, {worst.grade}), the best slice {best.index} "
            f"({best.score:.1f}, {best.grade}); the median score is {summary.median:.1f}, the 10th percentile "
            f"{summary.percentile_10:.1f}.",
            f"The scored slices span {summary.scored_range_mm:.0f} mm.",
        ]
    if summary.refused and summary.scored:
        found.append(f"{summary.refused} of {summary.slices} slices {_have(summary.refused)} no score.")
    return found


def _be(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def slice_words(assessment: VolumeAssessment, index: int, measures: PhysicalMeasures | None = None) -> str:
    """One slice in a line: score or refusal, then noise and dose where they are known."""
    one = assessment.slices[index]
    if one.score is None:
        parts = [f"slice {index}, no score: {one.refusal.reason if one.refusal else 'unknown'}"]
    else:
        sd = "" if one.sd is None else f" ± {one.sd:.1f}"
        parts = [f"slice {index}, score {one.score:.1f}{sd} ({one.grade})"]
    if measures and measures.slices[index].noise_hu is not None:
        parts.append(f"noise {measures.slices[index].noise_hu:.1f} HU")
    if one.tube_current_ma is not None:
        parts.append(f"{one.tube_current_ma:.0f} mA")
    if one.ctdivol_mgy is not None:
        parts.append(f"CTDIvol {one.ctdivol_mgy:.1f} mGy")
    return ", ".join(parts)


def spread_reading(assessment: VolumeAssessment) -> str:
    """How to read the grey band of the curve; empty where the network gives no distribution."""
    if not any(one.sd is not None for one in assessment.slices):
        return ""
    return ", the grey band one standard deviation of the network's own distribution (not an error against readers)"


def map_reading(shown: AttentionMap) -> str:
    """How to read the colours of a map."""
    kind = MAP_KINDS[shown.kind]
    stage = f", in stage {shown.stage} of the network" if shown.stage else ""
    return f"{kind.quantity}, relative to an even spread (1, transparent){stage}. {kind.note}"


def dose_text(assessment: VolumeAssessment) -> list[tuple[str, str]]:
    """Label and range over the slices of what their own headers say about dose; empty where they say nothing."""
    found = []
    for name, label, unit in FACT_LABELS:
        if name not in ("tube_current_ma", "exposure_mas", "ctdivol_mgy"):
            continue
        values = [value for one in assessment.slices if (value := getattr(one, name)) is not None]
        if values and min(values) < max(values):
            found.append((f"{label}, slice by slice", f"{min(values):.4g} to {max(values):.4g} {unit}"))
    return found


def not_the_score(assessment: VolumeAssessment) -> list[str]:
    """What the score must not be taken for, one sentence each."""
    labels = (
        "Its training labels were computed from simulated noise and missing views; no radiologist gave them."
        if assessment.model.simulated_labels
        else "It was trained on the scores of a few readers, and says what they would probably have said."
    )
    return [
        f"It is not a radiologist's opinion. {labels}",
        "It is not a statement about the patient: it does not know whether a lesion can be seen, nor whether phase, "
        "range and protocol were the right ones.",
        "It is not a measure of dose or of the scanner; the physical measures are nearer to that.",
        "It is not fit to judge a denoised or iteratively reconstructed image alone: a smoother image can score higher "
        "while it shows less.",
        "The standard deviation is the network's own doubt. It is not calibrated against readers."
        if spread_reading(assessment)
        else "It comes without a measure of its own doubt: this network gives a number and nothing else.",
        "A slice without a score is not a bad slice: the program does not know.",
        "Scores of different weights cannot be compared: compare the SHA-256 below first.",
    ]


def facts_line(assessment: VolumeAssessment) -> str:
    """The facts that move image quality most, in one line."""
    labels = {name: label for name, label, _ in FACT_LABELS}
    return " · ".join(f"{labels[name]} {fact_text(name, assessment.facts)}" for name in _ON_THE_PAGE)
