"""One slice prepared once for every measure: HU, pixel spacing, sums over small blocks, and where the patient is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.body import body_mask

#: Blocks are about this wide: two of them are the 6 mm over which local noise is measured.
_BLOCK_MM = 3.0
#: Fewer pixels would leave too little to estimate a standard deviation from.
_SMALLEST_BLOCK = 3
#: Up to this share of the patient's outline may lie on the edge of the field of view.
_TOUCHING_SHARE = 0.01


@dataclass(frozen=True)
class SliceGrid:
    """A slice in the radiological view, and its block grid.

    Attributes:
        hu: ``(rows, columns)`` float32, contiguous, cropped to whole blocks.
        spacing_mm: distance between rows and between columns.
        block: pixels along each side of a block.
        means: ``(rows / block, columns / block)``, mean HU of each block.
        squares: likewise, mean of HU squared (float64, so that a variance can be taken from it).
        body: likewise, True inside the patient's skin.
        field: likewise, True where the scanner reconstructed (the inscribed circle where the corners are padding).
    """

    hu: NDArray[np.float32]
    spacing_mm: tuple[float, float]
    block: int
    means: NDArray[np.float64]
    squares: NDArray[np.float64]
    body: NDArray[np.bool_]
    field: NDArray[np.bool_]

    @property
    def pixel_mm(self) -> float:
        """Geometric mean of the two pixel spacings."""
        return float(np.sqrt(self.spacing_mm[0] * self.spacing_mm[1]))

    @property
    def block_area_mm2(self) -> float:
        """Area of one block."""
        return self.block**2 * self.spacing_mm[0] * self.spacing_mm[1]

    @property
    def variances(self) -> NDArray[np.float64]:
        """Variance of the pixels inside each block, HU squared."""
        return np.maximum(self.squares - self.means**2, 0.0)

    def reaches_beyond_field(self) -> bool:
        """True where part of the patient lies outside the field of view."""
        outline = self.body & ~eroded(self.body)
        # Outside the image counts as outside the field, so that a patient at the image's edge touches it.
        edge = ~eroded(self.field)
        return bool((outline & edge).sum() > _TOUCHING_SHARE * max(int(outline.sum()), 1))


def slice_grid(hu: NDArray[np.generic], spacing_mm: tuple[float, float]) -> SliceGrid | None:
    """Prepares one slice; None where it is smaller than a few blocks.

    Args:
        hu: ``(rows, columns)`` in HU, in the radiological view.
        spacing_mm: distance between rows and between columns.
    """
    block = max(_SMALLEST_BLOCK, round(_BLOCK_MM / float(np.sqrt(spacing_mm[0] * spacing_mm[1]))))
    rows, columns = (n // block * block for n in hu.shape)
    if min(rows, columns) < 8 * block:
        return None
    pixels = np.ascontiguousarray(hu[:rows, :columns]).astype(np.float32)
    means = block_means(pixels, block)
    squares = block_means(pixels * pixels, block)
    body = body_mask(means, (spacing_mm[0] * block, spacing_mm[1] * block))
    return SliceGrid(pixels, spacing_mm, block, means, squares, body, _field(means, squares))


def block_means(pixels: NDArray[np.float32], block: int) -> NDArray[np.float64]:
    """Mean of each ``block`` x ``block`` square, float64. Strided sums: several times faster than a reshaped mean."""
    down = sum((pixels[n::block] for n in range(1, block)), pixels[0::block].astype(np.float64))
    across = sum((down[:, n::block] for n in range(1, block)), down[:, 0::block].copy())
    return across / block**2


def eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without the blocks that have one of their four neighbours, or the image's edge, outside it."""
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask with the four neighbours of its blocks."""
    padded = np.pad(mask, 1)
    return mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]


def all_of_window(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Where all of a ``width`` x ``width`` window is True; ``width - 1`` smaller than the mask along both axes."""
    rows = np.logical_and.reduce([mask[n : len(mask) - width + 1 + n] for n in range(width)])
    return np.logical_and.reduce([rows[:, n : rows.shape[1] - width + 1 + n] for n in range(width)])


def _field(means: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.bool_]:
    rows, columns = means.shape
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    lowest = means.min()
    padded = all(means[c] == lowest and squares[c] - means[c] ** 2 < 1e-3 for c in corners)
    if not padded:
        return np.ones(means.shape, dtype=bool)
    radius = min(rows, columns) / 2
    y, x = np.arange(rows) - (rows - 1) / 2, np.arange(columns) - (columns - 1) / 2
    # A block counts when its far corner still lies inside the circle.
    return np.hypot(np.abs(y)[:, None] + 0.5, np.abs(x) + 0.5) <= radius
