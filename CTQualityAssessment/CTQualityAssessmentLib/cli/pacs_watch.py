"""``ctqa pacs watch``: each new series of an archive is scored when it has come to rest."""

from __future__ import annotations

import time
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from CTQualityAssessmentLib.cli.pacs import (
    CaFile,
    DenoiserName,
    Device,
    Dimse,
    Model,
    MovePort,
    NoFigures,
    Ours,
    Out,
    Scheduler,
    Send,
    StrengthShare,
    Theirs,
    Timeout,
    Tls,
    Tries,
    TrustNetwork,
    Url,
    WorkerCount,
    address_of,
    denoiser_of,
    find_series,
    kinds_of,
    model_settings,
    pacs_app,
    task_of,
    unsent,
)
from CTQualityAssessmentLib.cli.studies import RecordPlace, Workers, done_by, filing_of, workers_of, write_group
from CTQualityAssessmentLib.cli.terminal import (
    EXIT_CANCELLED,
    cancel_on_interrupt,
    console,
    error_console,
    plain_errors,
)
from CTQualityAssessmentLib.pacs.outbox import all_waiting

if TYPE_CHECKING:
    from CTQualityAssessmentLib.batch.output import BatchFolder
    from CTQualityAssessmentLib.batch.plan import Entry
    from CTQualityAssessmentLib.calls import Cancelled
    from CTQualityAssessmentLib.pacs.address import Address
    from CTQualityAssessmentLib.pacs.archive import FoundSeries
    from CTQualityAssessmentLib.pacs.watch import Turns
    from CTQualityAssessmentLib.record.filing import Filing

_EPILOG = "Exit codes: 0 ended with Ctrl-C or SIGTERM; 1 error; 2 wrong usage; 130 stopped at once by a second one."


@pacs_app.command(epilog=_EPILOG)
def watch(
    out: Out,
    url: Url = None,
    dimse: Dimse = None,
    aet: Ours = "CTQA",
    aec: Theirs = "ANY-SCP",
    tls: Tls = False,
    move_port: MovePort = None,
    query: Annotated[list[str], typer.Option(metavar="KEY=VALUE ...", help="Which series; else every CT.")] = [],  # noqa: B006
    days: Annotated[int, typer.Option(min=1, help="Studies of so many days, unless the query has a StudyDate.")] = 2,
    every: Annotated[float, typer.Option(min=1, metavar="S", help="Seconds between two looks.")] = 60.0,
    quiet: Annotated[
        float, typer.Option(min=1, metavar="S", help="Seconds without a new image until a series is scored.")
    ] = 120.0,
    send: Send = "",
    denoiser: DenoiserName = None,
    strength: StrengthShare = 1.0,
    model: Model = None,
    device: Device = "auto",
    workers: WorkerCount = 1,
    scheduler: Scheduler = None,
    no_figures: NoFigures = False,
    record: RecordPlace = None,
    ca_file: CaFile = None,
    trust_network: TrustNetwork = False,
    timeout: Timeout = 60.0,
    tries: Tries = 4,
) -> None:
    """Look at an archive again and again, and score each new CT series once, when it is complete.

    A series is complete when its number of images has not changed for --quiet seconds. The program can be stopped and
    started at any time. While the archive does not answer, it waits.
    """
    with (
        plain_errors(),
        cancel_on_interrupt(
            "Ending after the series that are running; once more stops at once.", terminate_asks=True
        ) as cancelled,
    ):
        from CTQualityAssessmentLib.batch.output import BatchFolder
        from CTQualityAssessmentLib.pacs.plan import plan_series, plan_waiting
        from CTQualityAssessmentLib.pacs.query import parse_query
        from CTQualityAssessmentLib.pacs.watch import Stillness, Turns, last_days, recorded_entries

        kinds, wanted = kinds_of(send), parse_query(query or ["Modality=CT"])
        taking_noise = denoiser_of(kinds, denoiser, strength)
        address = address_of(url, dimse, aet, aec, tls, move_port, ca_file, trust_network, timeout, tries)
        settings, statement = model_settings(model, device, not no_figures)
        output = BatchFolder(out.absolute())
        stillness, turns = Stillness(quiet), Turns(every)
        with output.opened() as run, filing_of(record, output, settings) as filing:
            _settle(filing, output)
            client_of, settings = workers_of(settings, workers, output.work, Workers(workers, scheduler, trust_network))
            try:
                with client_of as client:
                    do = task_of(address, output, run, endure=True)(settings)
                    waiting = all_waiting(output.studies) if kinds else set()
                    console.print("Watching. Ctrl-C ends.")
                    while not cancelled():
                        today = date.today()
                        # What came while nobody could look is still to be done.
                        dated = {"StudyDate": last_days(days, today, output.looked), **wanted}
                        found = _found(address, dated)
                        still = stillness.still(found or [], time.monotonic())
                        plan = plan_series(still, output, settings, kinds, denoiser=taking_noise)
                        beside = plan_waiting(output, waiting - {entry.name for entry in plan})
                        now = time.monotonic()
                        undone = (e for e in plan + beside if e.study and not e.record)
                        left = tuple(e for e in undone if turns.due(e.name, now))
                        entries: tuple[Entry, ...] = ()
                        if left:
                            entries = done_by(client, left, do, output, run, filing, lambda *_: None, cancelled)
                            _tell(entries, turns)
                            write_group(recorded_entries(output), settings, output, statement, False)
                            _settle(filing, output)
                            waiting |= {e.name for e in entries if e.record and kinds and unsent(e.record)}
                        open_ = {e.name for e in plan if not e.record} - {e.name for e in entries if _ended(e)}
                        all_done = found is not None and len(still) == len(found) and not open_
                        # The days of the first look are asked for until all that it found is done.
                        if all_done or (found is not None and output.looked is None):
                            output.note_look(today)
                        _wait(every, cancelled)
            except KeyboardInterrupt:
                error_console.print("Stopped at once; finished series are kept, and the same command goes on.")
                raise typer.Exit(EXIT_CANCELLED) from None
        console.print("Ended.")


def _settle(filing: Filing, output: BatchFolder) -> None:
    """Enter what lies in the folder and is not in the record; a database that is away is no reason to stop."""
    from CTQualityAssessmentLib.record.errors import RecordLostError

    try:
        filing.settle(record for name in output.names() if (record := output.record_of(name)))
    except RecordLostError as error:
        console.print(f"{error.problem} It will be tried again after the next series.")


def _ended(entry: Entry) -> bool:
    """Whether a series needs no further look: done, or refused for what it is."""
    return entry.record is not None and entry.record.state != "waiting"


def _found(address: Address, query: dict[str, str]) -> list[FoundSeries] | None:
    """What the archive has; None while it does not answer or has a fault."""
    from CTQualityAssessmentLib.pacs.errors import ArchiveError
    from CTQualityAssessmentLib.pacs.patience import will_pass

    try:
        return find_series(address, query)
    except ArchiveError as error:
        if not will_pass(error):
            raise
        console.print(f"{error.problem} The next look will be later.")
        return None


def _tell(entries: tuple[Entry, ...], turns: Turns) -> None:
    """One line for each series that was tried, by its pseudonym; when it is tried again is noted."""
    for entry in entries:
        record = entry.record
        if record is None:
            continue
        told = record.reason or f"mean {record.values['mean']:.2f}"
        if record.state in ("failed", "waiting") or (record.state == "scored" and unsent(record)):
            passing = record.state == "waiting"
            if turns.failed(record.name, passing, time.monotonic()):
                told += " Set aside until the next start."
            elif passing:
                told += " It is tried again later."
        else:
            turns.done(record.name)
        console.print(f"{record.name}: {record.state}: {told}")


def _wait(seconds: float, cancelled: Cancelled) -> None:
    end = time.monotonic() + seconds
    while not cancelled() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
