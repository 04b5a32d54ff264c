"""Lesions of known size and contrast, and where in a slice they can be put.

They are added to the HU of an image, which for the small contrasts of lesions is what adding them to the patient
would have given: the noise of the image stays the noise of the scan. Their edge stands for the scanner's blur.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.measures.slice_grid import SliceGrid, slice_grid

#: Range of a 3 mm block's mean, and how far the blocks around a lesion may lie apart before noise, in HU.
_PLACES: dict[str, tuple[float, float, float]] = {
    "soft tissue": (0.0, 180.0, 40.0),
    "lung": (-960.0, -650.0, 200.0),
}
#: Tissues that lesions are put into.
LESION_TISSUES: tuple[str, ...] = tuple(_PLACES)
#: Between a lesion and anything that is not its tissue.
_CLEARANCE_MM = 3.0


@dataclass(frozen=True)
class Lesion:
    """A disc or ellipse in the plane of a slice.

    Attributes:
        diameter_mm: where the contrast is half of its full value; of the longer axis.
        contrast_hu: lesion minus surroundings, of either sign.
        edge_mm: distance over which the contrast rises from 10 % to 90 %.
        aspect: shorter axis over longer axis, in (0, 1].
        angle_deg: of the longer axis to the rows.
        texture_hu: standard deviation of a smooth pattern inside.
        seed: of that pattern.
    """

    diameter_mm: float
    contrast_hu: float
    edge_mm: float = 1.0
    aspect: float = 1.0
    angle_deg: float = 0.0
    texture_hu: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.diameter_mm, self.edge_mm) <= 0 or not 0 < self.aspect <= 1 or self.texture_hu < 0:
            raise ValueError("a lesion has a positive diameter and edge, an aspect in (0, 1], a texture of 0 or more")


def lesion_hu(
    lesion: Lesion, shape: tuple[int, int], centre: tuple[float, float], spacing_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """What the lesion adds to a slice, in HU.

    Args:
        lesion: size and contrast.
        shape: rows and columns of the slice.
        centre: row and column of the middle, which may lie between pixels.
        spacing_mm: distance between rows and between columns.

    Returns:
        float32 of the shape; 0 beyond a few edge widths.
    """
    rows = (np.arange(shape[0], dtype=np.float32) - centre[0])[:, None] * spacing_mm[0]
    columns = (np.arange(shape[1], dtype=np.float32) - centre[1])[None, :] * spacing_mm[1]
    cosine, sine = np.cos(np.radians(lesion.angle_deg)), np.sin(np.radians(lesion.angle_deg))
    along, across = columns * cosine + rows * sine, rows * cosine - columns * sine
    radius = np.hypot(along, across / lesion.aspect)
    # A logistic edge: 10 % and 90 % lie 2 ln 9 = 4.394 of its widths apart.
    depth = (lesion.diameter_mm / 2 - radius) * (4.394 / lesion.edge_mm)
    cover = 1.0 / (1.0 + np.exp(-np.clip(depth, -30, 30)))
    cover[depth < -9.2] = 0.0
    added = cover * np.float32(lesion.contrast_hu)
    if lesion.texture_hu:
        added += cover * _texture(lesion, shape, spacing_mm)
    return added.astype(np.float32)


def lesion_box(
    lesion: Lesion, centre: tuple[float, float], spacing_mm: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom in pixels, where pixel n covers [n, n + 1]."""
    cosine, sine = np.cos(np.radians(lesion.angle_deg)), np.sin(np.radians(lesion.angle_deg))
    half = lesion.diameter_mm / 2
    wide = half * float(np.hypot(cosine, sine * lesion.aspect)) / spacing_mm[1]
    high = half * float(np.hypot(sine, cosine * lesion.aspect)) / spacing_mm[0]
    row, column = centre[0] + 0.5, centre[1] + 0.5
    return column - wide, row - high, column + wide, row + high


def lesion_places(
    hu: NDArray[np.generic],
    spacing_mm: tuple[float, float],
    tissue: str,
    diameter_mm: float,
    count: int,
    rng: np.random.Generator,
    noise_hu: float = 0.0,
) -> list[tuple[int, int]]:
    """Centres at random where a lesion and its surroundings lie in one tissue, none near another.

    Args:
        hu: ``(rows, columns)`` in the radiological view.
        spacing_mm: distance between rows and between columns.
        tissue: one of :data:`LESION_TISSUES`.
        diameter_mm: of the largest lesion that is to fit.
        count: at most so many.
        rng: the only source of chance.
        noise_hu: of the slice; uniform tissue looks uneven by that much.

    Returns:
        Rows and columns; fewer than ``count``, or none, where there is no room.
    """
    grid = slice_grid(hu, spacing_mm)
    if grid is None:
        return []
    rows, columns = np.nonzero(_room(grid, tissue, diameter_mm, noise_hu))
    apart = (diameter_mm + 2 * _CLEARANCE_MM) / grid.pixel_mm
    found: list[tuple[int, int]] = []
    for n in rng.permutation(len(rows)):
        if len(found) == count:
            break
        row, column = (int(grid.block * v[n] + rng.integers(grid.block)) for v in (rows, columns))
        if all((row - r) ** 2 + (column - c) ** 2 >= apart**2 for r, c in found):
            found.append((row, column))
    return found


def _room(grid: SliceGrid, tissue: str, diameter_mm: float, noise_hu: float) -> NDArray[np.bool_]:
    """Blocks in which the centre of a lesion may lie."""
    from scipy.ndimage import maximum_filter, minimum_filter

    low, high, uneven = _PLACES[tissue]
    reach = int(np.ceil((diameter_mm / 2 + _CLEARANCE_MM) / (grid.block * grid.pixel_mm)))
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    around = x * x + y * y <= (reach + 0.5) ** 2
    lowest = minimum_filter(grid.means, footprint=around, mode="nearest")
    highest = maximum_filter(grid.means, footprint=around, mode="nearest")
    # The extremes of some thirty means of block x block pixels of noise, which is correlated in CT.
    allowed = uneven + 6.0 * noise_hu / grid.block
    return grid.body & (lowest > low) & (highest < high) & (highest - lowest < allowed)


def _texture(lesion: Lesion, shape: tuple[int, int], spacing_mm: tuple[float, float]) -> NDArray[np.floating]:
    from scipy.ndimage import gaussian_filter

    sigma = [lesion.diameter_mm / 6 / spacing for spacing in spacing_mm]
    pattern = gaussian_filter(np.random.default_rng(lesion.seed).normal(size=shape), sigma)
    return lesion.texture_hu * pattern / max(float(pattern.std()), 1e-6)
