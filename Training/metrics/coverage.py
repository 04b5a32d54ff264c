"""Whether the interval that a distribution of scores gives holds the true score as often as it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Shares that the intervals are meant to hold.
NOMINAL = (0.5, 0.8, 0.95)


class Coverage(NamedTuple):
    """How many true scores lie in the interval, and how wide it is on average, in score points."""

    share: float
    width: float


def interval(probabilities: NDArray[np.floating], share: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the central interval of distributions ``(N, K)`` over evenly spread scores of 0 to 4.

    The probability of a grade is spread evenly over half a step to each side; the ends are cut to 0 and 4.
    """
    levels = probabilities.shape[1]
    half = 2.0 / (levels - 1)
    edges = np.linspace(-half, 4.0 + half, levels + 1)
    cumulative = np.concatenate([np.zeros((len(probabilities), 1)), np.cumsum(probabilities, axis=1)], axis=1)
    cumulative /= cumulative[:, -1:]
    tail = (1 - share) / 2
    ends = np.array([np.interp([tail, 1 - tail], row, edges) for row in cumulative])
    ends = np.clip(ends, 0.0, 4.0)
    return ends[:, 0], ends[:, 1]


def coverage(
    probabilities: NDArray[np.floating], true: NDArray[np.floating], shares: Sequence[float] = NOMINAL
) -> dict[float, Coverage]:
    """By the share that an interval is meant to hold."""
    found = {}
    for share in shares:
        low, high = interval(np.asarray(probabilities, dtype=np.float64), share)
        inside = (true >= low - 1e-9) & (true <= high + 1e-9)
        found[share] = Coverage(float(inside.mean()), float((high - low).mean()))
    return found
