"""Where the patient is in each slice, from the worker that found it out to a window that draws scores there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.body import body_mask, tissue_floor
from CTQualityAssessmentLib.results import SliceAssessment
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.exchange import ExchangeError

_FILE = "bodies.npy"


class Bodies:
    """Writes masks of slices as bits, each before its slice is told of.

    Args:
        folder: of the request.
        volume: that is assessed.

    Raises:
        OSError: the disk is full or fails; also from the methods.
    """

    def __init__(self, folder: Path, volume: Volume) -> None:
        self._volume, self._slices = volume, volume.canonical_slices()
        count, rows, columns = self._slices.hu.shape
        bits = (count, rows, -(-columns // 8))
        # Written and not mapped: a full disk is then an error with a sentence, where a mapped page ends the process.
        self._file = (folder / _FILE).open("wb")
        header = {"descr": "|u1", "fortran_order": False, "shape": bits}
        np.lib.format.write_array_header_1_0(self._file, header)
        self._start, self._size = self._file.tell(), bits[1] * bits[2]
        self._file.truncate(self._start + count * self._size)
        self._there: set[int] = set()
        self._tissue_from: float | None = None

    def put(self, index: int, inside: NDArray[np.bool_]) -> None:
        """Write ``(rows, columns)``, True inside the patient."""
        self._file.seek(self._start + index * self._size)
        self._file.write(np.packbits(inside, axis=1).tobytes())
        self._file.flush()
        self._there.add(index)

    def complete(self, found: SliceAssessment) -> None:
        """Make the mask of a scored slice that the scoring did not give."""
        if found.score is None or found.index in self._there:
            return
        if self._tissue_from is None:
            self._tissue_from = tissue_floor(self._volume)
        row_mm, column_mm = (float(np.linalg.norm(self._slices.ijk_to_ras[:3, axis])) for axis in (1, 0))
        self.put(found.index, body_mask(self._slices.hu[found.index], (row_mm, column_mm), self._tissue_from))


class BodiesReader:
    """Reads what :class:`Bodies` wrote, also while it goes on writing other slices.

    Args:
        folder: of the request.
        shape: ``(n, rows, columns)`` that the masks must have.

    Raises:
        ExchangeError: the file is missing, damaged or of another volume.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        count, rows, self._columns = shape
        try:
            self._bits = np.load(folder / _FILE, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ExchangeError from error
        if self._bits.shape != (count, rows, -(-self._columns // 8)):
            raise ExchangeError

    def get(self, index: int) -> NDArray[np.bool_]:
        """``(rows, columns)``, True inside the patient; all False where the slice was not put."""
        return np.unpackbits(self._bits[index], axis=1, count=self._columns).view(bool)
