"""``slices.csv``: one row per slice, for spreadsheets and statistics."""

from __future__ import annotations

import csv
from pathlib import Path

from CTQualityAssessmentLib.results import MAX_SCORE, SCORE_STEP, SliceAssessment, VolumeAssessment

_PROBABILITIES = tuple(f"p_{n * SCORE_STEP:.1f}" for n in range(round(MAX_SCORE / SCORE_STEP) + 1))

#: Slices count from 0 along the acquisition axis; positions are RAS millimetres; a refused slice has empty numbers.
COLUMNS: tuple[str, ...] = (
    "slice",
    "r_mm",
    "a_mm",
    "s_mm",
    "score",
    "snapped",
    "grade",
    "sd",
    "entropy_bits",
    "novelty",
    "body_fraction",
    "tube_current_ma",
    "exposure_mas",
    "ctdivol_mgy",
    "refusal",
    "reason",
    *_PROBABILITIES,
)


def write_csv(path: Path, assessment: VolumeAssessment) -> None:
    """Write the slices of an assessment to ``path`` as UTF-8 with the columns of :data:`COLUMNS`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(_row(one) for one in assessment.slices)


def _row(one: SliceAssessment) -> dict[str, object]:
    r, a, s = one.centre_ras
    numbers = {
        "r_mm": r,
        "a_mm": a,
        "s_mm": s,
        "score": one.score,
        "sd": one.sd,
        "entropy_bits": one.entropy,
        "novelty": one.novelty,
        "body_fraction": one.body_fraction,
        "tube_current_ma": one.tube_current_ma,
        "exposure_mas": one.exposure_mas,
        "ctdivol_mgy": one.ctdivol_mgy,
        **dict(zip(_PROBABILITIES, one.distribution, strict=False)),
    }
    return {
        "slice": one.index,
        "snapped": one.snapped,
        "grade": one.grade,
        "refusal": one.refusal.code if one.refusal else None,
        "reason": one.refusal.reason if one.refusal else None,
        # Six significant digits: more than the scale of 0.2 can carry, and rows that a person can still read.
        **{name: None if value is None else f"{value:.6g}" for name, value in numbers.items()},
    }
