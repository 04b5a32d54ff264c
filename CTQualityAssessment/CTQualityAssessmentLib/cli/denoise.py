"""``ctqa denoise``: a CT in, the same CT with less noise out, and what that did to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from functools import partial
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
    from CTQualityAssessmentLib.denoising import DenoisingReport
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
    findings: Annotated[
        bool, typer.Option("--findings", help="Also tell where the lesion detector sees something before and after.")
    ] = False,
    scores: Annotated[bool, typer.Option("--scores", help="Also score the volume before and after; slow.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print denoising.json to standard output.")] = False,
) -> None:
    """Take noise out of a CT volume: denoised.nii.gz on the same grid in HU, denoising.json, and index.html.

    The input is not changed. Air, table and padding keep their values. Lesions are put into slices of this volume for
    trial, to see whether they survive.
    """
    with plain_errors(), cancel_on_interrupt() as cancelled, progress_bar() as progress, ExitStack() as opened:
        from CTQualityAssessmentLib.assessment.denoising import Examination, blend, denoise_volume, examine, report_of
        from CTQualityAssessmentLib.assessment.denoising import residual as taken_away
        from CTQualityAssessmentLib.denoising import Strength
        from CTQualityAssessmentLib.models import DEFAULT_DENOISER, load_bundle, load_denoiser
        from CTQualityAssessmentLib.reporting.denoising_file import denoising_to_json, write_denoising
        from CTQualityAssessmentLib.reporting.denoising_page import write_denoising_page
        from CTQualityAssessmentLib.reporting.folder import result_folder, writing
        from CTQualityAssessmentLib.reporting.volume_file import FORMATS, check_format, write_volume

        scorer = partial(load_bundle, device=device) if scores else None
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
            looked_at = Examination(not no_guard, not no_measures, findings, scorer)
            report = examine(
                report_of(volume, found, wanted),
                volume,
                result,
                loaded,
                looked_at,
                progress=progress,
                cancelled=cancelled,
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


def _write_series(
    folder: Path, files: Originals, result: Volume, report: DenoisingReport, progress: ProgressCall
) -> None:
    from CTQualityAssessmentLib.reporting.dicom.derived_series import write_derived_series
    from CTQualityAssessmentLib.reporting.folder import result_folder

    with result_folder(folder, optional=("denoised-*.dcm",)) as scratch:
        write_derived_series(scratch, files, result.hu, report, progress)


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
