"""Whether a scanner, protocol or kernel scores otherwise than in the months before."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.batch.groups import Scored

#: Months that a month is compared with.
MONTHS_BEFORE = 6
#: Fewest earlier series of a scanner, protocol and kernel to compare with, and fewest compared series of a month.
FEWEST_BEFORE, FEWEST_NOW = 5, 10
#: A step of the readers' scale of 0 to 4; less is nobody's concern.
LEAST_CHANGE = 0.2
_CONFIDENCE, _DRAWS = 0.99, 2000
#: Series of a month that are drawn from at most; more make the interval no more honest, only slower.
_MOST = 2000

DRIFT_RULE = (
    f"Each series is compared with the median score of the same scanner, protocol and kernel in the {MONTHS_BEFORE} "
    f"months before its own, where these hold at least {FEWEST_BEFORE} series. A month of a scanner, protocol or "
    f"kernel with at least {FEWEST_NOW} compared series is an alert where the median of these differences is "
    f"{LEAST_CHANGE} or more, up or down, and its {_CONFIDENCE * 100:g} % interval (bootstrap of the month and of the "
    f"months before, {_DRAWS} draws) does not include zero. So another mix of protocols is no drift. After a lasting "
    "change the alerts end when most of the months before lie after it."
)


@dataclass(frozen=True)
class MonthOfGroup:
    """The series of one group in one month.

    Attributes:
        month: ``YYYY-MM``.
        studies: its series with a score.
        median, median_dose: of scores, and of CTDIvol in mGy where it is known.
        compared: how many series there is something earlier to compare with.
        change: median difference to the months before, in score points; None with too few compared series.
        low, high: its interval.
        dose_ratio: median of CTDIvol over the median CTDIvol of the same strata before; None where it is not known.
    """

    month: str
    studies: tuple[Scored, ...]
    median: float
    median_dose: float | None
    compared: int
    change: float | None = None
    low: float | None = None
    high: float | None = None
    dose_ratio: float | None = None

    @property
    def alert(self) -> bool:
        """Whether :data:`DRIFT_RULE` holds."""
        if self.change is None or self.low is None or self.high is None:
            return False
        return abs(self.change) >= LEAST_CHANGE and (self.low > 0 or self.high < 0)


def months_of(studies: Sequence[Scored], by: Callable[[Scored], str]) -> dict[str, list[MonthOfGroup]]:
    """The months of each group, in their order, each compared with those before by :data:`DRIFT_RULE`.

    Args:
        studies: with a score and a month.
        by: the group of a study: its scanner, protocol or kernel.
    """
    strata: dict[tuple[str, str, str], dict[str, list[Scored]]] = defaultdict(lambda: defaultdict(list))
    groups: dict[str, dict[str, list[Scored]]] = defaultdict(lambda: defaultdict(list))
    for one in studies:
        strata[_stratum(one)][one.values["month"]].append(one)
        groups[by(one)][one.values["month"]].append(one)
    return {
        name: [_compared(name, month, months[month], strata) for month in sorted(months)]
        for name, months in groups.items()
    }


def _stratum(one: Scored) -> tuple[str, str, str]:
    return one.scanner, one.protocol, one.kernel


def _compared(
    group: str, month: str, now: list[Scored], strata: dict[tuple[str, str, str], dict[str, list[Scored]]]
) -> MonthOfGroup:
    doses = [dose for one in now if (dose := one.values.get("ctdivol_mgy"))]
    found = MonthOfGroup(
        month,
        tuple(now),
        float(np.median([one.score for one in now])),
        float(np.median(doses)) if doses else None,
        0,
    )
    before = {key: _earlier(strata[key], month) for key in {_stratum(one) for one in now}}
    usable = {key: earlier for key, earlier in before.items() if len(earlier) >= FEWEST_BEFORE}
    compared = [one for one in now if _stratum(one) in usable]
    if len(compared) < FEWEST_NOW:
        return MonthOfGroup(found.month, found.studies, found.median, found.median_dose, len(compared))
    seed = int.from_bytes(hashlib.sha256(f"{group} {month}".encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)  # the same page every time
    chosen = compared if len(compared) <= _MOST else [compared[i] for i in rng.choice(len(compared), _MOST, False)]
    keys = sorted(usable)
    scores = np.array([one.score for one in chosen])
    which = np.array([keys.index(_stratum(one)) for one in chosen])
    centres = [np.sort([one.score for one in usable[key]]) for key in keys]
    change = float(np.median(scores - np.array([np.median(one) for one in centres])[which]))
    drawn = rng.integers(0, len(scores), (_DRAWS, len(scores)))
    medians = np.stack([_drawn_medians(one, rng) for one in centres], axis=1)
    differences = np.median(scores[drawn] - np.take_along_axis(medians, which[drawn], axis=1), axis=1)
    tail = 50 * (1 - _CONFIDENCE)
    low, high = (float(value) for value in np.percentile(differences, (tail, 100 - tail)))
    return MonthOfGroup(
        month,
        found.studies,
        found.median,
        found.median_dose,
        len(compared),
        change,
        low,
        high,
        _ratio(compared, usable),
    )


def _earlier(months: dict[str, list[Scored]], month: str) -> list[Scored]:
    number = _number(month)
    return [one for other, some in months.items() if 0 < number - _number(other) <= MONTHS_BEFORE for one in some]


def _number(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:7])


def _drawn_medians(ordered: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.floating]:
    """Medians of as many bootstrap samples, without making them.

    The rank of the median of n draws from n values is that of the middle one of n uniform numbers, which has a beta
    distribution; for an even n this is the value between the two middle ones.
    """
    n = len(ordered)
    ranks = (n * rng.beta((n + 1) / 2, (n + 1) / 2, _DRAWS)).astype(int)
    return ordered[np.minimum(ranks, n - 1)]


def _ratio(now: Sequence[Scored], before: dict[tuple[str, str, str], list[Scored]]) -> float | None:
    usual = {
        key: float(np.median(doses))
        for key, some in before.items()
        if (doses := [dose for one in some if (dose := one.values.get("ctdivol_mgy"))])
    }
    ratios = [
        one.values["ctdivol_mgy"] / usual[_stratum(one)]
        for one in now
        if one.values.get("ctdivol_mgy") and _stratum(one) in usual
    ]
    return float(np.median(ratios)) if ratios else None
