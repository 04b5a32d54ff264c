"""Two volumes of the same patient, voxel by voxel: what one has more than the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.calls import Progress, no_progress
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import CanonicalSlices, Volume

_ = marks_of(__file__)

#: Grids whose corners lie closer than this, in voxels, are the same: headers round positions.
_SAME_GRID = 0.05
#: Slices at a time: bounds the memory of the resampled volume.
_SLAB = 8
#: Value of a difference where the second volume does not reach; lower than any difference.
NOT_COVERED = -32768
#: Lower than any HU.
_OUTSIDE = -1e6


class NoOverlapError(CTQAError):
    """The volumes lie in different places."""

    def __init__(self) -> None:
        super().__init__(
            _("The two volumes have no part of the patient in common, as their headers place them."),
            _("Choose two reconstructions of one scan, or two scans of the same region."),
        )


@dataclass(frozen=True)
class VolumeDifference:
    """The second volume minus the first, on the grid of the first.

    Attributes:
        hu: ``[k, j, i]`` like the first volume, int16 where both are, else float32; :data:`NOT_COVERED` where the
            second does not reach.
        resampled: True where the second volume's voxels lie between those of the first, so that interpolation has
            smoothed its noise.
        covered: share of the first volume's voxels that the second reaches, 0 to 1.
        mean_hu, sd_hu: inside the patient, over all slices that both have; None without a patient.
        slices: mean and standard deviation in HU inside the patient for each slice along the first's acquisition
            axis; None where there is no patient or no second volume.
    """

    hu: NDArray[np.generic]
    resampled: bool
    covered: float
    mean_hu: float | None
    sd_hu: float | None
    slices: tuple[tuple[float, float] | None, ...]


def volume_difference(first: Volume, second: Volume, *, progress: Progress = no_progress) -> VolumeDifference:
    """Subtract ``first`` from ``second``, which is resampled linearly where the grids differ. Nothing is registered.

    Grids that only differ in order, direction or extent of their axes need no interpolation.

    Args:
        first: the reference; its grid is kept.
        second: what it is compared with.
        progress: called with steps done, steps in all and what is being done.

    Raises:
        NoOverlapError: no voxel of the first lies inside the second.
    """
    from scipy import ndimage

    matrix, offset, exact = _to_second(first, second)
    same = exact and first.hu.shape == second.hu.shape and np.array_equal(matrix, np.eye(3)) and not offset.any()
    whole = first.hu.dtype == np.int16 and second.hu.dtype == np.int16
    difference = np.empty(first.hu.shape, dtype=np.int16 if whole else np.float32)
    covered = np.empty(first.hu.shape, dtype=bool)
    starts = range(0, len(first.hu), _SLAB)
    steps = len(starts) + first.slice_count
    for n, start in enumerate(starts):
        progress(n, steps, _("Comparing"))
        part = first.hu[start : start + _SLAB]
        if same:
            values = second.hu[start : start + _SLAB].astype(np.float32)
        else:
            values = np.empty(part.shape, dtype=np.float32)
            ndimage.affine_transform(
                second.hu, matrix, offset + matrix[:, 0] * start, output=values, order=0 if exact else 1, cval=_OUTSIDE
            )
        inside = values > _OUTSIDE
        values -= part
        if whole:
            values = np.clip(np.rint(values), NOT_COVERED + 1, 32767)
        difference[start : start + _SLAB] = np.where(inside, values, NOT_COVERED)
        covered[start : start + _SLAB] = inside
    if not covered.any():
        raise NoOverlapError
    statistics = _statistics(
        first, difference, covered, lambda done: progress(len(starts) + done, steps, _("Comparing"))
    )
    return VolumeDifference(difference, not exact, float(covered.mean()), *statistics)


def _to_second(first: Volume, second: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Matrix and offset from array indices of the first to those of the second, and whether voxels meet voxels."""
    ijk = np.linalg.solve(second.ijk_to_ras, first.ijk_to_ras)
    matrix, offset = ijk[2::-1, 2::-1], ijk[2::-1, 3]
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in first.hu.shape], indexing="ij"), axis=-1).reshape(-1, 3)
    nearest, moved = np.rint(matrix), np.rint(offset)
    apart = np.abs(corners @ (matrix - nearest).T + (offset - moved)).max()
    exact = bool(apart <= _SAME_GRID and abs(abs(np.linalg.det(nearest)) - 1) < 1e-9)
    return (nearest, moved, True) if exact else (matrix, offset, False)


def _statistics(
    first: Volume,
    difference: NDArray[np.generic],
    covered: NDArray[np.bool_],
    progress: Callable[[int], None],
) -> tuple[float | None, float | None, tuple[tuple[float, float] | None, ...]]:
    """Mean and SD inside the patient of the whole and of each slice."""
    slices = first.canonical_slices()
    columns_mm, rows_mm, _ = np.linalg.norm(slices.ijk_to_ras[:3, :3], axis=0)
    spacing = (float(rows_mm), float(columns_mm))
    found: list[tuple[float, float] | None] = []
    count, total, squares = 0, 0.0, 0.0
    triples = zip(slices.hu, _canonical(first, difference).hu, _canonical(first, covered).hu, strict=True)
    for n, (hu, values, known) in enumerate(triples):
        progress(n)
        inside = values[body_mask(hu, spacing) & known].astype(np.float64) if known.any() else np.empty(0)
        found.append((float(inside.mean()), float(inside.std())) if inside.size else None)
        count, total, squares = count + inside.size, total + inside.sum(), squares + (inside**2).sum()
    if count == 0:
        return None, None, tuple(found)
    mean = total / count
    return float(mean), float(np.sqrt(max(0.0, squares / count - mean**2))), tuple(found)


def _canonical(volume: Volume, values: NDArray[np.generic]) -> CanonicalSlices:
    return Volume(values, volume.ijk_to_ras, volume.acquisition_axis).canonical_slices()
