"""``ctqa denoise``: a CT in, the same CT with less noise out, and what that did to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from CTQualityAssessmentLib.cli.application import EXIT_CODES, InputPath, SeriesChoice, app
from CTQualityAssessmentLib.cli.terminal import (
    EXIT_CANCELLED,
    cancel_on_interrupt,
    console,
    error_console,
    plain_errors,
    progress_bar,
)

if TYPE_CHECKING:
    from CTQualityAssessmentLib.calls import Cancelled
    from CTQualityAssessmentLib.calls import Progress as ProgressCall
    from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
    from CTQualityAssessmentLib.models import LoadedDenoiser
    from CTQualityAssessmentLib.reading import Originals
    from CTQualityAssessmentLib.volume import Volume

#: Written only where asked for: those of an earlier run must not stay beside another volume.
_OPTIONAL = ("denoised.nii.gz", "denoised.nrrd", "residual.nii.gz", "residual.nrrd")


class _Format(str, Enum):
    nifti = "nifti"
    nrrd = "nrrd"


@app.command(epilog=EXIT_CODES)
def denoise(
    path: InputPath,
    out: Annotated[Path, typer.Option(help="Folder for the results.", file_okay=False)],
    model: Annotated[str | None, typer.Option(help="Name or folder of a denoiser, see 'ctqa models'.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    series: SeriesChoice = None,
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the denoising that is kept: 0 the original, 1 all of it.")
    ] = 1.0,
    lung: Annotated[float | None, typer.Option(min=0, max=1, help="The same for lung, else as --strength.")] = None,
    bone: Annotated[float | None, typer.Option(min=0, max=1, help="The same for bone, else as --strength.")] = None,
    residual: Annotated[bool, typer.Option("--residual", help="Also write what was taken away.")] = False,
    image_format: Annotated[_Format, typer.Option("--format", help="Of the volumes.")] = _Format.nifti,
    dicom: Annotated[
        bool,
        typer.Option(
            "--dicom",
            help="Also write a derived series to the folder 'dicom'. It names the patient, as its source does.",
        ),
    ] = False,
    no_guard: Annotated[bool, typer.Option("--no-guard", help="Do not look whether lesions survive.")] = False,
    no_measures: Annotated[bool, typer.Option("--no-measures", help="Do not measure before and after.")] = False,
    scores: Annotated[bool, typer.Option("--scores", help="Also score the volume before and after; slow.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print denoising.json to standard output.")] = False,
) -> None:
    """Take noise out of a CT volume: denoised.nii.gz on the same grid in HU, denoising.json, and index.html.

    The input is not changed. Air, table and padding keep their values. Lesions are put into slices of this volume for
    trial, to see whether they survive.
    """
    with plain_errors(), cancel_on_interrupt() as cancelled, progress_bar() as progress, ExitStack() as opened:
        from CTQualityAssessmentLib.assessment import software_versions
        from CTQualityAssessmentLib.assessment.denoising import blend, denoise_volume
        from CTQualityAssessmentLib.assessment.denoising import residual as taken_away
        from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
        from CTQualityAssessmentLib.models import DEFAULT_DENOISER, load_denoiser
        from CTQualityAssessmentLib.reporting.denoising_file import denoising_to_json, write_denoising
        from CTQualityAssessmentLib.reporting.denoising_page import write_denoising_page
        from CTQualityAssessmentLib.reporting.folder import result_folder, writing
        from CTQualityAssessmentLib.reporting.volume_file import FORMATS, check_format, write_volume

        wanted = Strength(strength if lung is None else lung, strength, strength if bone is None else bone)
        # Opened first, so that a folder that cannot be written is known before the network has run.
        folder = opened.enter_context(result_folder(out, optional=_OPTIONAL))
        loaded = load_denoiser(model or DEFAULT_DENOISER, device=device)
        with _input(path, series, dicom, progress, cancelled) as (volume, files):
            check_format(volume, image_format.value)
            found = denoise_volume(volume, loaded, progress=progress, cancelled=cancelled)
            if found.partial:
                error_console.print("Cancelled; nothing was written.")
                raise typer.Exit(EXIT_CANCELLED)
            result = found.volume if wanted.full else blend(volume, found.volume, wanted)
            report = DenoisingReport(
                model=found.model,
                strength=wanted,
                slices=volume.slice_count,
                slices_denoised=sum(found.denoised),
                partial=False,
                device=found.device,
                seconds=found.seconds,
                versions=software_versions(),
                warnings=volume.warnings + found.warnings,
            )
            report = _compared(
                report, volume, result, loaded, wanted, not no_guard, not no_measures, scores, progress, cancelled
            )
            # Printed before anything is written: a full disk takes the files, not what was found.
            if as_json:
                sys.stdout.write(denoising_to_json(report))
            else:
                _print_report(report)
            ending = FORMATS[image_format.value]
            with writing():
                write_volume(folder / f"denoised{ending}", result)
                if residual:
                    write_volume(folder / f"residual{ending}", taken_away(volume, result))
                write_denoising(folder, report)
                names = tuple(sorted(one.name for one in folder.iterdir()))
                page = folder / "index.html"
                write_denoising_page(page, report, original=volume, denoised=result, files=names, dicom=dicom)
                if files is not None:
                    _write_series(out / "dicom", files, result, report, progress)
                opened.close()
                if files is None:
                    _remove_series(out / "dicom")
        if cancelled():
            error_console.print("Cancelled after denoising: the volume is whole, what was looked at beside it is not.")
            raise typer.Exit(EXIT_CANCELLED)


@contextmanager
def _input(
    path: Path, series: str | None, dicom: bool, progress: ProgressCall, cancelled: Cancelled
) -> Iterator[tuple[Volume, Originals | None]]:
    """The volume, and the files that it was read from where a derived series is to be written."""
    from CTQualityAssessmentLib.reading import originals, read_volume

    if dicom:
        with originals(path, series=series, progress=progress, cancelled=cancelled) as files:
            yield files.volume, files
    else:
        yield read_volume(path, series=series, progress=progress, cancelled=cancelled), None


def _compared(
    report: DenoisingReport,
    volume: Volume,
    result: Volume,
    loaded: LoadedDenoiser,
    strength: Strength,
    guard: bool,
    measures: bool,
    scores: bool,
    progress: ProgressCall,
    cancelled: Cancelled,
) -> DenoisingReport:
    """The report with what was looked at; what a cancel leaves undone is not in it."""
    from dataclasses import replace

    from CTQualityAssessmentLib.assessment.denoising import (
        before_and_after,
        lesions_kept,
        slice_denoiser,
        spectra_before_and_after,
        tissue_bias,
    )
    from CTQualityAssessmentLib.assessment.measures import measure_volume

    calls = {"progress": progress, "cancelled": cancelled}
    if guard and not cancelled():
        report = replace(report, retention=lesions_kept(volume, slice_denoiser(loaded, strength), **calls))
    if measures and not cancelled():
        before, after = measure_volume(volume, **calls), measure_volume(result, **calls)
        bias = tissue_bias(volume, result, **calls)
        if not (before.partial or after.partial):
            report = replace(
                report,
                measures=before_and_after(before, after),
                noise_power=spectra_before_and_after(before, after),
                bias=bias,
            )
    if scores and not cancelled():
        report = _scored(report, volume, result, progress, cancelled)
    return report


def _scored(
    report: DenoisingReport, volume: Volume, result: Volume, progress: ProgressCall, cancelled: Cancelled
) -> DenoisingReport:
    from dataclasses import replace

    from CTQualityAssessmentLib.assessment import assess_volume
    from CTQualityAssessmentLib.denoising import SCORER_WARNING, BeforeAfter
    from CTQualityAssessmentLib.models import load_bundle

    scorer = load_bundle(device=report.device)
    found = [assess_volume(one, scorer, progress=progress, cancelled=cancelled) for one in (volume, result)]
    if any(one.partial for one in found):
        return report
    means = [one.summary.mean for one in found]
    return replace(report, scores=BeforeAfter(*means), warnings=(*report.warnings, SCORER_WARNING))


def _write_series(
    folder: Path, files: Originals, result: Volume, report: DenoisingReport, progress: ProgressCall
) -> None:
    from pydicom.config import disable_value_validation

    from CTQualityAssessmentLib.reading.quiet import quiet
    from CTQualityAssessmentLib.reporting.dicom.derived_series import derived_images
    from CTQualityAssessmentLib.reporting.folder import result_folder

    count = sum(one is not None for one in files.files)
    with quiet(), disable_value_validation(), result_folder(folder, optional=("denoised-*.dcm",)) as scratch:
        for number, image in derived_images(files, result.hu, report):
            progress(number - 1, count, "Writing DICOM")
            image.save_as(scratch / f"denoised-{number:04d}.dcm", enforce_file_format=True)


def _remove_series(folder: Path) -> None:
    """Take away the series of an earlier run, perhaps of another patient; other files in the folder stay."""
    for old in folder.glob("denoised-*.dcm"):
        old.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _print_report(report: DenoisingReport) -> None:
    from CTQualityAssessmentLib.reporting.denoising_words import report_lines

    for line in report_lines(report):
        console.print(line)
