"""``ctqa pacs``: score what an archive has, each series once, and send the results back."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.cli.application import app
from CTQualityAssessmentLib.cli.studies import (
    RecordPlace,
    Workers,
    bundle_anywhere,
    filing_of,
    print_end,
    print_plan,
    run_entries,
    settings_of,
    write_group,
)
from CTQualityAssessmentLib.cli.terminal import (
    EXIT_CANCELLED,
    EXIT_SOME_UNSCORED,
    cancel_on_interrupt,
    console,
    error_console,
    plain_errors,
    progress_bar,
)
from CTQualityAssessmentLib.pacs.outbox import UNSENT, all_waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from CTQualityAssessmentLib.batch.output import BatchFolder
    from CTQualityAssessmentLib.batch.plan import Entry
    from CTQualityAssessmentLib.batch.records import Settings, StudyRecord
    from CTQualityAssessmentLib.batch.study import Outcome
    from CTQualityAssessmentLib.pacs.address import Address
    from CTQualityAssessmentLib.pacs.archive import FoundSeries
    from CTQualityAssessmentLib.pacs.kinds import Denoiser
    from CTQualityAssessmentLib.pacs.plan import SeriesJob

PACS_EXIT_CODES = (
    "The login comes from CTQA_PACS_USER and CTQA_PACS_PASSWORD, from CTQA_PACS_TOKEN, or from the keyring; never from "
    "an argument. Exit codes: 0 done, or nothing was left to do; 1 error, the same command goes on; 2 wrong usage; 3 "
    "no such series in the archive; 4 done, but some series failed, have no score or could not be sent back; 130 "
    "cancelled."
)

pacs_app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
app.add_typer(pacs_app, name="pacs", help="Score the CT series of an archive (PACS), each once.")

Url = Annotated[str | None, typer.Option(help="Root of the archive's DICOMweb, such as https://host/dicom-web.")]
Dimse = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Instead of --url, for an archive without DICOMweb: C-FIND, C-GET."),
]
Ours = Annotated[str, typer.Option("--aet", help="With --dimse: our application entity title.")]
Theirs = Annotated[str, typer.Option("--aec", help="With --dimse: that of the archive.")]
Tls = Annotated[bool, typer.Option("--tls", help="With --dimse: encrypted, with the archive's certificate verified.")]
MovePort = Annotated[
    int | None,
    typer.Option(
        min=1, max=65535, help="With --dimse: port of ours that the archive sends to (C-MOVE), where it has no C-GET."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder for ledger and results; the same one goes on where it was stopped.")]
Send = Annotated[
    str,
    typer.Option(
        metavar="report,maps,denoised",
        help="What to send back: SR report, Parametric Maps, derived series with less noise. Nothing is sent without.",
    ),
]
DenoiserName = Annotated[str | None, typer.Option("--denoiser", help="With --send denoised: name or folder of one.")]
StrengthShare = Annotated[
    float,
    typer.Option("--strength", min=0.01, max=1, help="With --send denoised: share of the denoising that is kept."),
]
Model = Annotated[str | None, typer.Option(help="Name or folder of a model, see 'ctqa models'.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
WorkerCount = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Processes here; else as many as cores and memory allow.")
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A running dask scheduler, such as tls://host:8786, instead of processes."),
]
CaFile = Annotated[Path | None, typer.Option(help="Certificates (PEM) to trust, of the hospital's own authority.")]
TrustNetwork = Annotated[
    bool,
    typer.Option("--trust-network", help="Allow an unencrypted archive or scheduler on another computer."),
]
Timeout = Annotated[float, typer.Option(min=1, metavar="S", help="Seconds without an answer until a request fails.")]
Tries = Annotated[int, typer.Option(min=1, help="How often a request is made, with growing pauses between.")]
NoFigures = Annotated[bool, typer.Option("--no-figures", help="Leave out figures.png.")]
Identify = Annotated[
    bool, typer.Option("--identify", help="Show series UIDs in the plan, table and page; they lead to the patient.")
]


@pacs_app.command(epilog=PACS_EXIT_CODES)
def score(
    query: Annotated[
        list[str], typer.Option(metavar="KEY=VALUE ...", help="Which series, such as 'StudyDate=20260101-20260131'.")
    ],
    out: Out,
    url: Url = None,
    dimse: Dimse = None,
    aet: Ours = "CTQA",
    aec: Theirs = "ANY-SCP",
    tls: Tls = False,
    move_port: MovePort = None,
    send: Send = "",
    denoiser: DenoiserName = None,
    strength: StrengthShare = 1.0,
    model: Model = None,
    device: Device = "auto",
    workers: WorkerCount = None,
    scheduler: Scheduler = None,
    no_figures: NoFigures = False,
    retry: Annotated[bool, typer.Option("--retry", help="Do the series again that failed before.")] = False,
    identify: Identify = False,
    record: RecordPlace = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done; write and send nothing.")
    ] = False,
    ca_file: CaFile = None,
    trust_network: TrustNetwork = False,
    timeout: Timeout = 60.0,
    tries: Tries = 4,
) -> None:
    """Find CT series, fetch and score them, and send back report and maps where --send asks for them.

    Each series is done once with the same weights: a second run does nothing. The results lie in --out as 'ctqa batch'
    writes them, without anything that names a patient. What is sent names the patient, as its images do.
    """
    with (
        plain_errors(),
        cancel_on_interrupt(
            "The series that are running will be finished; press Ctrl-C again to stop at once."
        ) as cancelled,
        progress_bar() as progress,
    ):
        from CTQualityAssessmentLib.batch.output import BatchFolder
        from CTQualityAssessmentLib.pacs.errors import NothingFoundError
        from CTQualityAssessmentLib.pacs.plan import plan_series, plan_waiting
        from CTQualityAssessmentLib.pacs.query import parse_query

        kinds, wanted = kinds_of(send), parse_query(query)
        taking_noise = denoiser_of(kinds, denoiser, strength)
        address = address_of(url, dimse, aet, aec, tls, move_port, ca_file, trust_network, timeout, tries)
        settings, statement = model_settings(model, device, not no_figures)
        output = BatchFolder(out.absolute())
        progress(0, 0, "Asking the archive")
        found = find_series(address, wanted)
        if not found and not (kinds and all_waiting(output.studies)):
            raise NothingFoundError
        if dry_run:
            print_plan(plan_series(found, output, settings, kinds, retry, taking_noise), identify)
            return
        with output.opened() as run, filing_of(record, output, settings) as filing:
            entries = plan_series(found, output, settings, kinds, retry, taking_noise)
            beside = all_waiting(output.studies) - {name for entry in entries if (name := entry.name)}
            entries += plan_waiting(output, beside) if kinds else ()
            task, where = task_of(address, output, run), Workers(workers, scheduler, trust_network)
            try:
                entries = run_entries(entries, settings, task, output, run, where, filing, progress, cancelled)
            except KeyboardInterrupt:
                error_console.print("Stopped at once; finished series are kept, and the same command goes on.")
                raise typer.Exit(EXIT_CANCELLED) from None
            write_group(entries, settings, output, statement, identify)
            filing.settle(entry.record for entry in entries if entry.record)
        _print_sent(entries, kinds, output)
        print_end(entries, output)
        _exit(entries)


def kinds_of(send: str) -> tuple[str, ...]:
    """The kinds of objects that --send names."""
    from CTQualityAssessmentLib.pacs.errors import AddressError
    from CTQualityAssessmentLib.pacs.kinds import KINDS

    kinds = tuple(kind.strip() for kind in send.split(",") if kind.strip())
    if not set(kinds) <= set(KINDS):
        raise AddressError(f"--send takes {', '.join(KINDS)}.", "Write --send report,maps.")
    return kinds


def denoiser_of(kinds: tuple[str, ...], name: str | None, strength: float) -> Denoiser | None:
    """What makes the denoised series, its weights checked; None where none is wanted."""
    from CTQualityAssessmentLib.models import DEFAULT_DENOISER, load_denoiser
    from CTQualityAssessmentLib.pacs.errors import AddressError
    from CTQualityAssessmentLib.pacs.kinds import DENOISED, Denoiser

    if DENOISED not in kinds:
        if name is not None or strength != 1:
            raise AddressError("--denoiser and --strength belong to --send denoised.", "Write --send report,denoised.")
        return None
    named = bundle_anywhere(name or DEFAULT_DENOISER)
    return Denoiser(named, load_denoiser(named, device="cpu").identity.sha256, strength)


def address_of(
    url: str | None,
    dimse: str | None,
    aet: str,
    aec: str,
    tls: bool,
    move_port: int | None,
    ca_file: Path | None,
    trust_network: bool,
    timeout: float,
    tries: int,
) -> Address:
    """The archive that the options name, checked."""
    from CTQualityAssessmentLib.pacs.address import Patience, dimse_address, web_address
    from CTQualityAssessmentLib.pacs.errors import AddressError

    if (url is None) == (dimse is None):
        raise AddressError("Either --url or --dimse is needed.", "Tell where the archive is.")
    common = {"ca_file": ca_file, "trust_network": trust_network, "patience": Patience(timeout, tries)}
    if dimse is None:
        return web_address(url, **common)
    return dimse_address(dimse, aet, aec, tls=tls, move_port=move_port, **common)


def model_settings(model: str | None, device: str, figures: bool) -> tuple[Settings, str]:
    """How the series are assessed, and what the model says of itself."""
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle, verify_bundle

    bundle = find_bundle(model or DEFAULT_BUNDLE)
    verify_bundle(bundle)
    return settings_of(model, bundle.sha256, device, None, [3], figures, False), bundle.statement


def find_series(address: Address, query: dict[str, str]) -> list[FoundSeries]:
    """All series that match, asked for with patience."""
    from CTQualityAssessmentLib.pacs.archive import open_archive
    from CTQualityAssessmentLib.pacs.patience import patiently

    with open_archive(address) as archive:
        return patiently(archive.patience, lambda: archive.find(query))


def task_of(
    address: Address, output: BatchFolder, run: str, endure: bool = False
) -> Callable[[Settings], Callable[[SeriesJob], Outcome]]:
    """For settings, what a worker calls with each series; see :func:`CTQualityAssessmentLib.pacs.series.do_series`."""
    from CTQualityAssessmentLib.pacs.series import do_series

    here = {"address": address, "out": str(output.path), "run": run, "endure": endure, "version": __version__}
    return lambda settings: partial(do_series, settings=settings, **here)


def unsent(record: StudyRecord) -> bool:
    """Whether something of a series could not be sent back."""
    return (record.reason or "").startswith(UNSENT)


def _not_sent(entries: tuple[Entry, ...]) -> list[str]:
    """Why something is not in the archive, one sentence for each series that was scored."""
    return [e.record.reason for e in entries if e.record and e.record.state == "scored" and e.record.reason]


def _print_sent(entries: tuple[Entry, ...], kinds: tuple[str, ...], output: BatchFolder) -> None:
    if not kinds:
        console.print("Nothing was sent back to the archive: --send report,maps does.")
        if left := len(all_waiting(output.studies)):
            console.print(f"Results of {left} series wait to be sent since an earlier run.")
    for reason, number in sorted(Counter(_not_sent(entries)).items()):
        again = " The same command tries again." if reason.startswith(UNSENT) else ""
        console.print(f"{number} series: {reason}{again}")


def _exit(entries: tuple[Entry, ...]) -> None:
    states = {entry.record.state if entry.record else None for entry in entries}
    if None in states:
        raise typer.Exit(EXIT_CANCELLED)
    if states & {"failed", "no score"} or _not_sent(entries):
        raise typer.Exit(EXIT_SOME_UNSCORED)
