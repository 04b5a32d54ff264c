"""``ctqa``: assess a CT, measure it, look at an input, list the models. Everything stays on this computer.

Heavy packages are imported inside the commands, so that ``ctqa --help`` answers at once.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.errors import CTQAError

if TYPE_CHECKING:
    from CTQualityAssessmentLib.calls import Cancelled
    from CTQualityAssessmentLib.calls import Progress as ProgressCall
    from CTQualityAssessmentLib.measures import PhysicalMeasures
    from CTQualityAssessmentLib.results import VolumeAssessment
    from CTQualityAssessmentLib.volume import Volume

EXIT_FAULT = 1
EXIT_NOTHING_SCORED = 3
EXIT_CANCELLED = 130

_EXIT_CODES = (
    "Exit codes: 0 done; 1 error; 2 wrong usage; 3 no score, because the input cannot be read as CT or every slice was "
    "refused; 130 cancelled with Ctrl-C, what was scored by then is kept and marked partial."
)

app = typer.Typer(
    name="ctqa",
    help="Image quality of CT without a reference: a score from 0 to 4 for every slice. A research tool, not a medical "
    "device.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# soft_wrap: a line stays a line, so that checksums and messages can be searched for.
_out = Console(markup=False, highlight=False, soft_wrap=True)
_err = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)

InputPath = Annotated[
    Path, typer.Argument(metavar="PATH", help="DICOM folder, zip or file; NIfTI, NRRD, MHA/MHD or challenge TIFF.")
]
SeriesChoice = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="Number of the series in 'ctqa info', or its UID; else the CT stack with most slices."
    ),
]


def main() -> None:
    """Entry point of the ``ctqa`` command."""
    app()


def _show_version(wanted: bool) -> None:
    if wanted:
        _out.print(f"ctqa {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Version.")] = False,
) -> None:
    pass


@app.command(epilog=_EXIT_CODES)
def assess(
    path: InputPath,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; without it nothing is written.", file_okay=False)
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name or folder of a model, see 'ctqa models'.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    series: SeriesChoice = None,
    batch: Annotated[int, typer.Option(min=1, help="Slices at a time; fewer need less memory.")] = 4,
    attention_stage: Annotated[
        list[int], typer.Option(min=1, max=4, help="Network stage to map, 1 fine to 4 coarse; may be repeated.")
    ] = [3],  # noqa: B006  (typer copies it)
    no_scene: Annotated[bool, typer.Option("--no-scene", help="Leave out scene.mrb.")] = False,
    no_figures: Annotated[bool, typer.Option("--no-figures", help="Leave out figures.png.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print assessment.json to standard output instead.")] = False,
) -> None:
    """Score and measure every slice of a CT volume: assessment.json, slices.csv, index.html, figures.png, scene.mrb.

    The physical measures are written beside them, as measures.json and measures.csv.
    """
    with _plain_errors(), _cancel_on_interrupt() as cancelled, _progress_bar() as progress:
        volume, assessment = _run(path, series, model, device, batch, attention_stage, progress, cancelled)
        if assessment.partial and assessment.summary.scored == 0:
            _err.print("Cancelled before a slice was scored; nothing was written.")
            raise typer.Exit(EXIT_CANCELLED)
        if out is not None:
            from CTQualityAssessmentLib.assessment.measures import measure_volume

            measures = measure_volume(volume, progress=progress, cancelled=cancelled)
            _write(out, volume, assessment, measures, figures=not no_figures, scene=not no_scene, progress=progress)
        if as_json:
            from CTQualityAssessmentLib.reporting.json_file import to_json

            sys.stdout.write(to_json(assessment))
        else:
            _print_summary(assessment)
        if assessment.partial:
            raise typer.Exit(EXIT_CANCELLED)
        if assessment.summary.scored == 0:
            raise typer.Exit(EXIT_NOTHING_SCORED)


@app.command(epilog=_EXIT_CODES)
def measure(
    path: InputPath,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; without it nothing is written.", file_okay=False)
    ] = None,
    series: SeriesChoice = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print measures.json to standard output instead.")] = False,
) -> None:
    """Measure noise, contrast, texture, sharpness, streaks and size by physics alone, and write measures.json and .csv.

    No network and no torch is needed.
    """
    from CTQualityAssessmentLib.assessment.measures import measure_volume
    from CTQualityAssessmentLib.reading import read_volume
    from CTQualityAssessmentLib.reporting.folder import result_folder
    from CTQualityAssessmentLib.reporting.measures_file import measures_to_json, write_measures

    with _plain_errors(), _cancel_on_interrupt() as cancelled, _progress_bar() as progress:
        volume = read_volume(path, series=series, progress=progress, cancelled=cancelled)
        measures = measure_volume(volume, progress=progress, cancelled=cancelled)
        any_figure = any(measures.volume.slices_measured.values())
        if measures.partial and not any_figure:
            _err.print("Cancelled before a slice was measured; nothing was written.")
            raise typer.Exit(EXIT_CANCELLED)
        if out is not None:
            with result_folder(out) as folder:
                write_measures(folder, measures)
        if as_json:
            sys.stdout.write(measures_to_json(measures))
        else:
            _print_measures(measures)
        if measures.partial:
            raise typer.Exit(EXIT_CANCELLED)
        if not any_figure:
            raise typer.Exit(EXIT_NOTHING_SCORED)


@app.command(epilog=_EXIT_CODES)
def info(path: InputPath, series: SeriesChoice = None) -> None:
    """Show what an input holds: its series, and geometry, acquisition facts and warnings of the one to assess."""
    from CTQualityAssessmentLib.reading import list_series, read_volume

    with _plain_errors(), _cancel_on_interrupt() as cancelled, _progress_bar() as progress:
        found = list_series(path)
        for one in found:
            _out.print(f"Series {one.number}: {one.label}")
        _print_volume(read_volume(path, series=series, progress=progress, cancelled=cancelled))


@app.command(epilog=_EXIT_CODES)
def models() -> None:
    """List the installed models and check their weights against their SHA-256."""
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, installed_bundles, read_bundle, verify_bundle

    with _plain_errors():
        damaged = False
        installed = installed_bundles()
        if not installed:
            raise CTQAError(
                "No model is installed.", "Install CTQualityAssessment again or set CTQA_MODELS to a folder."
            )
        for name, folder in installed.items():
            try:
                bundle = read_bundle(folder)
                verify_bundle(bundle)
            except CTQAError as error:
                damaged = True
                _out.print(f"{name}: UNUSABLE: {error}")
                continue
            _out.print(f"{name} {bundle.version}{' (default)' if name == DEFAULT_BUNDLE else ''}: weights verified")
            _out.print(f"  {bundle.description}")
            _out.print(f"  {bundle.statement}")
            _out.print(f"  network {bundle.network}, window {bundle.window}, SHA-256 {bundle.sha256}")
        if damaged:
            raise typer.Exit(EXIT_FAULT)


@app.command()
def view(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="CT as for 'assess', a scene.mrb, or a folder of results with one."),
    ] = None,
    series: SeriesChoice = None,
    model: Annotated[str | None, typer.Option(help="Name of the model to begin with, see 'ctqa models'.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False,
    upload_limit: Annotated[int, typer.Option(min=1, metavar="MIB", help="Largest upload in MiB.")] = 4096,
) -> None:
    """Open the viewer in a browser: look, assess, jump to the worst slice, save. Only this computer can reach it."""
    with _plain_errors():
        from CTQualityAssessmentLib.viewer.server import run

        run(
            path,
            series=series,
            model=model,
            device=device,
            port=port,
            open_browser=not no_browser,
            upload_limit_mib=upload_limit,
            say=_out.print,
        )


def _run(
    path: Path,
    series: str | None,
    model: str | None,
    device: str,
    batch: int,
    attention_stages: list[int],
    progress: ProgressCall,
    cancelled: Cancelled,
) -> tuple[Volume, VolumeAssessment]:
    """Read and assess."""
    from CTQualityAssessmentLib.assessment import assess_volume
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, load_bundle
    from CTQualityAssessmentLib.reading import read_volume

    start = time.perf_counter()
    volume = read_volume(path, series=series, progress=progress, cancelled=cancelled)
    read_s = time.perf_counter() - start
    assessment = assess_volume(
        volume,
        load_bundle(model or DEFAULT_BUNDLE, device=device),
        batch_size=batch,
        attention_stages=tuple(sorted(set(attention_stages))),
        progress=progress,
        cancelled=cancelled,
    )
    return volume, replace(assessment, timings_s={"read": read_s, **assessment.timings_s})


def _write(
    out: Path,
    volume: Volume,
    assessment: VolumeAssessment,
    measures: PhysicalMeasures,
    figures: bool,
    scene: bool,
    progress: ProgressCall,
) -> None:
    """Write the results into ``out``, all of them or none."""
    from CTQualityAssessmentLib.reporting.csv_file import write_csv
    from CTQualityAssessmentLib.reporting.figures import write_figures
    from CTQualityAssessmentLib.reporting.folder import result_folder
    from CTQualityAssessmentLib.reporting.json_file import write_json
    from CTQualityAssessmentLib.reporting.measures_file import write_measures
    from CTQualityAssessmentLib.reporting.profile_curve import write_profile
    from CTQualityAssessmentLib.reporting.web_page import write_web_page

    if scene and importlib.util.find_spec("slicer") is None:
        _err.print("scene.mrb is left out: the package slicer-core is not installed.")
        scene = False
    with result_folder(out) as folder:
        progress(0, 3, "Writing tables")
        write_json(folder / "assessment.json", assessment)
        write_csv(folder / "slices.csv", assessment)
        write_measures(folder, measures)
        progress(1, 3, "Drawing figures")
        profile = folder / "profile.png"
        if figures:
            write_figures(folder / "figures.png", volume, assessment)
            write_profile(profile, measures, assessment)
        write_web_page(
            folder / "index.html",
            assessment,
            folder / "figures.png" if figures else None,
            scene=scene,
            measures=measures,
            profile=profile if figures else None,
        )
        profile.unlink(missing_ok=True)  # it is in the page
        progress(2, 3, "Saving the scene")
        if scene:
            _write_scene(folder / "scene.mrb", volume, assessment)
        progress(3, 3, "Written")


def _write_scene(path: Path, volume: Volume, assessment: VolumeAssessment) -> None:
    from CTQualityAssessmentLib.assessment.body import body_mask
    from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene
    from CTQualityAssessmentLib.mrml.scene_file import save_scene
    from CTQualityAssessmentLib.mrml.volume_nodes import add_volume

    slices = volume.canonical_slices()
    columns_mm, rows_mm, _ = (sum(x * x for x in slices.ijk_to_ras[:3, axis]) ** 0.5 for axis in range(3))
    bare = create_bare_scene()
    node = add_volume(bare.scene, volume)
    add_assessment(bare.scene, node, assessment, body_mask(slices.hu, (rows_mm, columns_mm)))
    save_scene(bare.scene, path)


def _print_summary(assessment: VolumeAssessment) -> None:
    from CTQualityAssessmentLib.reporting.web_page import refused_ranges
    from CTQualityAssessmentLib.reporting.words import DISCLAIMER, facts_line, headline, summary_line

    title, meaning = headline(assessment)
    if assessment.partial:
        _out.print("PARTIAL: the run was cancelled; the slices that it did not reach have no score.")
    _out.print(f"{title}. {meaning}")
    _out.print(summary_line(assessment))
    _out.print(facts_line(assessment))
    if assessment.summary.worst:
        worst = (assessment.slices[n] for n in assessment.summary.worst[:5])
        _out.print("Worst slices, counted from 0: " + ", ".join(f"{one.index} ({one.score:.1f})" for one in worst))
    for reason, indices in refused_ranges(assessment):
        _out.print(f"No score for {indices}: {reason}")
    for warning in assessment.warnings:
        _out.print(f"Warning: {warning}")
    _out.print(f"{assessment.model.statement} {DISCLAIMER}")


def _print_measures(measures: PhysicalMeasures) -> None:
    from CTQualityAssessmentLib.reporting.measure_words import MEASURE_WORDS, range_text, reason_text, value_text

    if measures.partial:
        _out.print("PARTIAL: the run was cancelled; the slices that it did not reach were not measured.")
    for words in MEASURE_WORDS:
        reason, spread = reason_text(words, measures), range_text(words, measures.volume)
        count = measures.volume.slices_measured[words.name]
        more = f" ({reason})" if reason else f" ({spread} in 80 % of {count} slices)" if spread else ""
        _out.print(f"{words.label}: {value_text(words, measures.volume)}{more}")
    for name, tissue in measures.volume.tissues.items():
        _out.print(f"Tissue {name}: mean {tissue.mean_hu:.0f} HU, SD {tissue.sd_hu:.0f} HU")
    for note in measures.notes:
        _out.print(note)


def _print_volume(volume: Volume) -> None:
    from CTQualityAssessmentLib.reporting.words import FACT_LABELS, fact_text

    i, j, k = volume.spacing
    axis = volume.acquisition_axis
    directions = volume.ijk_to_ras[:3, axis] / volume.spacing[axis]
    table = Table(show_header=False, box=None)
    table.add_row("Matrix (i, j, k)", " x ".join(str(n) for n in reversed(volume.hu.shape)))
    table.add_row("Spacing (i, j, k)", f"{i:.4g} x {j:.4g} x {k:.4g} mm")
    table.add_row("Slices", f"{volume.slice_count} along {'ijk'[axis]}")
    table.add_row("Slice direction (RAS)", ", ".join(f"{x:.3f}" for x in directions))
    table.add_row("HU", f"{float(volume.hu.min()):g} to {float(volume.hu.max()):g} ({volume.units})")
    known = volume.facts.known()
    for name, label, _ in FACT_LABELS:
        table.add_row(label, fact_text(name, known))
    _out.print(table)
    for warning in volume.warnings:
        _out.print(f"Warning: {warning}")


@contextmanager
def _plain_errors() -> Iterator[None]:
    """End a command with one line instead of a traceback, which could quote a path or a header.

    ``CTQA_TRACEBACK=1`` lets the traceback of a fault through, for those who look for its cause.
    """
    try:
        yield
    except typer.Exit:
        raise
    except CTQAError as error:
        _err.print(f"Error: {error}")
        raise typer.Exit(error.exit_code) from None
    except ModuleNotFoundError as error:
        _err.print(
            f"Error: The package '{error.name}' is needed for this and not installed. "
            "Install CTQualityAssessment with its extras, as the README says."
        )
        raise typer.Exit(EXIT_FAULT) from None
    except KeyboardInterrupt:
        _err.print("Stopped; nothing was written.")
        raise typer.Exit(EXIT_CANCELLED) from None
    except Exception as error:
        if os.environ.get("CTQA_TRACEBACK") == "1":
            raise
        _err.print(
            f"Error: An unexpected fault stopped the run ({type(error).__name__}). "
            "Set CTQA_TRACEBACK=1 to see where, and report it without patient data."
        )
        raise typer.Exit(EXIT_FAULT) from None


@contextmanager
def _cancel_on_interrupt() -> Iterator[Cancelled]:
    """The first Ctrl-C asks the work to stop at its next batch; the second stops at once."""
    asked = threading.Event()

    def ask(signum: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        _err.print("Cancelling after this batch; press Ctrl-C again to stop at once.")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress_bar() -> Iterator[ProgressCall]:
    """A bar on standard error, on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_err, transient=True, disable=not _err.is_terminal) as bar:
        task = bar.add_task("Starting", total=None)

        def show(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=total or None, description=message)

        yield show


if __name__ == "__main__":
    main()
