"""Volumes and assessments with known content, for tests of everything that renders or stores results.

The values are made up but consistent with each other: means and deviations follow from the distributions, the summary
from the slices.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from CTQualityAssessmentLib.results import (
    MAX_SCORE,
    SCORE_STEP,
    AttentionMap,
    Geometry,
    ModelIdentity,
    Refusal,
    SliceAssessment,
    VolumeAssessment,
    VolumeSummary,
    grade,
    snap_score,
)
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume, grid_affine

MODEL = ModelIdentity(
    name="clinreadnet-small",
    version="0.1.0",
    sha256="0123456789abcdef" * 4,
    window="ldctiqa",
    network="ClinReadNet",
    simulated_labels=True,
    statement="Trained on scores derived from simulated dose, not on radiologists' scores.",
)


def affine(
    spacing: Sequence[float] = (1.5, 1.5, 4.0),
    origin: Sequence[float] = (20.0, -35.0, 110.0),
    rotation_deg: Sequence[float] = (0.0, 0.0, 0.0),
    flip: Sequence[int] = (1, 1, 1),
    shear: float = 0.0,
    permutation: Sequence[int] = (0, 1, 2),
) -> np.ndarray:
    """A 4 x 4 IJK-to-RAS matrix. Starts from the usual CT storage order (columns to left, rows to posterior, up).

    ``rotation_deg`` turns about R, A and S in this order; ``flip`` mirrors i, j or k; ``shear`` shifts each slice along
    its rows' direction in millimetres per millimetre (gantry tilt); ``permutation[a]`` is the patient direction (0 row
    direction, 1 column direction, 2 stacking direction) that array axis ``a`` of i, j, k runs along.
    """
    directions = np.diag([-1.0, -1.0, 1.0])
    directions[:, 2] += shear * directions[:, 1]
    for axis, angle in enumerate(np.deg2rad(rotation_deg)):
        a, b = [x for x in (0, 1, 2) if x != axis]
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        directions = turn @ directions
    matrix = np.eye(4)
    matrix[:3, :3] = (directions[:, list(permutation)] * flip) * np.asarray(spacing)
    matrix[:3, 3] = origin
    return matrix


def make_volume(
    shape_kji: tuple[int, int, int] = (6, 20, 24), ijk_to_ras: np.ndarray | None = None, acquisition_axis: int = 2
) -> Volume:
    """Air with an off-centre box of soft tissue, different in every direction so that no flip goes unseen."""
    hu = np.full(shape_kji, -1000, np.int16)
    hu[tuple(slice(n // 5, n - n // 3) for n in shape_kji)] = 40
    matrix = affine() if ijk_to_ras is None else ijk_to_ras
    return Volume(hu, matrix, acquisition_axis, AcquisitionFacts(modality="CT", kvp=120.0))


def make_body(volume: Volume) -> np.ndarray:
    """The patient on canonical slices, ``(n, rows, columns)`` bool."""
    return np.asarray(volume.canonical_slices().hu > -500)


def make_assessment(
    volume: Volume, scores: Sequence[float | None] | None = None, attention: Sequence[AttentionMap] = ()
) -> VolumeAssessment:
    """An assessment with these expected scores; ``None`` is a refused slice.

    By default the first slice is refused and the rest rise evenly from 0.1 to 3.9 so that every slice is different.
    """
    n = volume.slice_count
    if scores is None:
        scores = [None, *np.linspace(0.1, 3.9, max(n - 1, 1))][:n]
    assert len(scores) == n
    slices = tuple(make_slice(volume, index, score) for index, score in enumerate(scores))
    return VolumeAssessment(
        model=MODEL,
        geometry=Geometry(volume.hu.shape, tuple(map(tuple, volume.ijk_to_ras.tolist())), volume.acquisition_axis),
        slices=slices,
        summary=_summary(volume, slices),
        device="cpu",
        versions={"ctqualityassessment": "0.1.0", "python": "3.11"},
        timings_s={"prepare": 0.1, "network": 1.25, "total": 1.35},
        facts=volume.facts.known(),
        warnings=("The slice thickness is not known.",),
        attention=tuple(attention),
    )


def make_slice(volume: Volume, index: int, score: float | None) -> SliceAssessment:
    """One slice with a bell-shaped distribution about ``score``, or refused where that is None."""
    centre = volume.slice_centre_ras(index)
    if score is None:
        return SliceAssessment(index, centre, 0.01, refusal=Refusal("no-body", 'No patient in view ("air" only).'))
    bins = np.linspace(0.0, MAX_SCORE, round(MAX_SCORE / SCORE_STEP) + 1)
    p = np.exp(-0.5 * ((bins - score) / 0.35) ** 2)
    p /= p.sum()
    return SliceAssessment(
        index=index,
        centre_ras=centre,
        body_fraction=0.4,
        score=float(score),
        snapped=snap_score(score),
        grade=grade(score)[0],
        distribution=tuple(p.tolist()),
        sd=float(np.sqrt(p @ bins**2 - (p @ bins) ** 2)),
        entropy=float(-(p[p > 0] @ np.log2(p[p > 0]))),
        novelty=0.5,
    )


def make_attention(
    volume: Volume,
    name: str = "focus",
    stage: int | None = 3,
    grid: tuple[int, int] = (5, 6),
    refused: Sequence[int] = (0,),
    kind: str = "attention",
) -> AttentionMap:
    """A map of ``grid`` (rows, columns) blocks, every value different, NaN on refused slices."""
    canonical = volume.canonical_slices()
    n, rows, columns = canonical.hu.shape
    values = 0.5 + np.arange(n * grid[0] * grid[1], dtype=np.float32).reshape(n, *grid) / 100
    values[list(refused)] = np.nan
    return AttentionMap(name, stage, values, grid_affine(canonical.ijk_to_ras, columns / grid[1], rows / grid[0]), kind)


def _summary(volume: Volume, slices: Sequence[SliceAssessment]) -> VolumeSummary:
    scored = [s for s in slices if s.score is not None]
    if not scored:
        return VolumeSummary(slices=len(slices), scored=0, refused=len(slices))
    values = np.array([s.score for s in scored])
    order = np.argsort(values, kind="stable")
    word, meaning = grade(float(values.mean()))
    ends = np.array([scored[0].centre_ras, scored[-1].centre_ras])
    return VolumeSummary(
        slices=len(slices),
        scored=len(scored),
        refused=len(slices) - len(scored),
        mean=float(values.mean()),
        median=float(np.median(values)),
        percentile_10=float(np.percentile(values, 10)),
        minimum=float(values.min()),
        maximum=float(values.max()),
        share_below_fair=float((values < 2.0).mean()),
        grade=word,
        meaning=meaning,
        worst=tuple(scored[i].index for i in order[:10]),
        best=scored[order[-1]].index,
        median_slice=scored[order[len(order) // 2]].index,
        scored_range_mm=float(np.linalg.norm(ends[1] - ends[0])),
    )
