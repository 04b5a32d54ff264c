"""``ctqa batch``: many studies, on all cores or a cluster, that can be stopped and resumed."""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from CTQualityAssessmentLib.cli.application import app
from CTQualityAssessmentLib.cli.terminal import (
    EXIT_CANCELLED,
    EXIT_SOME_UNSCORED,
    cancel_on_interrupt,
    console,
    error_console,
    plain_errors,
    progress_bar,
)

if TYPE_CHECKING:
    from distributed import Client

    from CTQualityAssessmentLib.batch.output import BatchFolder
    from CTQualityAssessmentLib.batch.plan import Entry
    from CTQualityAssessmentLib.batch.records import Settings, Study, StudyRecord
    from CTQualityAssessmentLib.calls import Cancelled
    from CTQualityAssessmentLib.calls import Progress as ProgressCall

BATCH_EXIT_CODES = (
    "Exit codes: 0 every study has a score; 1 error; 2 wrong usage; 3 there is no CT in the folder; 4 done, but some "
    "studies failed or have no score, the table tells why; 130 cancelled with Ctrl-C, the same command goes on."
)


@dataclass(frozen=True)
class _Workers:
    """Who does the work: so many processes here, or the workers of a scheduler."""

    count: int | None
    scheduler: str | None
    trust_network: bool


@app.command(epilog=BATCH_EXIT_CODES)
def batch(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with studies in any depth, also zipped.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; the same one goes on where it was stopped.")],
    model: Annotated[str | None, typer.Option(help="Name or folder of a model, see 'ctqa models'.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes here; else as many as cores and memory allow.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="A running dask scheduler, such as tls://host:8786, instead of processes."
        ),
    ] = None,
    trust_network: Annotated[
        bool,
        typer.Option(
            "--trust-network", help="Allow an unencrypted scheduler (tcp://) on another computer, see the README."
        ),
    ] = False,
    slices: Annotated[
        int | None,
        typer.Option("--batch", min=1, help="Slices at a time (default: 1 on the CPU, 4 on a graphics card)."),
    ] = None,
    attention_stage: Annotated[
        list[int], typer.Option(min=1, max=4, help="Network stage to map, 1 fine to 4 coarse; may be repeated.")
    ] = [3],  # noqa: B006  (typer copies it)
    scene: Annotated[bool, typer.Option("--scene", help="Write scene.mrb for each study too.")] = False,
    no_figures: Annotated[bool, typer.Option("--no-figures", help="Leave out figures.png.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Do the studies again that failed before.")] = False,
    identify: Annotated[
        bool, typer.Option("--identify", help="Show paths and protocol names, which may identify patients.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and write nothing.")] = False,
) -> None:
    """Score and measure every CT series under a folder: studies.csv, index.html, and a folder of results for each.

    It can be stopped or killed at any time: the same command does what is left, and nothing twice.
    """
    with (
        plain_errors(),
        cancel_on_interrupt(
            "The studies that are running will be finished; press Ctrl-C again to stop at once."
        ) as cancelled,
        progress_bar() as progress,
    ):
        from CTQualityAssessmentLib.batch.errors import NoSeriesError
        from CTQualityAssessmentLib.batch.output import BatchFolder
        from CTQualityAssessmentLib.batch.plan import make_plan
        from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle, verify_bundle
        from CTQualityAssessmentLib.reading import find_inputs

        bundle = find_bundle(model or DEFAULT_BUNDLE)
        verify_bundle(bundle)
        settings = _settings(model, bundle.sha256, device, slices, attention_stage, not no_figures, scene)
        output = BatchFolder(out.absolute())
        found = find_inputs(folder, leave_out=output.path, progress=progress, cancelled=cancelled)
        if not any(not one.skipped for one in found):
            raise NoSeriesError
        if dry_run:
            _print_plan(make_plan(found, output, settings, retry), identify)
            return
        with output.opened() as run:
            entries = make_plan(found, output, settings, retry)
            try:
                where = _Workers(workers, scheduler, trust_network)
                entries = _run(entries, settings, folder.absolute(), output, run, where, progress, cancelled)
            except KeyboardInterrupt:
                error_console.print("Stopped at once; finished studies are kept, and the same command goes on.")
                raise typer.Exit(EXIT_CANCELLED) from None
            _write_group(entries, settings, output, bundle.statement, identify)
        _print_end(entries, output)
        states = {entry.record.state if entry.record else None for entry in entries}
        if None in states:
            raise typer.Exit(EXIT_CANCELLED)
        if states & {"failed", "no score"}:
            raise typer.Exit(EXIT_SOME_UNSCORED)


def _settings(
    model: str | None, sha256: str, device: str, slices: int | None, stages: list[int], figures: bool, scene: bool
) -> Settings:
    from CTQualityAssessmentLib.batch.records import Settings
    from CTQualityAssessmentLib.errors import CTQAError
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, installed_bundles
    from CTQualityAssessmentLib.result_files import missing_for_scene

    if scene and (missing := missing_for_scene()):
        raise CTQAError(f"scene.mrb cannot be written: {missing}", "Leave out --scene, or install it.")
    named = model or DEFAULT_BUNDLE
    # Workers may run in another working folder.
    where = named if named in installed_bundles() else str(Path(named).absolute())
    return Settings(where, sha256, device, slices, tuple(sorted(set(stages))), figures, scene)


def _run(
    entries: tuple[Entry, ...],
    settings: Settings,
    source: Path,
    output: BatchFolder,
    run: str,
    where: _Workers,
    progress: ProgressCall,
    cancelled: Cancelled,
) -> tuple[Entry, ...]:
    """Do what is left; the entries with the records that it gave."""
    from dataclasses import replace

    from CTQualityAssessmentLib.batch.run import run_studies

    to_do = [entry.study for entry in entries if entry.study and not entry.record]
    if not to_do or cancelled():
        return entries
    records: dict[str, StudyRecord] = {}
    failed = 0

    def keep(study: Study, record: StudyRecord) -> None:
        nonlocal failed
        records[study.name] = record
        failed += record.state == "failed"
        progress(len(records), len(to_do), f"Studies, {failed} failed" if failed else "Studies")

    progress(0, len(to_do), "Starting workers")
    client_of, settings = _client(settings, len(to_do), output.work, where)
    with client_of as client:
        progress(0, len(to_do), "Studies")
        run_studies(to_do, settings, source, output.path, run, client, on_record=keep, cancelled=cancelled)
    return tuple(
        replace(entry, record=records.get(entry.study.name)) if entry.study and not entry.record else entry
        for entry in entries
    )


def _client(
    settings: Settings, studies: int, work: Path, where: _Workers
) -> tuple[AbstractContextManager[Client], Settings]:
    import os
    from dataclasses import replace

    from CTQualityAssessmentLib.batch import workers as processes

    if where.scheduler:
        return processes.remote_workers(where.scheduler, where.trust_network), settings
    count = min(where.count or processes.default_workers(), studies)
    # The cores are shared out; who set the number of threads by hand keeps it.
    by_hand = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list is one number for each nesting level
    threads = int(by_hand) if by_hand.isdigit() and int(by_hand) else max(1, processes.cores() // count)
    return processes.local_workers(count, work), replace(settings, threads=threads)


def _write_group(
    entries: tuple[Entry, ...], settings: Settings, output: BatchFolder, statement: str, identify: bool
) -> None:
    from CTQualityAssessmentLib.batch.group_page import group_page
    from CTQualityAssessmentLib.batch.groups import find_outliers, scored_studies
    from CTQualityAssessmentLib.batch.output import write_whole
    from CTQualityAssessmentLib.batch.table import table_text

    outliers = find_outliers(scored_studies(entries, identify))
    sentences = {outlier.study.name: outlier.sentence for outlier in outliers}
    write_whole(output.path / "studies.csv", table_text(entries, sentences, identify))
    write_whole(output.path / "index.html", group_page(entries, outliers, settings, statement, identify=identify))


def _print_plan(entries: tuple[Entry, ...], identify: bool) -> None:
    for entry in entries:
        record = entry.record
        if record is None:
            state = "to do"
        elif entry.study is None:
            state = f"{record.state}: {record.reason}"
        else:
            state = f"done, {record.state}" + (f": {record.reason}" if record.reason else "")
        console.print(f"{entry.where}: {entry.label}: {state}" if identify else f"{entry.label}: {state}")
    states = Counter("to do" if not e.record else "done" if e.study else e.record.state for e in entries)
    console.print(", ".join(f"{number} {state}" for state, number in states.items()) + ". Nothing was written.")


def _print_end(entries: tuple[Entry, ...], output: BatchFolder) -> None:
    states = Counter(entry.record.state if entry.record else "not reached" for entry in entries)
    console.print(", ".join(f"{number} {state}" for state, number in states.items()) + ".")
    reasons = Counter(
        entry.record.reason for entry in entries if entry.record and entry.record.state in ("failed", "no score")
    )
    for reason, number in reasons.most_common():
        console.print(f"{number} without a score: {reason}")
    others = output.names() - {entry.record.name for entry in entries if entry.record}
    if others:
        console.print(f"{len(others)} studies of other runs lie in this folder too and are not in the table.")
    console.print("Open index.html in the output folder; studies.csv holds the figures.")
