"""``ctqa assess``: a CT in, every result out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
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
    from CTQualityAssessmentLib.assessment import Told
    from CTQualityAssessmentLib.calls import Cancelled
    from CTQualityAssessmentLib.calls import Progress as ProgressCall
    from CTQualityAssessmentLib.denoising import DenoisingReport
    from CTQualityAssessmentLib.reading import SourceSeries, Wanted
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
    batch: Annotated[
        int | None, typer.Option(min=1, help="Slices at a time (default: 1 on the CPU, 4 on a graphics card).")
    ] = None,
    attention_stage: Annotated[
        list[int],
        typer.Option(
            min=1,
            max=4,
            help="Network stage to map, 1 fine to 4 coarse; may be repeated. Any, where maps are Grad-CAM.",
        ),
    ] = [3],  # noqa: B006  (typer copies it)
    no_attention: Annotated[
        bool, typer.Option("--no-attention", help="No attention maps: less memory, scene and pictures without them.")
    ] = False,
    no_scene: Annotated[bool, typer.Option("--no-scene", help="Leave out scene.mrb.")] = False,
    no_figures: Annotated[bool, typer.Option("--no-figures", help="Leave out figures.png.")] = False,
    dicom: Annotated[
        bool,
        typer.Option(
            "--dicom",
            help="Also write report.dcm and the maps (attention-*.dcm, grad-cam-*.dcm). They, and only they, name the "
            "patient: name, number, birth date, study and UIDs as in the input, so that an archive can file them.",
        ),
    ] = False,
    modality: Annotated[
        str | None, typer.Option(help="For models that are told: CT, MR or unknown, instead of what the tags say.")
    ] = None,
    organ: Annotated[
        str | None, typer.Option(help="For models that are told: brain, chest, abdomen ... or unknown.")
    ] = None,
    denoised: Annotated[
        Path | None,
        typer.Option(
            help="Folder that 'ctqa denoise' wrote for the same input: index.html shows the comparison too.",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print assessment.json to standard output instead.")] = False,
) -> None:
    """Score and measure every slice of a CT volume: assessment.json, slices.csv, index.html, figures.png, scene.mrb.

    The physical measures are written beside them, as measures.json and measures.csv.
    """
    if dicom and out is None:
        raise typer.BadParameter("--dicom needs --out, the folder to write to.")
    if denoised and out is None:
        raise typer.BadParameter("--denoised needs --out, the folder to write to.")
    with plain_errors(), cancel_on_interrupt() as cancelled, progress_bar() as progress, ExitStack() as opened:
        if dicom:
            import highdicom  # noqa: F401  (what is missing shows now, not after the network has run)
        folder = None
        if out is not None:
            from CTQualityAssessmentLib import result_files
            from CTQualityAssessmentLib.reporting.folder import result_folder

            # Opened first, so that a folder that cannot be written is known before the network has run.
            folder = opened.enter_context(result_folder(out, optional=result_files.OPTIONAL_FILES))
        told = _told(modality, organ)
        start = time.perf_counter()
        volume, source = _read(path, series, dicom, _wanted(model, told), progress, cancelled)
        read_s = time.perf_counter() - start
        comparison = None
        if denoised is not None:
            from CTQualityAssessmentLib.reporting.denoising_file import read_denoising

            # What does not belong to this volume shows now, not after the network has run.
            comparison = read_denoising(denoised, volume)
        stages = () if no_attention else attention_stage
        assessment = _assessed(volume, model, device, batch, stages, told, progress, cancelled)
        assessment = replace(assessment, timings_s={"read": read_s, **assessment.timings_s})
        if assessment.partial and assessment.summary.scored == 0:
            error_console.print("Cancelled before a slice was scored; nothing was written.")
            raise typer.Exit(EXIT_CANCELLED)
        # Printed before anything is written: a full disk takes the files, not the result.
        if as_json:
            from CTQualityAssessmentLib.reporting.json_file import to_json

            sys.stdout.write(to_json(assessment))
        else:
            _print_summary(assessment)
        partial = assessment.partial
        if folder is not None:
            partial |= _write(
                folder,
                volume,
                assessment,
                source,
                not no_figures,
                not no_scene,
                comparison,
                progress=progress,
                cancelled=cancelled,
            )
            opened.close()  # the files move into place here, and errors of that come before the exit code
    if partial:
        raise typer.Exit(EXIT_CANCELLED)
    if assessment.summary.scored == 0:
        raise typer.Exit(EXIT_NOTHING_SCORED)


def _write(
    folder: Path,
    volume: Volume,
    assessment: VolumeAssessment,
    source: SourceSeries | None,
    figures: bool,
    scene: bool,
    comparison: tuple[DenoisingReport, Volume] | None,
    *,
    progress: ProgressCall,
    cancelled: Cancelled,
) -> bool:
    """Measure, and write every result; True where the measures were cancelled half way."""
    from CTQualityAssessmentLib import result_files
    from CTQualityAssessmentLib.assessment.measures import measure_volume
    from CTQualityAssessmentLib.reporting.folder import writing

    measures = measure_volume(volume, progress=progress, cancelled=cancelled)
    if measures.partial:
        error_console.print("PARTIAL: cancelled while measuring; the physical measures are of a part of the slices.")
    if missing := result_files.missing_for_scene() if scene else None:
        error_console.print(f"scene.mrb is left out: {missing}")
    with writing():
        result_files.write_results(
            folder,
            volume,
            assessment,
            measures,
            source,
            figures=figures,
            scene=scene and not missing,
            comparison=comparison,
            progress=progress,
        )
    return measures.partial


def _told(modality: str | None, organ: str | None) -> Told:
    """What the user says, in the words of the prompts."""
    from CTQualityAssessmentLib.assessment import Told
    from CTQualityAssessmentLib.prompts import UNKNOWN

    if modality is not None:
        modality = UNKNOWN if modality.lower() == UNKNOWN else modality.upper()
    return Told(modality, organ and organ.lower())


def _wanted(model: str | None, told: Told) -> Wanted:
    """What the model can read, and what a file is that does not say it."""
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle
    from CTQualityAssessmentLib.reading import Wanted

    modalities = find_bundle(model or DEFAULT_BUNDLE).modalities
    return Wanted(modalities, told.modality if told.modality in modalities else None)


def _read(
    path: Path, series: str | None, dicom: bool, wanted: Wanted, progress: ProgressCall, cancelled: Cancelled
) -> tuple[Volume, SourceSeries | None]:
    """The volume; its source, which names the patient, only where DICOM files were asked for."""
    from CTQualityAssessmentLib.reading import read_volume, read_with_source

    if dicom:
        return read_with_source(path, series=series, progress=progress, cancelled=cancelled)
    return read_volume(path, series=series, progress=progress, cancelled=cancelled, wanted=wanted), None


def _assessed(
    volume: Volume,
    model: str | None,
    device: str,
    batch: int | None,
    attention_stages: Sequence[int],
    told: Told,
    progress: ProgressCall,
    cancelled: Cancelled,
) -> VolumeAssessment:
    from CTQualityAssessmentLib.assessment import assess_volume
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, load_bundle

    return assess_volume(
        volume,
        load_bundle(model or DEFAULT_BUNDLE, device=device),
        batch_size=batch,
        attention_stages=tuple(sorted(set(attention_stages))),
        progress=progress,
        cancelled=cancelled,
        told=told,
    )


def _print_summary(assessment: VolumeAssessment) -> None:
    from CTQualityAssessmentLib.reporting.fact_labels import DISCLAIMER
    from CTQualityAssessmentLib.reporting.web_page import refused_ranges
    from CTQualityAssessmentLib.reporting.words import facts_line, headline, summary_line

    title, meaning = headline(assessment)
    if assessment.partial:
        console.print("PARTIAL: the run was cancelled; the slices that it did not reach have no score.")
    console.print(f"{title}. {meaning}")
    console.print(summary_line(assessment))
    console.print(facts_line(assessment))
    if assessment.prompt:
        console.print(f"The network was told: {assessment.prompt.text}.")
    if assessment.summary.worst:
        worst = (assessment.slices[n] for n in assessment.summary.worst[:5])
        console.print("Worst slices, counted from 0: " + ", ".join(f"{one.index} ({one.score:.1f})" for one in worst))
    for reason, indices in refused_ranges(assessment):
        console.print(f"No score for {indices}: {reason}")
    for warning in assessment.warnings:
        console.print(f"Warning: {warning}")
    console.print(f"{assessment.model.statement} {DISCLAIMER}")
