"""From a fidelity to a score on the radiologists' scale.

A monotone map gives the fidelities of the training patients the distribution of the 1000 published training scores of
LDCTIQAG2023. What this score stands for, and what not, is in ``Training/README.md``: it is no reader's opinion.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from CTQualityAssessmentLib.results import MAX_SCORE, snap_score
from numpy.typing import NDArray

#: How many of the 1000 published training images have the score 0.0, 0.2 ... 4.0 (mean of five readers).
PUBLISHED_HISTOGRAM = (25, 19, 22, 42, 48, 56, 51, 65, 65, 74, 53, 56, 60, 62, 42, 65, 35, 42, 31, 51, 36)
#: The fidelity behind the default weights; the comparison that led to it is in ``Training/README.md``.
CHOSEN_FIDELITY = "psnr"


@dataclass(frozen=True)
class SurrogateScore:
    """Piecewise linear, increasing map from a fidelity to 0 ... 4."""

    fidelity: str
    knots: tuple[float, ...]
    scores: tuple[float, ...]

    @classmethod
    def fit(cls, fidelity: str, values: NDArray[np.floating]) -> SurrogateScore:
        """Matches quantiles of ``values`` with the quantiles of the published scores.

        Each published score stands for an interval of width 0.2 around it, so that snapping the mapped values gives
        back the published histogram.
        """
        edges = np.clip((np.arange(len(PUBLISHED_HISTOGRAM) + 1) - 0.5) * 0.2, 0.0, MAX_SCORE)
        shares = np.concatenate([[0.0], np.cumsum(PUBLISHED_HISTOGRAM)]) / sum(PUBLISHED_HISTOGRAM)
        knots = np.maximum.accumulate(np.quantile(np.asarray(values, dtype=np.float64), shares))
        knots += np.arange(len(knots)) * 1e-9  # strictly increasing even where values are tied
        return cls(fidelity, tuple(map(float, knots)), tuple(map(float, edges)))

    def __call__(self, fidelity: float) -> float:
        """Score in 0 ... 4, not snapped."""
        return float(np.interp(fidelity, self.knots, self.scores))

    def snapped(self, fidelity: float) -> float:
        """Score in steps of 0.2, as the published labels are."""
        return snap_score(self(fidelity))

    def to_dict(self) -> dict[str, Any]:
        """For ``surrogate.json``."""
        return {"fidelity": self.fidelity, "knots": list(self.knots), "scores": list(self.scores)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SurrogateScore:
        """Inverse of :meth:`to_dict`."""
        return cls(data["fidelity"], tuple(data["knots"]), tuple(data["scores"]))


def monotone(fidelities: Mapping[tuple[float, int], float]) -> dict[tuple[float, int], float]:
    """Fidelities of one slice by (dose, views), raised where a worse setting happened to come out better.

    A soft kernel can blur so much that one noise draw hides a step of dose by thousandths of a decibel; the order of
    dose and views is known and wins.
    """
    return {
        (dose, views): max(value for (d, v), value in fidelities.items() if d <= dose and v <= views)
        for dose, views in fidelities
    }


def dose_view_score(dose: float, views: int) -> float:
    """The score of design by dose and views alone: ``4 - 2.5 log10(1 / dose) - 0.75 log2(720 / views)``, in 0 ... 4."""
    return min(max(4.0 - 2.5 * math.log10(1 / dose) - 0.75 * math.log2(720 / views), 0.0), MAX_SCORE)
