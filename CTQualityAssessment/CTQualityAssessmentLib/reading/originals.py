"""The files behind the slices of a volume, held open for whoever writes changed copies of them.

A derived DICOM series repeats the headers of its source, patient and all. So, as with
:mod:`CTQualityAssessmentLib.reading.source`, the files are handed out beside the volume, never in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.reading.bounded import opened_dicom
from CTQualityAssessmentLib.reading.decoding import decode_file
from CTQualityAssessmentLib.reading.errors import (
    DamagedPixelDataError,
    EmptyFolderError,
    MultiFrameError,
    NotDicomError,
    NotReadableError,
)
from CTQualityAssessmentLib.reading.frames import Frame
from CTQualityAssessmentLib.reading.quiet import quiet
from CTQualityAssessmentLib.reading.reader import opened_files, read_stack, scan_files
from CTQualityAssessmentLib.reading.series import choose
from CTQualityAssessmentLib.reading.source import SourceSeries, source_series
from CTQualityAssessmentLib.reading.stacks import build_stacks
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset


@dataclass(frozen=True, repr=False)
class Original:
    """One slice's own file. It identifies the patient."""

    _frame: Frame

    def dataset(self) -> FileDataset:
        """The whole header, and the pixel data as they are stored.

        Raises:
            NotReadableError: the file cannot be opened any more.
            DamagedPixelDataError: it cannot be parsed.
        """
        from pydicom import dcmread

        try:
            with opened_dicom(self._path) as file:
                return dcmread(file, force=True)
        except OSError:
            raise NotReadableError from None
        except Exception:  # pydicom raises many things on damaged files
            raise DamagedPixelDataError from None

    def stored(self) -> NDArray[np.generic]:
        """Stored values, ``(rows, columns)``; raises what :func:`.decoding.decode_file` raises."""
        return decode_file(self._frame)

    @property
    def rescale(self) -> tuple[float, float]:
        """Slope and intercept to HU; 1 and 0 where the header has none."""
        slope, intercept = self._frame.number("RescaleSlope"), self._frame.number("RescaleIntercept")
        return (slope, intercept) if slope and intercept is not None else (1.0, 0.0)

    @property
    def _path(self) -> Path:
        return self._frame.path


@dataclass(frozen=True, repr=False)
class Originals:
    """A volume with the files of its slices.

    Attributes:
        volume: as :func:`~CTQualityAssessmentLib.reading.read_volume` reads it.
        source: what identifies the images.
        files: one for each slice along k; None where a slice is missing in the series.
    """

    volume: Volume
    source: SourceSeries
    files: tuple[Original | None, ...]


@contextmanager
def originals(
    path: str | Path, *, series: str | None = None, progress: Progress = no_progress, cancelled: Cancelled = never
) -> Iterator[Originals]:
    """Read a DICOM series of single-frame images and keep its files within reach until the block ends.

    Arguments as for :func:`~CTQualityAssessmentLib.reading.read_volume`.

    Raises:
        NotDicomError: the input has no DICOM headers.
        MultiFrameError: it is an Enhanced object.
        ReadingError: as :func:`~CTQualityAssessmentLib.reading.read_with_source`.
    """
    with quiet(), opened_files(path, cancelled) as files:
        frames, ignored = scan_files(files, progress, cancelled)
        if not frames:
            raise NotDicomError if files else EmptyFolderError
        stack, others = choose(build_stacks(frames), series)
        if any(frame.index is not None for frame in stack.frames):
            raise MultiFrameError
        source = source_series(stack)
        slices: list[Original | None] = [None] * (stack.slots[-1] + 1)
        for slot, frame in zip(stack.slots, stack.frames, strict=True):
            slices[slot] = Original(frame)
        yield Originals(read_stack(stack, others, ignored, progress, cancelled), source, tuple(slices))
