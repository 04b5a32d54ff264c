"""What the commands for many studies share: settings, workers, the table and page of the group, what they print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from CTQualityAssessmentLib.cli.terminal import console

if TYPE_CHECKING:
    from distributed import Client

    from CTQualityAssessmentLib.batch.output import BatchFolder
    from CTQualityAssessmentLib.batch.plan import Entry
    from CTQualityAssessmentLib.batch.records import Job, Settings, StudyRecord
    from CTQualityAssessmentLib.batch.study import Outcome
    from CTQualityAssessmentLib.calls import Cancelled
    from CTQualityAssessmentLib.calls import Progress as ProgressCall
    from CTQualityAssessmentLib.record.filing import Filing


RecordPlace = Annotated[
    str | None,
    typer.Option(
        "--record",
        metavar="URL",
        help="Where each result is entered: a file of SQLite or postgresql://HOST/DATABASE; else CTQA_RECORD, else "
        "record.sqlite in --out. The password comes from PGPASSWORD or PGPASSFILE.",
    ),
]


@dataclass(frozen=True)
class Workers:
    """Who does the work: so many processes here, or the workers of a scheduler."""

    count: int | None
    scheduler: str | None = None
    trust_network: bool = False


def settings_of(
    model: str | None, sha256: str, device: str, slices: int | None, stages: list[int], figures: bool, scene: bool
) -> Settings:
    """Settings that hold in every working folder.

    Raises:
        CTQAError: a scene is wanted and cannot be written here.
    """
    from CTQualityAssessmentLib.batch.records import Settings
    from CTQualityAssessmentLib.errors import CTQAError
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE
    from CTQualityAssessmentLib.result_files import missing_for_scene

    if scene and (missing := missing_for_scene()):
        raise CTQAError(f"scene.mrb cannot be written: {missing}", "Leave out --scene, or install it.")
    where = bundle_anywhere(model or DEFAULT_BUNDLE)
    return Settings(where, sha256, device, slices, tuple(sorted(set(stages))), figures, scene)


def bundle_anywhere(named: str) -> str:
    """Name or folder of a bundle, as it holds in every working folder."""
    from CTQualityAssessmentLib.models import installed_bundles

    return named if named in installed_bundles() else str(Path(named).absolute())


def run_entries(
    entries: tuple[Entry, ...],
    settings: Settings,
    task: Callable[[Settings], Callable[[Any], Outcome]],
    output: BatchFolder,
    run: str,
    where: Workers,
    filing: Filing,
    progress: ProgressCall,
    cancelled: Cancelled,
) -> tuple[Entry, ...]:
    """Do what is left; the entries with the records that it gave.

    Args:
        entries: the plan.
        settings: how.
        task: gives what a worker calls with each study, for settings with the threads that a worker has.
        output: the folder, opened.
        run: identifies this run.
        where: who does it.
        filing: enters each study into the record.
        progress, cancelled: as everywhere.
    """
    to_do = [entry.study for entry in entries if entry.study and not entry.record]
    if not to_do or cancelled():
        return entries
    progress(0, len(to_do), "Starting workers")
    client_of, settings = workers_of(settings, len(to_do), output.work, where)
    with client_of as client:
        return done_by(client, entries, task(settings), output, run, filing, progress, cancelled)


def done_by(
    client: Client,
    entries: tuple[Entry, ...],
    do: Callable[[Any], Outcome],
    output: BatchFolder,
    run: str,
    filing: Filing,
    progress: ProgressCall,
    cancelled: Cancelled,
) -> tuple[Entry, ...]:
    """As :func:`run_entries`, by workers that are there already."""
    from CTQualityAssessmentLib.batch.run import run_studies

    to_do = [entry.study for entry in entries if entry.study and not entry.record]
    records: dict[str, StudyRecord] = {}
    failed = 0

    def keep(study: Job, record: StudyRecord) -> None:
        nonlocal failed
        records[study.name] = record
        filing.enter(record)
        failed += record.state == "failed"
        progress(len(records), len(to_do), f"Studies, {failed} failed" if failed else "Studies")

    progress(0, len(to_do), "Studies")
    run_studies(to_do, do, output.path, run, client, on_record=keep, cancelled=cancelled)
    return tuple(
        replace(entry, record=records.get(entry.study.name)) if entry.study and not entry.record else entry
        for entry in entries
    )


@contextmanager
def filing_of(record: str | None, output: BatchFolder, settings: Settings) -> Iterator[Filing]:
    """Enters results into the record that --record names, else into that of the output folder.

    Raises:
        RecordError: it cannot be worked with; told before anything is done.
    """
    from CTQualityAssessmentLib.record.address import record_url
    from CTQualityAssessmentLib.record.filing import Filing
    from CTQualityAssessmentLib.record.store import open_record

    with open_record(record_url(record, output.path)) as opened:
        yield Filing(opened, output, settings)


def workers_of(
    settings: Settings, studies: int, work: Path, where: Workers
) -> tuple[AbstractContextManager[Client], Settings]:
    """The workers, and the settings with the number of threads that each of them has."""
    import os

    from CTQualityAssessmentLib.batch import workers as processes

    if where.scheduler:
        return processes.remote_workers(where.scheduler, where.trust_network), settings
    count = min(where.count or processes.default_workers(), studies)
    # The cores are shared out; who set the number of threads by hand keeps it.
    by_hand = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list is one number for each nesting level
    threads = int(by_hand) if by_hand.isdigit() and int(by_hand) else max(1, processes.cores() // count)
    return processes.local_workers(count, work), replace(settings, threads=threads)


def write_group(
    entries: tuple[Entry, ...], settings: Settings, output: BatchFolder, statement: str, identify: bool
) -> None:
    """Write ``studies.csv`` and ``index.html`` into the output folder."""
    from CTQualityAssessmentLib.batch.group_page import group_page
    from CTQualityAssessmentLib.batch.groups import find_outliers, scored_studies
    from CTQualityAssessmentLib.batch.output import write_whole
    from CTQualityAssessmentLib.batch.table import table_text

    outliers = find_outliers(scored_studies(entries, identify))
    sentences = {outlier.study.name: outlier.sentence for outlier in outliers}
    write_whole(output.path / "studies.csv", table_text(entries, sentences, identify))
    write_whole(output.path / "index.html", group_page(entries, outliers, settings, statement, identify=identify))


def print_plan(entries: tuple[Entry, ...], identify: bool) -> None:
    """What is to do, done or skipped, one line each."""
    for entry in entries:
        record = entry.record
        if record is None:
            state = entry.left
        elif entry.study is None:
            state = f"{record.state}: {record.reason}"
        else:
            state = f"done, {record.state}" + (f": {record.reason}" if record.reason else "")
        console.print(f"{entry.where}: {entry.label}: {state}" if identify else f"{entry.label}: {state}")
    states = Counter(e.left if not e.record else "done" if e.study else e.record.state for e in entries)
    console.print(", ".join(f"{number} {state}" for state, number in states.items()) + ". Nothing was written.")


def print_end(entries: tuple[Entry, ...], output: BatchFolder) -> None:
    """What came of it, and where to look."""
    from CTQualityAssessmentLib.batch.records import SKIPPED

    states = Counter(entry.record.state if entry.record else "not reached" for entry in entries)
    console.print(", ".join(f"{number} {state}" for state, number in states.items()) + ".")
    reasons = Counter(
        entry.record.reason for entry in entries if entry.record and entry.record.state in ("failed", "no score")
    )
    for reason, number in reasons.most_common():
        console.print(f"{number} without a score: {reason}")
    beside = output.names() - {entry.record.name for entry in entries if entry.record}
    # A series that this program made itself, from the archive or on its way there, is none of anybody's studies.
    others = sum(record.state != SKIPPED for name in beside if (record := output.record_of(name)))
    if others:
        console.print(f"{others} studies of other runs lie in this folder too and are not in the table.")
    console.print("Open index.html in the output folder; studies.csv holds the figures.")
