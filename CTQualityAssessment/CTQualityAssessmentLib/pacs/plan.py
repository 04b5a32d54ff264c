"""What is left to do of the series that an archive has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.plan import Entry
from CTQualityAssessmentLib.batch.records import FAILED, RECORD_VERSION, SKIPPED, Settings, StudyRecord
from CTQualityAssessmentLib.pacs.archive import FoundSeries
from CTQualityAssessmentLib.pacs.kinds import MAPS, REPORT, Denoiser, named
from CTQualityAssessmentLib.pacs.outbox import waiting
from CTQualityAssessmentLib.pacs.transfer import OURS


@dataclass(frozen=True)
class SeriesJob:
    """One series to be done.

    Attributes:
        name, fingerprint: as of every :class:`~CTQualityAssessmentLib.batch.records.Job`.
        series: where it is in the archive; not shown when it is printed. None where only what waits is to be sent.
        make: kinds of objects to be made and sent, as :func:`.kinds.named` gives them.
        assess: whether it is to be fetched and assessed; else only what waits in its outbox is sent.
        send: whether anything is sent at all.
        made: kinds that were made before with the same weights, of the same images: they are not made again.
        denoiser: makes the denoised series, where one is wanted.
    """

    name: str
    fingerprint: str
    series: FoundSeries | None = field(repr=False)
    make: tuple[str, ...]
    assess: bool
    send: bool
    made: tuple[str, ...] = ()
    denoiser: Denoiser | None = None


def plan_series(
    found: Sequence[FoundSeries],
    folder: BatchFolder,
    settings: Settings,
    send: Sequence[str],
    retry: bool = False,
    denoiser: Denoiser | None = None,
) -> tuple[Entry, ...]:
    """One entry for each series, in their order.

    A series is done with the weights, and once each kind of object that is wanted was made and sent. It is done again
    where it has another number of images by now, or where other weights are asked for; a new version of this program
    alone changes nothing, since the archive would get everything twice.

    Args:
        found: the series.
        folder: where the results lie or will lie.
        settings: how they are to be done.
        send: kinds of objects that are wanted in the archive, of :data:`.kinds.KINDS`.
        retry: whether those that failed are done again too.
        denoiser: makes the denoised series, where one is wanted.
    """
    wanted = named(tuple(send), denoiser)
    return tuple(_entry(one, folder, settings, wanted, retry, denoiser) for one in found)


def plan_waiting(folder: BatchFolder, names: Iterable[str]) -> tuple[Entry, ...]:
    """One entry for each of these studies whose results are still to be sent, whether or not a query finds its series.

    The night in which an archive was away lies outside of what the next day's query asks for.
    """
    records = {name: folder.record_of(name) for name in sorted(names) if waiting(folder.studies / name)}
    return tuple(
        Entry(
            SeriesJob(name, record.fingerprint, None, (), False, True, record.made),
            f"CT, {record.values.get('slices', 'n/a')} slice(s)",
            "",
            None,
            None,
            "to be sent back",
        )
        for name, record in records.items()
        if record
    )


def record_of_ours(series: FoundSeries, folder: BatchFolder, settings: Settings, run: str) -> StudyRecord:
    """What the ledger says of a series that this program is about to send: with it, the next run fetches nothing of it
    to find that out."""
    fingerprint = _fingerprint(series, settings, frozenset())
    return StudyRecord(_name(series, folder), fingerprint, run, SKIPPED, OURS)


def _entry(
    one: FoundSeries,
    folder: BatchFolder,
    settings: Settings,
    wanted: frozenset[str],
    retry: bool,
    denoiser: Denoiser | None,
) -> Entry:
    name = _name(one, folder)
    record = folder.record_of(name)
    asked = _asked(record, one, settings, wanted) if record else None
    if record and asked is not None and record.state == SKIPPED:
        return Entry(None, _label(one), one.series_uid, None, record)
    if record is None or asked is None:
        made, due = frozenset[str](), True
    else:
        made = frozenset(record.made) if record.state == FAILED else asked
        due = not wanted <= asked or (retry and record.state == FAILED)
    if due:
        make, before = tuple(sorted(wanted - made)), tuple(sorted(made))
        fingerprint = _fingerprint(one, settings, wanted | made)
        job = SeriesJob(name, fingerprint, one, make, True, bool(wanted), before, denoiser)
        return Entry(job, _label(one), one.series_uid, None, None)
    unsent = bool(wanted) and waiting(folder.studies / name)
    job = SeriesJob(name, record.fingerprint, one, (), False, bool(wanted), record.made)
    return Entry(job, _label(one), one.series_uid, None, None if unsent else record, "to be sent back")


def _name(one: FoundSeries, folder: BatchFolder) -> str:
    return folder.name_of(f"series {one.series_uid}".encode())


def _asked(record: StudyRecord, one: FoundSeries, settings: Settings, wanted: frozenset[str]) -> frozenset[str] | None:
    """The kinds that it was done for, with these settings; None where it was done with others."""
    known = sorted({REPORT, MAPS, *wanted, *record.made})
    choices = (frozenset(some) for size in range(len(known) + 1) for some in combinations(known, size))
    return next((kinds for kinds in choices if _fingerprint(one, settings, kinds) == record.fingerprint), None)


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
