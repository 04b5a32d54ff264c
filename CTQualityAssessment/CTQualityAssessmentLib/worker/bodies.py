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
    """

    def __init__(self, folder: Path, volume: Volume) -> None:
        self._volume, self._slices = volume, volume.canonical_slices()
        count, rows, columns = self._slices.hu.shape
        bits = (count, rows, -(-columns // 8))
        self._bits = np.lib.format.open_memmap(folder / _FILE, mode="w+", dtype=np.uint8, shape=bits)
        self._there: set[int] = set()
        self._tissue_from: float | None = None

    def put(self, index: int, inside: NDArray[np.bool_]) -> None:
        """Write ``(rows, columns)``, True inside the patient."""
        self._bits[index] = np.packbits(inside, axis=1)
        self._bits.flush()
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
