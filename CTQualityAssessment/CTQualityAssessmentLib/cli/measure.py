"""``ctqa measure``: the physical measures alone."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from CTQualityAssessmentLib.cli.application import EXIT_CODES, InputPath, SeriesChoice, app
from CTQualityAssessmentLib.cli.terminal import (
    EXIT_CANCELLED,
    EXIT_NOTHING_SCORED,
    cancel_on_interrupt,
    console,
    error_console,
    plain_errors,
    progress_bar,
)

if TYPE_CHECKING:
    from CTQualityAssessmentLib.measures import PhysicalMeasures


@app.command(epilog=EXIT_CODES)
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
    from CTQualityAssessmentLib.reporting.folder import result_folder, writing
    from CTQualityAssessmentLib.reporting.measures_file import measures_to_json, write_measures

    with plain_errors(), cancel_on_interrupt() as cancelled, progress_bar() as progress, ExitStack() as opened:
        # Opened first, so that a folder that cannot be written is known before the work is done.
        folder = opened.enter_context(result_folder(out)) if out is not None else None
        volume = read_volume(path, series=series, progress=progress, cancelled=cancelled)
        measures = measure_volume(volume, progress=progress, cancelled=cancelled)
        any_figure = any(measures.volume.slices_measured.values())
        if measures.partial and not any_figure:
            error_console.print("Cancelled before a slice was measured; nothing was written.")
            raise typer.Exit(EXIT_CANCELLED)
        if as_json:
            sys.stdout.write(measures_to_json(measures))
        else:
            _print_measures(measures)
        if folder is not None:
            with writing():
                write_measures(folder, measures)
            opened.close()
    if measures.partial:
        raise typer.Exit(EXIT_CANCELLED)
    if not any_figure:
        raise typer.Exit(EXIT_NOTHING_SCORED)


def _print_measures(measures: PhysicalMeasures) -> None:
    from CTQualityAssessmentLib.reporting.measure_labels import MEASURE_WORDS
    from CTQualityAssessmentLib.reporting.measure_words import range_text, reason_text, value_text

    if measures.partial:
        console.print("PARTIAL: the run was cancelled; the slices that it did not reach were not measured.")
    for words in MEASURE_WORDS:
        reason, spread = reason_text(words, measures), range_text(words, measures.volume)
        count = measures.volume.slices_measured[words.name]
        more = f" ({reason})" if reason else f" ({spread} in 80 % of {count} slices)" if spread else ""
        console.print(f"{words.label}: {value_text(words, measures.volume)}{more}")
    for name, tissue in measures.volume.tissues.items():
        console.print(f"Tissue {name}: mean {tissue.mean_hu:.0f} HU, SD {tissue.sd_hu:.0f} HU")
    for note in measures.notes:
        console.print(note)
