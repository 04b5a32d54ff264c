"""Series that come to rest: the scanner sends for minutes, and half a series must not be scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.plan import Entry
from CTQualityAssessmentLib.pacs.archive import FoundSeries


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


def last_days(days: int, today: date) -> str:
    """Range of DICOM dates of so many days, the last of them today; open at its end, for clocks that go fast."""
    return f"{today - timedelta(days=days - 1):%Y%m%d}-"


def recorded_entries(folder: BatchFolder) -> tuple[Entry, ...]:
    """One entry for each series that lies in an output folder, whenever it was done."""
    records = [record for name in sorted(folder.names()) if (record := folder.record_of(name))]
    return tuple(
        Entry(None, f"CT, {record.values.get('slices', 'n/a')} slice(s)", "", None, record) for record in records
    )
