"""How well scores agree with labels: the measures of LDCTIQAC2023, error, bands, intervals and pair order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Scores = NDArray[np.floating]


class Interval(NamedTuple):
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def plcc(predicted: Scores, true: Scores) -> float:
    """Absolute Pearson correlation; 0 where either side is constant."""
    return 0.0 if np.ptp(predicted) == 0 or np.ptp(true) == 0 else abs(float(stats.pearsonr(predicted, true)[0]))


def srocc(predicted: Scores, true: Scores) -> float:
    """Absolute Spearman correlation; 0 where either side is constant."""
    return 0.0 if np.ptp(predicted) == 0 or np.ptp(true) == 0 else abs(float(stats.spearmanr(predicted, true)[0]))


def krocc(predicted: Scores, true: Scores) -> float:
    """Absolute Kendall tau-b; 0 where either side is constant."""
    return 0.0 if np.ptp(predicted) == 0 or np.ptp(true) == 0 else abs(float(stats.kendalltau(predicted, true)[0]))


def overall(predicted: Scores, true: Scores) -> float:
    """The challenge's figure: the sum of the three correlations, at most 3."""
    return plcc(predicted, true) + srocc(predicted, true) + krocc(predicted, true)


def mae(predicted: Scores, true: Scores) -> float:
    """Mean absolute error in score points."""
    return float(np.mean(np.abs(predicted - true)))


def rmse(predicted: Scores, true: Scores) -> float:
    """Root mean square error in the unit of the scores."""
    return float(np.sqrt(np.mean((predicted - true) ** 2)))


MEASURES: dict[str, Callable[[Scores, Scores], float]] = {
    "PLCC": plcc,
    "SROCC": srocc,
    "KROCC": krocc,
    "sum": overall,
    "MAE": mae,
}


def band_plcc(predicted: Scores, true: Scores) -> dict[str, float]:
    """Pearson correlation, with its sign, within each one-point band of the true score that has ten images or more.

    Not the absolute value: within a band a scorer may well be turned around, which must not count in its favour.
    """
    bands = {}
    for low in range(4):
        inside = (true >= low) & ((true < low + 1) | ((low == 3) & (true == 4)))
        if inside.sum() >= 10:
            constant = np.ptp(predicted[inside]) == 0 or np.ptp(true[inside]) == 0
            bands[f"{low}-{low + 1}"] = 0.0 if constant else float(stats.pearsonr(predicted[inside], true[inside])[0])
    return bands


def bootstrap(
    measure: Callable[[Scores, Scores], float],
    predicted: Scores,
    true: Scores,
    sources: Sequence[str],
    repeats: int = 500,
    seed: int = 0,
) -> Interval:
    """95 % interval from resampling source slices, because variants of one slice are not independent.

    Args:
        sources: source slice of each image; whole sources are drawn.
    """
    names, index = np.unique(np.asarray(sources), return_inverse=True)
    members = [np.flatnonzero(index == n) for n in range(len(names))]
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(repeats):
        chosen = np.concatenate([members[n] for n in rng.integers(0, len(members), len(members))])
        draws.append(measure(predicted[chosen], true[chosen]))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Interval(measure(predicted, true), float(low), float(high))


class PairOrder(NamedTuple):
    """How many pairs of one source slice, alike but for a factor of at least two in one setting, are in order."""

    right: int
    pairs: int

    @property
    def share(self) -> float:
        """Share of pairs in order, NaN without pairs."""
        return self.right / self.pairs if self.pairs else float("nan")


def pair_order(
    predicted: Scores, sources: Sequence[str], doses: Sequence[float], views: Sequence[int]
) -> dict[str, PairOrder]:
    """Order of pairs that differ in dose only, and in views only, by a factor of two or more.

    Returns:
        By "dose" and "views", and by "dose, next step" and "views, next step" for the pairs less than fourfold apart,
        which are the hard ones. A tie counts as wrong.
    """
    counts = {kind + step: [0, 0] for kind in ("dose", "views") for step in ("", ", next step")}
    by_source: dict[str, list[int]] = {}
    for n, source in enumerate(sources):
        by_source.setdefault(source, []).append(n)
    for members in by_source.values():
        for a in members:
            for b in members:
                if views[a] == views[b] and doses[a] >= 2 * doses[b]:
                    kind, ratio = "dose", doses[a] / doses[b]
                elif doses[a] == doses[b] and views[a] >= 2 * views[b]:
                    kind, ratio = "views", views[a] / views[b]
                else:
                    continue
                for counted in (kind, f"{kind}, next step") if ratio < 4 else (kind,):
                    counts[counted][0] += int(predicted[a] > predicted[b])
                    counts[counted][1] += 1
    return {kind: PairOrder(*pair) for kind, pair in counts.items()}
