"""The calls that the rest of the package reads with."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.errors import is_out_of_memory
from CTQualityAssessmentLib.reading.archive import unpacked
from CTQualityAssessmentLib.reading.challenge import read_challenge
from CTQualityAssessmentLib.reading.errors import (
    EmptyFolderError,
    NoSuchSeriesError,
    NotAnImageError,
    NotDicomError,
    NotEnoughMemoryError,
    NotReadableError,
    ReadingCancelledError,
    SeveralImagesError,
)
from CTQualityAssessmentLib.reading.facts import stack_exposures, stack_facts, stack_origin
from CTQualityAssessmentLib.reading.files import ITK_SUFFIXES, NIFTI_SUFFIXES, TIFF_SUFFIXES, files_in, has_suffix
from CTQualityAssessmentLib.reading.frames import Frame, read_frames
from CTQualityAssessmentLib.reading.geometry import stack_affine
from CTQualityAssessmentLib.reading.image_files import read_image_file
from CTQualityAssessmentLib.reading.nifti import read_nifti
from CTQualityAssessmentLib.reading.pixels import read_hu
from CTQualityAssessmentLib.reading.quiet import quiet
from CTQualityAssessmentLib.reading.series import SeriesInfo, choose, describe
from CTQualityAssessmentLib.reading.signal import read_signal
from CTQualityAssessmentLib.reading.source import SourceSeries, source_series
from CTQualityAssessmentLib.reading.stacks import Stack, build_stacks
from CTQualityAssessmentLib.reading.wanted import CT_ONLY, SIGNAL, Wanted
from CTQualityAssessmentLib.volume import Volume


def read_volume(
    path: str | Path | Sequence[Path],
    *,
    series: str | int | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
    on_series: Callable[[tuple[SeriesInfo, ...]], None] | None = None,
    wanted: Wanted = CT_ONLY,
) -> Volume:
    """Read a CT volume, or an MR volume where one is wanted.

    Args:
        path: a DICOM folder (nested), zip or file, classic or Enhanced CT; a NIfTI, NRRD, MHA or MHD file; a TIFF, or
            a folder of TIFFs, on the challenge's [0, 1] scale. Several files stand for a folder of just these, in
            their order.
        series: which DICOM series, by its number in :func:`list_series` or its SeriesInstanceUID; by default the CT
            stack with most slices.
        progress: called with slices done, slices in all and what is being done.
        cancelled: asked between batches of slices.
        on_series: told the DICOM series of the input, as :func:`list_series` gives them, before one is read; also
            where that one then cannot be read.
        wanted: which modalities may be read, and what a file is that does not name its own.

    Returns:
        HU as int16 (float32 where the input is fractional), in DICOM with k along the slices in the order of their
        positions. ``warnings`` name everything that was left out, set apart or assumed.

    Raises:
        ReadingError: one subclass for each reason, see :mod:`CTQualityAssessmentLib.reading.errors`.
    """
    with quiet(), opened_files(path, cancelled) as files:
        frames, ignored = scan_files(files, progress, cancelled)
        if frames:
            stacks = build_stacks(frames, wanted.modalities)
            if on_series is not None:
                on_series(describe(stacks))
            stack, others = choose(stacks, series)
            return read_stack(stack, others, ignored, progress, cancelled)
        if str(series if series is not None else 1).strip() != "1":
            raise NoSuchSeriesError(1)
        images = [file for file in files if has_suffix(file, NIFTI_SUFFIXES + ITK_SUFFIXES)]
        tiffs = [file for file in files if has_suffix(file, TIFF_SUFFIXES)]
        if len(images) > 1 or (images and tiffs):
            raise SeveralImagesError(len(images) + len(tiffs))
        if images:
            read = read_nifti if has_suffix(images[0], NIFTI_SUFFIXES) else read_image_file
            return read(images[0], progress, cancelled, wanted)
        if tiffs:
            return read_challenge(tiffs, progress, cancelled)
        raise NotAnImageError if files else EmptyFolderError


def read_with_source(
    path: str | Path,
    *,
    series: str | int | None = None,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> tuple[Volume, SourceSeries]:
    """Read a CT volume together with what identifies its images, for a report that refers to them.

    Arguments as for :func:`read_volume`; slice ``k`` of the volume was read from ``slices[k]`` of the source.

    Raises:
        NotDicomError: the input has no DICOM headers.
        IncompleteHeadersError: the headers lack the UIDs that a report refers to.
        ReadingError: as :func:`read_volume`.
    """
    with quiet(), opened_files(path, cancelled) as files:
        frames, ignored = scan_files(files, progress, cancelled)
        if not frames:
            raise NotDicomError if files else EmptyFolderError
        stack, others = choose(build_stacks(frames), series)
        source = source_series(stack)
        return read_stack(stack, others, ignored, progress, cancelled), source


def list_series(path: str | Path, *, descriptions: bool = False) -> tuple[SeriesInfo, ...]:
    """The DICOM series of an input, in the order of their numbers; empty for formats that hold a single image.

    A series whose slices do not form one even stack is listed as several, one for each of its stacks.

    Args:
        path: as for :func:`read_volume`.
        descriptions: whether to tell the series descriptions, free text that may identify a patient.

    Raises:
        PathNotFoundError, NotReadableError, UnsafeArchiveError, DamagedArchiveError, TooLargeError.
    """
    with quiet(), opened_files(path, never) as files:
        return describe(build_stacks(scan_files(files, no_progress, never)[0]), descriptions)


def read_stack(stack: Stack, others: tuple[str, ...], ignored: int, progress: Progress, cancelled: Cancelled) -> Volume:
    """The volume of one stack; ``others`` and ``ignored`` become warnings."""
    affine, about_geometry = stack_affine(stack)
    facts = stack_facts(stack)
    of_mr = facts.modality == "MR"
    try:
        hu, about_values = (read_signal if of_mr else read_hu)(stack, progress, cancelled)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise NotEnoughMemoryError from None
    left_out = (f"{ignored} file(s) that are no DICOM images were left out.",) if ignored else ()
    return Volume(
        hu,
        affine,
        acquisition_axis=2,
        facts=facts,
        units=SIGNAL if of_mr else "HU",
        exposures=stack_exposures(stack),
        origin=stack_origin(stack),
        warnings=(*others, *stack.notes, *left_out, *about_geometry, *about_values),
    )


def scan_files(files: list[Path], progress: Progress, cancelled: Cancelled) -> tuple[list[Frame], int]:
    """All DICOM frames, and how many files gave none."""
    frames: list[Frame] = []
    ignored = 0
    for number, file in enumerate(files):
        if number % 64 == 0:
            if cancelled():
                raise ReadingCancelledError
            progress(number, len(files), "Reading headers")
        try:
            found = read_frames(file)
        except PermissionError:
            raise NotReadableError from None
        frames += found
        ignored += not found
    return frames, ignored


@contextmanager
def opened_files(path: str | Path | Sequence[Path], cancelled: Cancelled) -> Iterator[list[Path]]:
    """The files of an input; a zip is unpacked into a private folder that goes afterwards."""
    named = [Path(path)] if isinstance(path, (str, Path)) else list(path)
    files = [file for one in named for file in files_in(one)]
    if len(named) == 1 and files == named and zipfile.is_zipfile(files[0]):
        with unpacked(files[0], cancelled) as folder:
            yield files_in(folder)
    else:
        yield files
