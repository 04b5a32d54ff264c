"""``ctqa batch``: many studies, on all cores or a cluster, that can be stopped and resumed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.cli.application import app
from CTQualityAssessmentLib.cli.studies import (
    RecordPlace,
    Workers,
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
    error_console,
    plain_errors,
    progress_bar,
)

BATCH_EXIT_CODES = (
    "Exit codes: 0 every study has a score; 1 error; 2 wrong usage; 3 there is no CT in the folder; 4 done, but some "
    "studies failed or have no score, the table tells why; 130 cancelled with Ctrl-C, the same command goes on."
)


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
    record: RecordPlace = None,
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
        from CTQualityAssessmentLib.batch.study import do_study
        from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle, verify_bundle
        from CTQualityAssessmentLib.reading import find_inputs

        bundle = find_bundle(model or DEFAULT_BUNDLE)
        verify_bundle(bundle)
        settings = settings_of(model, bundle.sha256, device, slices, attention_stage, not no_figures, scene)
        output = BatchFolder(out.absolute())
        found = find_inputs(folder, leave_out=output.path, progress=progress, cancelled=cancelled)
        if not any(not one.skipped for one in found):
            raise NoSeriesError
        if dry_run:
            print_plan(make_plan(found, output, settings, retry), identify)
            return
        with output.opened() as run, filing_of(record, output, settings) as filing:
            entries = make_plan(found, output, settings, retry)
            try:
                where = Workers(workers, scheduler, trust_network)
                here = {"source": str(folder.absolute()), "out": str(output.path), "run": run, "version": __version__}
                entries = run_entries(
                    entries,
                    settings,
                    lambda fitted: partial(do_study, settings=fitted, **here),
                    output,
                    run,
                    where,
                    filing,
                    progress,
                    cancelled,
                )
            except KeyboardInterrupt:
                error_console.print("Stopped at once; finished studies are kept, and the same command goes on.")
                raise typer.Exit(EXIT_CANCELLED) from None
            write_group(entries, settings, output, bundle.statement, identify)
            filing.settle(entry.record for entry in entries if entry.record)
        print_end(entries, output)
        states = {entry.record.state if entry.record else None for entry in entries}
        if None in states:
            raise typer.Exit(EXIT_CANCELLED)
        if states & {"failed", "no score"}:
            raise typer.Exit(EXIT_SOME_UNSCORED)
