"""``ctqa info``: what an input holds."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from CTQualityAssessmentLib.cli.application import EXIT_CODES, InputPath, SeriesChoice, app
from CTQualityAssessmentLib.cli.terminal import cancel_on_interrupt, console, plain_errors, progress_bar

if TYPE_CHECKING:
    from CTQualityAssessmentLib.reading import SeriesInfo
    from CTQualityAssessmentLib.volume import Volume


@app.command(epilog=EXIT_CODES)
def info(
    path: InputPath,
    series: SeriesChoice = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as JSON instead.")] = False,
) -> None:
    """Show what an input holds: its series, and geometry, acquisition facts and warnings of the one to assess."""
    from CTQualityAssessmentLib.reading import list_series, read_volume

    with plain_errors(), cancel_on_interrupt() as cancelled, progress_bar() as progress:
        found = list_series(path)
        volume = read_volume(path, series=series, progress=progress, cancelled=cancelled)
        if as_json:
            sys.stdout.write(json.dumps(_described(found, volume), indent=1, ensure_ascii=False) + "\n")
            return
        for one in found:
            console.print(f"Series {one.number}: {one.label}")
        _print_volume(volume)


def _described(found: Sequence[SeriesInfo], volume: Volume) -> dict[str, Any]:
    return {
        "series": [{"number": one.number, "label": one.label} for one in found],
        "shape_ijk": [int(n) for n in reversed(volume.hu.shape)],
        "spacing_mm": [float(n) for n in volume.spacing],
        "ijk_to_ras": volume.ijk_to_ras.tolist(),
        "acquisition_axis": "ijk"[volume.acquisition_axis],
        "units": volume.units,
        "lowest": float(volume.hu.min()),
        "highest": float(volume.hu.max()),
        "facts": volume.facts.known(),
        "warnings": list(volume.warnings),
    }


def _print_volume(volume: Volume) -> None:
    from CTQualityAssessmentLib.reporting.fact_labels import FACT_LABELS
    from CTQualityAssessmentLib.reporting.words import fact_text

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
    console.print(table)
    for warning in volume.warnings:
        console.print(f"Warning: {warning}")
