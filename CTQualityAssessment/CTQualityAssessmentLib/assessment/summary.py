"""The volume in numbers, from its slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from CTQualityAssessmentLib.results import FAIR_SCORE, SliceAssessment, VolumeSummary, grade

_WORST_LISTED = 10


def summarise(slices: Sequence[SliceAssessment]) -> VolumeSummary:
    """Summary over the scored slices; see :class:`VolumeSummary` for each figure."""
    scored = [s for s in slices if s.score is not None]
    if not scored:
        return VolumeSummary(slices=len(slices), scored=0, refused=len(slices))
    scores = np.array([s.score for s in scored], dtype=np.float64)
    order = np.argsort(scores, kind="stable")
    centres = np.array([scored[0].centre_ras, scored[-1].centre_ras])
    word, meaning = grade(float(scores.mean()))
    return VolumeSummary(
        slices=len(slices),
        scored=len(scored),
        refused=len(slices) - len(scored),
        mean=float(scores.mean()),
        median=float(np.median(scores)),
        percentile_10=float(np.percentile(scores, 10)),
        minimum=float(scores.min()),
        maximum=float(scores.max()),
        share_below_fair=float((scores < FAIR_SCORE).mean()),
        grade=word,
        meaning=meaning,
        worst=tuple(scored[n].index for n in order[:_WORST_LISTED]),
        best=scored[order[-1]].index,
        median_slice=scored[order[(len(order) - 1) // 2]].index,
        scored_range_mm=float(np.linalg.norm(centres[1] - centres[0])),
    )
