"""What is left to do of the series that an archive has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.plan import Entry
from CTQualityAssessmentLib.batch.records import FAILED, RECORD_VERSION, SKIPPED, Settings
from CTQualityAssessmentLib.pacs.archive import FoundSeries
from CTQualityAssessmentLib.pacs.outbox import KINDS, waiting


@dataclass(frozen=True)
class SeriesJob:
    """One series to be done.

    Attributes:
        name, fingerprint: as of every :class:`~CTQualityAssessmentLib.batch.records.Job`.
        series: where it is in the archive; not shown when it is printed.
        make: kinds of objects to be made and sent, of :data:`.outbox.KINDS`.
        assess: whether it is to be fetched and assessed; else only what waits in its outbox is sent.
        send: whether anything is sent at all.
    """

    name: str
    fingerprint: str
    series: FoundSeries = field(repr=False)
    make: tuple[str, ...]
    assess: bool
    send: bool


def plan_series(
    found: Sequence[FoundSeries], folder: BatchFolder, settings: Settings, send: Sequence[str], retry: bool = False
) -> tuple[Entry, ...]:
    """One entry for each series, in their order.

    A series is done with the weights, and once each kind of object that is wanted was made and sent. It is done again
    where it has another number of images by now, or where other weights are asked for; a new version of this program
    alone changes nothing, since the archive would get everything twice.

    Args:
        found: the series.
        folder: where the results lie or will lie.
        settings: how they are to be done.
        send: kinds of objects that are wanted in the archive, of :data:`.outbox.KINDS`.
        retry: whether those that failed are done again too.
    """
    return tuple(_entry(one, folder, settings, frozenset(send), retry) for one in found)


def _entry(one: FoundSeries, folder: BatchFolder, settings: Settings, wanted: frozenset[str], retry: bool) -> Entry:
    name = folder.name_of(f"series {one.series_uid}".encode())
    record = folder.record_of(name)
    made = _made(record.fingerprint, one, settings) if record else None
    if record and made is not None and record.state == SKIPPED:
        return Entry(None, _label(one), one.series_uid, None, record)
    if made is None or not wanted <= made or (retry and record and record.state == FAILED):
        kinds = wanted | (made or frozenset())
        make = tuple(sorted(kinds - (made or frozenset()) if record and record.state != FAILED else kinds))
        job = SeriesJob(name, _fingerprint(one, settings, kinds), one, make, True, bool(wanted))
        return Entry(job, _label(one), one.series_uid, None, None)
    unsent = bool(wanted) and waiting(folder.studies / name)
    job = SeriesJob(name, record.fingerprint, one, (), False, bool(wanted))
    return Entry(job, _label(one), one.series_uid, None, None if unsent else record, "to be sent back")


def _made(fingerprint: str, one: FoundSeries, settings: Settings) -> frozenset[str] | None:
    """The kinds that were made with these settings; None where it was done with others."""
    choices = [frozenset(some) for size in range(len(KINDS) + 1) for some in combinations(KINDS, size)]
    return next((kinds for kinds in choices if _fingerprint(one, settings, kinds) == fingerprint), None)


def _fingerprint(one: FoundSeries, settings: Settings, kinds: frozenset[str]) -> str:
    parts = {
        "record": RECORD_VERSION.split(".")[0],
        "images": one.instances,
        "weights": settings.model_sha256,
        "attention": sorted(set(settings.attention_stages)),
        "made": sorted(kinds),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _label(one: FoundSeries) -> str:
    return f"CT, {one.instances} object(s)"
