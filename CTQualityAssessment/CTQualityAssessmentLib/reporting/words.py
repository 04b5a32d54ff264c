"""The sentences in which an assessment is told, shared by the page, the web page and the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from CTQualityAssessmentLib.results import FAIR_SCORE, VolumeAssessment

DISCLAIMER = "A research tool, not a medical device; do not judge denoised images by this score alone."

#: Acquisition facts as a reader expects them: name, label, unit.
FACT_LABELS: tuple[tuple[str, str, str], ...] = (
    ("manufacturer", "Vendor", ""),
    ("scanner_model", "Scanner", ""),
    ("body_part", "Body part", ""),
    ("kvp", "Tube voltage", "kV"),
    ("tube_current_ma", "Tube current", "mA"),
    ("exposure_mas", "Exposure", "mAs"),
    ("ctdivol_mgy", "CTDIvol", "mGy"),
    ("ctdi_phantom_cm", "CTDI phantom", "cm"),
    ("kernel", "Kernel", ""),
    ("reconstruction", "Reconstruction", ""),
    ("slice_thickness_mm", "Slice thickness", "mm"),
    ("reconstruction_diameter_mm", "Field of view", "mm"),
    ("gantry_tilt_deg", "Gantry tilt", "°"),
    ("contrast", "Contrast agent", ""),
)
_ON_THE_PAGE = ("kvp", "exposure_mas", "ctdivol_mgy", "kernel", "slice_thickness_mm")


def headline(assessment: VolumeAssessment) -> tuple[str, str]:
    """The verdict on the volume and its diagnostic meaning."""
    summary = assessment.summary
    if summary.mean is None:
        reasons = {one.refusal.reason for one in assessment.slices if one.refusal}
        return "No score", "No slice could be scored. " + " ".join(sorted(reasons)[:2])
    return f"{summary.mean:.1f} of 4: {summary.grade}", f"Mean over the scored slices; {summary.meaning}."


def summary_line(assessment: VolumeAssessment) -> str:
    """The volume in numbers, in one line."""
    summary = assessment.summary
    parts = [f"{summary.scored} of {summary.slices} slices scored, {summary.refused} refused"]
    if summary.mean is not None:
        parts += [
            f"median {summary.median:.1f}",
            f"10th percentile {summary.percentile_10:.1f}",
            f"range {summary.minimum:.1f} to {summary.maximum:.1f}",
            f"{summary.share_below_fair:.0%} below Fair ({FAIR_SCORE:g})",
            f"over {summary.scored_range_mm:.0f} mm",
        ]
    return " · ".join(parts)


def fact_text(name: str, facts: Mapping[str, Any]) -> str:
    """The fact of that name with its unit; "n/a" where the scanner did not say."""
    unit = next(unit for known, _, unit in FACT_LABELS if known == name)
    value = facts.get(name)
    if value is None:
        return "n/a"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = f"{value:.4g}" if isinstance(value, (int, float)) else str(value)
    return f"{text} {unit}".strip()


def facts_line(assessment: VolumeAssessment) -> str:
    """The facts that move image quality most, in one line."""
    labels = {name: label for name, label, _ in FACT_LABELS}
    return " · ".join(f"{labels[name]} {fact_text(name, assessment.facts)}" for name in _ON_THE_PAGE)
