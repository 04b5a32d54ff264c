"""Where everything in a chart of months goes; the template only draws it.

Lengths are in the units of the charts' own coordinate system, as wide as those of the group page, with y downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from CTQualityAssessmentLib.batch.charts import WIDTH, Dot, Tick
from CTQualityAssessmentLib.record.drift import MonthOfGroup
from CTQualityAssessmentLib.results import MAX_SCORE

_LEFT, _RIGHT = 70.0, WIDTH - 20.0
_SCORES = (20.0, 300.0)  # top, bottom
_DOSES = (330.0, 410.0)
_HEIGHT = 450.0
#: Most labels of months that find room.
_LABELS = 7


@dataclass(frozen=True)
class MonthMark:
    """A month: its quartiles and median as y, its dose as y, and whether it is an alert."""

    x: float
    half: float
    quartiles: tuple[float, float]
    median: float
    dose: float | None
    alert: bool
    text: str


@dataclass(frozen=True)
class MonthChart:
    """Scores of one group along the months, with the dose below."""

    marks: tuple[MonthMark, ...]
    dots: tuple[Dot, ...]
    left_out: int
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dose_ticks: tuple[Tick, ...]
    left: float = _LEFT
    right: float = _RIGHT
    bottom: float = _SCORES[1]
    dose_bottom: float = _DOSES[1]
    height: float = _HEIGHT


def month_chart(months: Sequence[MonthOfGroup], span: Sequence[str], most_dots: int) -> MonthChart:
    """The chart of one group.

    Args:
        months: of the group.
        span: all months of the page, so that the charts below each other agree.
        most_dots: series that are drawn one by one, the newest; the others are in medians and quartiles.
    """
    step = (_RIGHT - _LEFT) / len(span)
    place = {month: _LEFT + (n + 0.5) * step for n, month in enumerate(span)}
    top_dose = max((one.median_dose for one in months if one.median_dose), default=None)
    marks = tuple(_mark(one, place[one.month], step, top_dose) for one in months)
    dots, total = [], sum(len(one.studies) for one in months)
    for one in reversed(months):
        for n, study in enumerate(sorted(one.studies, key=lambda s: s.name)):
            if len(dots) == most_dots:
                break
            # Spread over the month by the pseudonym's order, which tells nothing of the day.
            x = place[one.month] + 0.7 * step * ((n + 0.5) / len(one.studies) - 0.5)
            dose = study.values.get("ctdivol_mgy")
            text = f"{study.name[:8]}: {study.score:.2f}; {one.month}; " + (f"{dose:.3g} mGy" if dose else "dose n/a")
            dots.append(Dot(round(x, 1), round(_y(study.score), 1), text, study.link, False))
    every = max(1, -(-len(span) // _LABELS))
    return MonthChart(
        marks,
        tuple(dots),
        total - len(dots),
        tuple(Tick(round(place[month], 1), month) for month in span[::every]),
        tuple(Tick(_y(n), str(n)) for n in range(round(MAX_SCORE) + 1)),
        (Tick(_DOSES[1], "0"), Tick(_DOSES[0], f"{top_dose:.3g}")) if top_dose else (),
    )


def _mark(one: MonthOfGroup, x: float, step: float, top_dose: float | None) -> MonthMark:
    low, high = np.percentile([study.score for study in one.studies], (25, 75))
    dose = None
    if one.median_dose and top_dose:
        dose = round(_DOSES[1] - (_DOSES[1] - _DOSES[0]) * one.median_dose / top_dose, 1)
    text = f"{one.month}: {len(one.studies)} series, median score {one.median:.2f}"
    if one.median_dose:
        text += f", median CTDIvol {one.median_dose:.3g} mGy"
    quartiles = (round(_y(float(high)), 1), round(_y(float(low)), 1))
    return MonthMark(round(x, 1), round(0.42 * step, 1), quartiles, round(_y(one.median), 1), dose, one.alert, text)


def _y(score: float) -> float:
    top, bottom = _SCORES
    return bottom - (bottom - top) * score / MAX_SCORE
