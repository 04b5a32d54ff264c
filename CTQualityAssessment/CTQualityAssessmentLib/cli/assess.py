"""``ctqa assess``: a CT in, every result out."""

from __future__ import annotations

import importlib.util
import sys
import time
from dataclasses import replace
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
    from CTQualityAssessmentLib.calls import Cancelled
    from CTQualityAssessmentLib.calls import Progress as ProgressCall
    from CTQualityAssessmentLib.measures import PhysicalMeasures
    from CTQualityAssessmentLib.reading import SourceSeries
    from CTQualityAssessmentLib.results import VolumeAssessment
    from CTQualityAssessmentLib.volume import Volume


@app.command(epilog=EXIT_CODES)
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
    dicom: Annotated[
        bool,
        typer.Option(
            "--dicom",
            help="Also write report.dcm and attention-*.dcm. They, and only they, name the patient: name, number, "
            "birth date, study and UIDs as in the input, so that an archive can file them.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print assessment.json to standard output instead.")] = False,
) -> None:
    """Score and measure every slice of a CT volume: assessment.json, slices.csv, index.html, figures.png, scene.mrb.

    The physical measures are written beside them, as measures.json and measures.csv.
    """
    if dicom and out is None:
        raise typer.BadParameter("--dicom needs --out, the folder to write to.")
    with plain_errors(), cancel_on_interrupt() as cancelled, progress_bar() as progress:
        if dicom:
            import highdicom  # noqa: F401  (what is missing shows now, not after the network has run)
        volume, source, assessment = _run(
            path, series, dicom, model, device, batch, attention_stage, progress, cancelled
        )
        if assessment.partial and assessment.summary.scored == 0:
            error_console.print("Cancelled before a slice was scored; nothing was written.")
            raise typer.Exit(EXIT_CANCELLED)
        if out is not None:
            from CTQualityAssessmentLib.assessment.measures import measure_volume

            measures = measure_volume(volume, progress=progress, cancelled=cancelled)
            _write(out, volume, assessment, measures, source, not no_figures, not no_scene, progress)
        if as_json:
            from CTQualityAssessmentLib.reporting.json_file import to_json

            sys.stdout.write(to_json(assessment))
        else:
            _print_summary(assessment)
        if assessment.partial:
            raise typer.Exit(EXIT_CANCELLED)
        if assessment.summary.scored == 0:
            raise typer.Exit(EXIT_NOTHING_SCORED)


def _run(
    path: Path,
    series: str | None,
    dicom: bool,
    model: str | None,
    device: str,
    batch: int,
    attention_stages: list[int],
    progress: ProgressCall,
    cancelled: Cancelled,
) -> tuple[Volume, SourceSeries | None, VolumeAssessment]:
    """Read and assess; the source, which names the patient, only where DICOM files were asked for."""
    from CTQualityAssessmentLib.assessment import assess_volume
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, load_bundle
    from CTQualityAssessmentLib.reading import read_volume, read_with_source

    start = time.perf_counter()
    source = None
    if dicom:
        volume, source = read_with_source(path, series=series, progress=progress, cancelled=cancelled)
    else:
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
    return volume, source, replace(assessment, timings_s={"read": read_s, **assessment.timings_s})


def _write(
    out: Path,
    volume: Volume,
    assessment: VolumeAssessment,
    measures: PhysicalMeasures,
    source: SourceSeries | None,
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
    from CTQualityAssessmentLib.reporting.web_page import write_web_page

    if scene and importlib.util.find_spec("slicer") is None:
        error_console.print("scene.mrb is left out: the package slicer-core is not installed.")
        scene = False
    with result_folder(out) as folder:
        progress(0, 3, "Writing tables")
        write_json(folder / "assessment.json", assessment)
        write_csv(folder / "slices.csv", assessment)
        write_measures(folder, measures)
        if source is not None:
            from CTQualityAssessmentLib.reporting.dicom.files import write_dicom

            write_dicom(folder, assessment, source, measures)
        progress(1, 3, "Drawing figures")
        if figures:
            write_figures(folder / "figures.png", volume, assessment)
        write_web_page(folder / "index.html", assessment, volume=volume, measures=measures, scene=scene)
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
        console.print("PARTIAL: the run was cancelled; the slices that it did not reach have no score.")
    console.print(f"{title}. {meaning}")
    console.print(summary_line(assessment))
    console.print(facts_line(assessment))
    if assessment.summary.worst:
        worst = (assessment.slices[n] for n in assessment.summary.worst[:5])
        console.print("Worst slices, counted from 0: " + ", ".join(f"{one.index} ({one.score:.1f})" for one in worst))
    for reason, indices in refused_ranges(assessment):
        console.print(f"No score for {indices}: {reason}")
    for warning in assessment.warnings:
        console.print(f"Warning: {warning}")
    console.print(f"{assessment.model.statement} {DISCLAIMER}")
