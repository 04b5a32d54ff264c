"""Where everything in a chart of the group page goes; the template only draws it.

Lengths are in the units of the charts' own coordinate system, 1000 wide, with y downwards.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from CTQualityAssessmentLib.batch.groups import Scored, grouped
from CTQualityAssessmentLib.results import MAX_SCORE

WIDTH = 1000.0
_LEFT, _RIGHT = 350.0, 980.0
_ROW, _TOP = 46.0, 8.0
#: Dots as close as this along x are stacked, this far apart, at most so far from the middle of their row.
_DOT, _STACK, _MOST = 7.0, 5.0, 17.0
_MOST_GROUPS = 20
#: Fewest studies for a box of quartiles; fewer are shown as dots only.
_FEWEST_FOR_BOX = 5
_PLOT = (70.0, 20.0, 980.0, 380.0)  # left, top, right, bottom of a scatter plot


@dataclass(frozen=True)
class Dot:
    """One study: where, what its tooltip says, and where a click leads."""

    x: float
    y: float
    text: str
    link: str
    outlier: bool


@dataclass(frozen=True)
class Tick:
    """A grid line at ``at`` with its label."""

    at: float
    text: str


@dataclass(frozen=True)
class StripRow:
    """The studies of one group: its dots, and quartiles and median along x where they are enough."""

    label: str
    count: int
    y: float
    dots: tuple[Dot, ...]
    box: tuple[float, float, float] | None
    median: float


@dataclass(frozen=True)
class StripChart:
    """Scores by group, one row each, lowest median first; ``left_out`` counts groups beyond the largest ones."""

    rows: tuple[StripRow, ...]
    ticks: tuple[Tick, ...]
    height: float
    left: float
    right: float
    left_out: int


@dataclass(frozen=True)
class ScatterChart:
    """Score against a quantity on a logarithmic axis."""

    dots: tuple[Dot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    plot: tuple[float, float, float, float]
    height: float
    unknown: int


def strip_chart(studies: Sequence[Scored], by: Callable[[Scored], str], outliers: set[str]) -> StripChart:
    """The distribution of the score in each group."""
    groups = grouped(studies, by)
    largest = set(sorted(groups, key=lambda name: -len(groups[name]))[:_MOST_GROUPS])
    rows = []
    for label, members in groups.items():
        if label in largest:
            rows.append(_strip_row(label, members, _TOP + (len(rows) + 0.5) * _ROW, outliers))
    ticks = tuple(Tick(_score_x(n), str(n)) for n in range(round(MAX_SCORE) + 1))
    height = _TOP + len(rows) * _ROW + 30
    return StripChart(tuple(rows), ticks, height, _LEFT, _RIGHT, len(groups) - len(rows))


def scatter_chart(studies: Sequence[Scored], name: str, unit: str, outliers: set[str]) -> ScatterChart | None:
    """Score against one of the figures of the studies; None where fewer than two studies have it.

    Args:
        studies: those with a score.
        name: of the figure, positive.
        unit: for the tooltips.
        outliers: names of the studies to mark.
    """
    known = [one for one in studies if (one.values.get(name) or 0) > 0]
    if len(known) < 2:
        return None
    left, top, right, bottom = _PLOT
    logs = np.log10([float(one.values[name]) for one in known])
    margin = max(0.04 * float(np.ptp(logs)), 0.02)
    low, high = float(logs.min()) - margin, float(logs.max()) + margin

    def x_of(log: float) -> float:
        return left + (right - left) * (log - low) / (high - low)

    def y_of(score: float) -> float:
        return bottom - (bottom - top) * score / MAX_SCORE

    dots = tuple(
        Dot(
            round(x_of(float(log)), 1),
            round(y_of(one.score), 1),
            f"{_text(one)}; {one.values[name]:.3g} {unit}",
            one.link,
            one.name in outliers,
        )
        for one, log in zip(known, logs, strict=True)
    )
    x_ticks = tuple(Tick(round(x_of(math.log10(value)), 1), f"{value:g}") for value in _round_values(low, high))
    y_ticks = tuple(Tick(y_of(n), str(n)) for n in range(round(MAX_SCORE) + 1))
    return ScatterChart(dots, x_ticks, y_ticks, _PLOT, bottom + 62, len(studies) - len(known))


def _strip_row(label: str, members: Sequence[Scored], y: float, outliers: set[str]) -> StripRow:
    scores = np.array([one.score for one in members])
    quartiles = np.percentile(scores, (25, 50, 75))
    box = tuple(round(_score_x(value), 1) for value in quartiles) if len(members) >= _FEWEST_FOR_BOX else None
    stacked: Counter[int] = Counter()
    dots = []
    for one in sorted(members, key=lambda s: s.score):
        x = _score_x(one.score)
        place = stacked[round(x / _DOT)]
        stacked[round(x / _DOT)] += 1
        # 0, up, down, further up, ...; where a heap is higher than the row, it starts again in the middle.
        step = (place % (2 * int(_MOST / _STACK) + 1) + 1) // 2 * _STACK * (-1 if place % 2 else 1)
        dots.append(Dot(round(x, 1), round(y + step, 1), _text(one), one.link, one.name in outliers))
    return StripRow(label, len(members), y, tuple(dots), box, float(quartiles[1]))  # type: ignore[arg-type]


def _round_values(low: float, high: float) -> list[float]:
    """Round numbers between two decimal logarithms, about four to ten of them."""
    for digits in (
        (1.0,),
        (1.0, 2.0, 5.0),
        (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0),
        tuple(n / 10 for n in range(10, 100, 2)),
    ):
        decades = range(math.floor(low), math.ceil(high) + 1)
        values = [digit * 10.0**power for power in decades for digit in digits]
        values = [value for value in values if low <= math.log10(value) <= high]
        if len(values) >= 4:
            break
    return values[:: max(1, math.ceil(len(values) / 9))]


def _score_x(score: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * score / MAX_SCORE


def _text(one: Scored) -> str:
    return f"{one.name[:8]}: {one.score:.2f}; {one.protocol}; {one.kernel}; {one.scanner}"
