"""Series that come to rest: the scanner sends for minutes, and half a series must not be scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.plan import Entry
from CTQualityAssessmentLib.pacs.archive import FoundSeries

#: How often a series is tried that is refused or does not arrive whole, until the next start.
MOST_REFUSALS = 3
_LONGEST_S = 1800.0


@dataclass
class _Seen:
    instances: int
    since_s: float


class Stillness:
    """Tells which series have had the same number of images for long enough.

    Args:
        quiet_s: for how many seconds the number must not have changed.
    """

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._seen: dict[str, _Seen] = {}

    def still(self, found: Sequence[FoundSeries], now_s: float) -> list[FoundSeries]:
        """The series of this look at the archive that are at rest.

        Args:
            found: all that the archive has now; those that it no longer has are forgotten.
            now_s: when it was asked, in seconds of a clock that never goes back.
        """
        seen = {}
        for one in found:
            known = self._seen.get(one.series_uid)
            unchanged = known is not None and known.instances == one.instances
            seen[one.series_uid] = known if unchanged else _Seen(one.instances, now_s)
        self._seen = seen
        return [one for one in found if now_s - seen[one.series_uid].since_s >= self._quiet_s]


@dataclass
class _Turn:
    faults: int = 0
    refusals: int = 0
    not_before_s: float = 0.0


class Turns:
    """When a series is tried again after a fault: with growing pauses, for as long as it takes, where the fault will
    pass; at most three times where the series itself is refused or does not arrive whole.

    Args:
        first_s: the first pause, in seconds; each is twice as long as the one before, up to half an hour.
    """

    def __init__(self, first_s: float) -> None:
        self._first_s = first_s
        self._turns: dict[str, _Turn] = {}

    def due(self, name: str, now_s: float) -> bool:
        """Whether a series, told by its pseudonym, is to be tried now."""
        turn = self._turns.get(name)
        return turn is None or (turn.refusals < MOST_REFUSALS and now_s >= turn.not_before_s)

    def done(self, name: str) -> None:
        """Nothing is left to do of the series."""
        self._turns.pop(name, None)

    def failed(self, name: str, passing: bool, now_s: float) -> bool:
        """Note a fault; whether the series is set aside now.

        Args:
            name: pseudonym of the series.
            passing: whether it is one that will pass.
            now_s: the time, in seconds of a clock that never goes back.
        """
        turn = self._turns.setdefault(name, _Turn())
        turn.faults += 1
        turn.refusals += not passing
        turn.not_before_s = now_s + min(self._first_s * 2.0 ** min(turn.faults - 1, 20), _LONGEST_S)
        return turn.refusals == MOST_REFUSALS


def last_days(days: int, today: date, looked: date | None = None) -> str:
    """Range of DICOM dates of so many days, the last of them today; open at its end, for clocks that go fast.

    Args:
        days: how many, at least 1.
        today: the date.
        looked: when everything that was there was done for the last time: what came since is still to be done.
    """
    return f"{min(today, looked or today) - timedelta(days=days - 1):%Y%m%d}-"


def recorded_entries(folder: BatchFolder) -> tuple[Entry, ...]:
    """One entry for each series that lies in an output folder, whenever it was done."""
    records = [record for name in sorted(folder.names()) if (record := folder.record_of(name))]
    return tuple(
        Entry(None, f"CT, {record.values.get('slices', 'n/a')} slice(s)", "", None, record) for record in records
    )
