"""Implicit shapes: signed distances in mm, negative inside, good to first order near the surface.

Coordinates are arrays that broadcast together; x runs to the patient's left, y to posterior, z to superior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Array = NDArray[np.floating]
Point = Sequence[float]


def ellipsoid(x: Array, y: Array, z: Array | float, centre: Point, radii: Point) -> Array:
    """Distance to an axis-aligned ellipsoid; first-order correct at the surface."""
    px, py, pz = (c - o for c, o in zip((x, y, z), centre, strict=True))
    a = np.sqrt((px / radii[0]) ** 2 + (py / radii[1]) ** 2 + (pz / radii[2]) ** 2)
    b = np.sqrt((px / radii[0] ** 2) ** 2 + (py / radii[1] ** 2) ** 2 + (pz / radii[2] ** 2) ** 2)
    return a * (a - 1) / np.maximum(b, 1e-6)


def capsule_2d(x: Array, y: Array, start: Point, end: Point, radius: float) -> Array:
    """Distance in the plane to a segment of the given half thickness."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    t = np.clip(((x - start[0]) * dx + (y - start[1]) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
    return np.hypot(x - start[0] - t * dx, y - start[1] - t * dy) - radius


def smooth_union(a: Array, b: Array, blend: float) -> Array:
    """Union of two shapes whose seam is rounded over ``blend`` mm."""
    h = np.maximum(blend - np.abs(a - b), 0) / blend
    return np.minimum(a, b) - h * h * blend / 4


def smooth_curve(points: Array, step: float) -> NDArray[np.float64]:
    """A cubic spline through rows of ``points`` (any number of columns, the first three x, y, z), every ``step`` mm."""
    points = np.asarray(points, dtype=np.float64)
    chord = np.r_[0, np.cumsum(np.linalg.norm(np.diff(points[:, :3], axis=0), axis=1))]
    return CubicSpline(chord, points)(np.linspace(0, chord[-1], max(int(chord[-1] / step), 2)))


@dataclass(frozen=True)
class Tube:
    """A chain of tapered capsules.

    Attributes:
        points: (n, 3) in mm.
        radii: (n,) in mm.
        values: (n, m) that vary along the tube (for instance the height of its gas level); may have no columns.
        z_scale: z is multiplied by it before distances are taken; below 1 the section is taller than wide.
    """

    points: Array
    radii: Array
    values: Array = field(default_factory=lambda: np.zeros((0, 0)))
    z_scale: float = 1.0

    def near(self, z: float, margin: float) -> NDArray[np.intp]:
        """Indices of the segments that come within ``margin`` of the plane at ``z``."""
        low = np.minimum(self.points[:-1, 2], self.points[1:, 2])
        high = np.maximum(self.points[:-1, 2], self.points[1:, 2])
        reach = np.maximum(self.radii[:-1], self.radii[1:]) / self.z_scale + margin
        return np.flatnonzero((low - reach < z) & (z < high + reach))

    def distance(
        self, x: Array, y: Array, z: float, margin: float = 3.0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Signed distance on the plane ``z`` and the values of the nearest segment.

        Args:
            x, y: (columns,) and (rows,) in mm.
            z: height of the plane in mm.
            margin: distances are only resolved this far outside the surface; beyond they are ``margin`` or more.

        Returns:
            (rows, columns) and (m, rows, columns) float32.
        """
        best = np.full((y.size, x.size), np.float32(1e3))
        values = np.zeros((self.values.shape[1] if self.values.size else 0, y.size, x.size), dtype=np.float32)
        for i in self.near(z, margin):
            a, b = self.points[i], self.points[i + 1]
            reach = max(self.radii[i], self.radii[i + 1]) + margin
            c0, c1 = np.searchsorted(x, (min(a[0], b[0]) - reach, max(a[0], b[0]) + reach))
            r0, r1 = np.searchsorted(y, (min(a[1], b[1]) - reach, max(a[1], b[1]) + reach))
            if c0 >= c1 or r0 >= r1:
                continue
            px, py, pz = x[None, c0:c1] - a[0], y[r0:r1, None] - a[1], (z - a[2]) * self.z_scale
            d = (b - a) * (1, 1, self.z_scale)
            t = np.clip((px * d[0] + py * d[1] + pz * d[2]) / max(float(d @ d), 1e-9), 0, 1)
            gap = np.sqrt((px - t * d[0]) ** 2 + (py - t * d[1]) ** 2 + (pz - t * d[2]) ** 2)
            gap -= self.radii[i] + t * (self.radii[i + 1] - self.radii[i])
            part = best[r0:r1, c0:c1]
            closer = gap < part
            part[closer] = gap[closer]
            for v in range(values.shape[0]):
                along = self.values[i, v] + t * (self.values[i + 1, v] - self.values[i, v])
                values[v, r0:r1, c0:c1][closer] = along[closer]
        return best, values
