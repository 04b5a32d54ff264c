"""Sharpness of the patient's outline: the 10-90 % distance of the edge between open air and skin.

The skin is the one edge that every patient has (after Sanders, Hurwitz and Samei, Med. Phys. 43:5330, 2016). Around
points of the outline, pixels are placed by their distance from the edge, without interpolation; the profiles are
brought to the same position and level and averaged into one edge spread function.

Only its outer half is read: the distance from 10 % to 50 %, doubled. For a symmetric blur this is the 10-90 % distance,
and what lies under the skin does not enter. A Gaussian blur of standard deviation s has 2.563 s. The figure holds the
reconstruction kernel, the pixel, and in thick slices the slant of the skin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.measures.slice_grid import SliceGrid

_ANGLES = 120
#: The outline is searched for this far on both sides of the mask's edge.
_SEARCH_MM = 9.0
_EDGE_HU = -500.0
#: The widest pixels in which it is, and how many times one of their sides may be as long as the other.
_WIDEST_MM, _MOST_OBLONG = _SEARCH_MM, 10.0
#: Half length of a profile outwards and inwards, and half its width along the skin.
_OUT_MM, _IN_MM, _HALF_WIDTH_MM = 6.5, 4.5, 3.5
#: Where the two levels of a profile are read.
_AIR_FROM_MM, _SKIN_FROM_MM = 3.5, 1.5
#: Open air, and skin; a profile with anything else on its sides is left out.
_AIR_MAX_HU, _SKIN_MIN_HU = -900.0, -250.0
#: The outline must be smooth to this residual of a parabola through five neighbouring points.
_ROUGHEST_MM = 0.8
#: Fewer profiles do not fill the bins of the edge spread function.
FEWEST_PROFILES = 12
_BIN_MM = 0.2


def edge_distance(grid: SliceGrid) -> float | None:
    """10-90 % distance in mm of the skin's edge; None where too little skin borders on open air."""
    points = _outline(grid)
    if points is None:
        return None
    distance, value, owner, count = _profiles(grid, *points)
    if count < FEWEST_PROFILES:
        return None
    curve = _edge_spread(distance, value, owner, count)
    return None if curve is None else _outer_half(*curve)


def _outline(grid: SliceGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Points on the skin and normals that point outwards, both ``(n, 2)`` as (y, x) in mm; None without."""
    rows, columns = np.nonzero(grid.body)
    step = np.array(grid.spacing_mm)
    # In pixels as wide as the search no edge can be followed, nor where their sides differ so that rays never end.
    if rows.size == 0 or grid.pixel_mm >= _WIDEST_MM or step.max() > _MOST_OBLONG * step.min():
        return None
    centre = (np.array([rows.mean(), columns.mean()]) + 0.5) * grid.block * step
    angle = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
    ray = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    size = np.array(grid.hu.shape)

    # The mask's edge along each ray, then the outermost crossing of the edge's HU near it.
    radii = np.arange(0.0, float(np.hypot(*(size * step))), grid.block * grid.pixel_mm / 2)
    at = _indices(centre + radii[:, None, None] * ray, step * grid.block)
    inside = _look_up(grid.body, at, False)
    far = radii[len(radii) - 1 - np.argmax(inside[::-1], axis=0)]
    offsets = np.arange(_SEARCH_MM, -_SEARCH_MM, -grid.pixel_mm / 2)
    radii = far + offsets[:, None]
    hu = _look_up(grid.hu, _indices(centre + radii[..., None] * ray, step), np.nan)
    # A mean over three samples keeps single noisy pixels from being taken for skin.
    hu = (hu[:-2] + hu[1:-1] + hu[2:]) / 3
    dense = hu > _EDGE_HU
    first = np.argmax(dense, axis=0)
    good = dense.any(axis=0) & (first > 0) & np.isfinite(hu).all(axis=0)
    radius = np.where(good, np.take_along_axis(radii[1:-1], first[None], axis=0)[0], np.nan)

    # A parabola through a point and its four neighbours gives a steady position and direction (Savitzky-Golay).
    near = np.stack([np.roll(radius, n) for n in (2, 1, 0, -1, -2)])
    smooth = (np.array([-3, 12, 17, 12, -3]) / 35) @ near
    slope = (np.array([-2, -1, 0, 1, 2]) / 10) @ near / (2 * np.pi / _ANGLES)
    flat = np.abs(near[2] - smooth) < _ROUGHEST_MM
    across = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    normal = ray - across * (slope / smooth)[:, None]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    keep = good & flat & np.isfinite(smooth)
    return (centre + smooth[:, None] * ray)[keep], normal[keep]


def _profiles(
    grid: SliceGrid, points: NDArray[np.float64], normals: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], int]:
    """Pixels around the points: distance inwards in mm, value from 0 (air) to 1 (skin), profile; number of profiles."""
    step = np.array(grid.spacing_mm)
    reach = np.ceil(np.hypot(_OUT_MM, _HALF_WIDTH_MM) / step).astype(int)
    dy, dx = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
    pixel = _indices(points, step)[:, None, :] + np.stack([dy.ravel(), dx.ravel()], axis=1)
    offset = (pixel + 0.5) * step - points[:, None, :]
    inwards = -(offset * normals[:, None, :]).sum(axis=2)
    along = offset[..., 0] * normals[:, None, 1] - offset[..., 1] * normals[:, None, 0]
    # Outside the image the whole profile is dropped, below, because nan is no air.
    hu = _look_up(grid.hu, pixel, np.nan)
    wanted = (np.abs(along) < _HALF_WIDTH_MM) & (inwards > -_OUT_MM) & (inwards < _IN_MM)

    air = wanted & (inwards < -_AIR_FROM_MM)
    skin = wanted & (inwards > _SKIN_FROM_MM)
    with np.errstate(invalid="ignore", divide="ignore"):
        air_hu = np.where(air, hu, 0).sum(axis=1) / air.sum(axis=1)
        skin_hu = np.where(skin, hu, 0).sum(axis=1) / skin.sum(axis=1)
    # Clothes and the table show as air that is not air everywhere.
    dirty = np.where(air, hu > _EDGE_HU - 100, False).any(axis=1)
    good = (air_hu < _AIR_MAX_HU) & (skin_hu > _SKIN_MIN_HU) & ~dirty
    wanted, count = wanted[good], int(good.sum())
    value = (hu[good] - air_hu[good, None]) / (skin_hu - air_hu)[good, None]
    owner = np.broadcast_to(np.arange(count)[:, None], wanted.shape)
    return inwards[good][wanted], value[wanted], owner[wanted], count


def _edge_spread(
    distance: NDArray[np.float64], value: NDArray[np.float64], owner: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Mean edge spread function, positions in mm and values, after each profile was moved to its own 50 %."""
    shift = _half_crossings(distance, value, owner, count)
    kept = np.isfinite(shift[owner])
    if np.isfinite(shift).sum() < FEWEST_PROFILES:
        return None
    aligned = distance[kept] - shift[owner[kept]]
    bins = np.arange(-_OUT_MM, _IN_MM, _BIN_MM)
    index = np.floor((aligned + _OUT_MM) / _BIN_MM).astype(int)
    inside = (index >= 0) & (index < len(bins))
    number = np.bincount(index[inside], minlength=len(bins))
    total = np.bincount(index[inside], value[kept][inside], len(bins))
    where = np.bincount(index[inside], aligned[inside], len(bins))
    filled = number >= FEWEST_PROFILES // 2
    return where[filled] / number[filled], total[filled] / number[filled]


def _half_crossings(
    distance: NDArray[np.float64], value: NDArray[np.float64], owner: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Position in mm of the 50 % of each profile, nan where it has none."""
    width = 0.6
    bins = int((_OUT_MM + _IN_MM) / width)
    index = owner * bins + np.clip(((distance + _OUT_MM) / width).astype(int), 0, bins - 1)
    number = np.bincount(index, minlength=count * bins).reshape(count, bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.bincount(index, value, count * bins).reshape(count, bins) / number
        place = np.bincount(index, distance, count * bins).reshape(count, bins) / number
    crossings = np.full(count, np.nan)
    for n in range(count):
        filled = number[n] > 0
        found = _crossing(place[n, filled], level[n, filled], 0.5)
        crossings[n] = np.nan if found is None else found
    return crossings


def _outer_half(place: NDArray[np.float64], level: NDArray[np.float64]) -> float | None:
    tenth, half = _crossing(place, level, 0.1), _crossing(place, level, 0.5)
    return None if tenth is None or half is None or half <= tenth else 2 * (half - tenth)


def _crossing(place: NDArray[np.float64], level: NDArray[np.float64], wanted: float) -> float | None:
    """Where a rising curve first goes through a level on its way to the skin, from the last point below it outside."""
    above = np.flatnonzero(level >= wanted)
    if above.size == 0 or above[0] == 0:
        return None
    k = above[0]
    share = (wanted - level[k - 1]) / (level[k] - level[k - 1])
    return float(place[k - 1] + share * (place[k] - place[k - 1]))


def _indices(points_mm: NDArray[np.float64], step_mm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index of the pixel that holds a point; pixel 0 reaches from 0 to one step."""
    return np.floor(points_mm / step_mm).astype(np.int64)


def _look_up(values: NDArray[np.generic], index: NDArray[np.int64], outside: object) -> NDArray:
    rows, columns = values.shape
    valid = (index[..., 0] >= 0) & (index[..., 0] < rows) & (index[..., 1] >= 0) & (index[..., 1] < columns)
    found = values[np.clip(index[..., 0], 0, rows - 1), np.clip(index[..., 1], 0, columns - 1)]
    return np.where(valid, found, outside)
