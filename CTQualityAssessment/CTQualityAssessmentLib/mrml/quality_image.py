"""The voxels of the quality overlay, made slice by slice, so that a window can answer in between.

In plane an overlay has at most 256 voxels a side: float32 keeps the score itself under the mouse (scaled integers would
show "24" for 2.4), and the coarser grid keeps a 300-slice overlay of 512 x 512 pixels at 79 MB instead of 315 MB, as
much as one byte a pixel would take. The patient's outline is then exact to one pixel.

Slices without a score, and everything outside the patient, hold :data:`NO_VALUE`, which the display threshold makes
transparent. NaN would do for the eye, but spoils automatic windows and statistics in other modules.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import vtk
from numpy.typing import NDArray

from CTQualityAssessmentLib.mrml.errors import AssessmentMismatchError
from CTQualityAssessmentLib.mrml.volume_nodes import empty_image, voxels_in
from CTQualityAssessmentLib.results import Geometry, SliceAssessment, VolumeAssessment
from CTQualityAssessmentLib.volume import CanonicalSlices, Volume, grid_affine

#: Voxel value where there is nothing to show. Scores and attention are never negative.
NO_VALUE = -1.0

_MAX_SIDE = 256


class QualityImage:
    """Each slice's body filled with the slice's expected score, on the canonical slices of the assessed volume.

    A voxel belongs to the body when at least half of the pixels it covers do.

    Args:
        geometry: of the assessed volume.

    Attributes:
        image: ``(n, rows, columns)`` float32; complete once :meth:`settle` is done.
        ijk_to_ras: ``(column, row, n, 1)`` to RAS millimetres, in the coordinates of the assessed volume.
    """

    def __init__(self, geometry: Geometry) -> None:
        canonical = canonical_slices(geometry)
        count, *sides = canonical.hu.shape
        self._pixels = tuple(sides)
        self._factor = -(-max(sides) // _MAX_SIDE)
        starts = [np.arange(0, n, self._factor) for n in sides]
        covered = np.outer(*(np.diff(np.append(s, n)) for s, n in zip(starts, sides, strict=True)))
        self._counts = np.min_scalar_type(self._factor**2)  # this runs in the window: small numbers are counted faster
        self._half = ((covered + 1) // 2).astype(self._counts)
        self.image: vtk.vtkImageData = empty_image((count, *self._half.shape), np.dtype(np.float32))
        self.ijk_to_ras = grid_affine(canonical.ijk_to_ras, self._factor, self._factor)
        self._values = voxels_in(self.image)
        self._held: dict[int, float | None] = {}

    @property
    def values(self) -> NDArray[np.float32]:
        """The voxels, shared with :attr:`image`."""
        return self._values

    def put(self, index: int, score: float | None, inside: NDArray[np.bool_] | None) -> None:
        """Fill a slice; ``inside`` is ``(rows, columns)``, True inside the patient, and not needed without a score.

        Raises:
            AssessmentMismatchError: the slice has another number of pixels than those of the volume.
        """
        out = self._values[index]
        out[:] = NO_VALUE
        if score is not None:
            if inside is None or inside.shape != self._pixels:
                raise AssessmentMismatchError
            pixels = np.zeros(out.shape, dtype=self._counts)
            for row, column in np.ndindex(self._factor, self._factor):
                part = inside[row :: self._factor, column :: self._factor].view(np.uint8)
                pixels[: part.shape[0], : part.shape[1]] += part
            np.copyto(out, np.float32(score), where=pixels >= self._half)
        self._held[index] = score

    def settle(self, slices: Sequence[SliceAssessment]) -> Generator[None, None, None]:
        """Slices that were not put are left clear, and others get the score that the assessment ends with; in steps."""
        for one in slices:
            if one.index not in self._held:
                self.put(one.index, None, None)
                yield
            elif self._held[one.index] != one.score:
                out = self._values[one.index]
                out[out != NO_VALUE] = NO_VALUE if one.score is None else one.score
                self._held[one.index] = one.score
                yield


def quality_image(assessment: VolumeAssessment, body: NDArray[np.bool_]) -> QualityImage:
    """The whole image at once.

    Args:
        assessment: the scores.
        body: ``(n, rows, columns)`` on the canonical slices of the assessed volume, True inside the patient.

    Raises:
        AssessmentMismatchError: ``body`` has another shape than the assessed volume's canonical slices.
    """
    if body.shape != canonical_slices(assessment.geometry).hu.shape:
        raise AssessmentMismatchError
    made = QualityImage(assessment.geometry)
    for one, inside in zip(assessment.slices, body, strict=True):
        made.put(one.index, one.score, inside)
    return made


def canonical_slices(geometry: Geometry) -> CanonicalSlices:
    """Shape and affine of the assessed volume's canonical slices, from a volume that takes no memory."""
    nothing = np.broadcast_to(np.int16(0), geometry.shape_kji)
    return Volume(nothing, np.array(geometry.ijk_to_ras), geometry.acquisition_axis).canonical_slices()
