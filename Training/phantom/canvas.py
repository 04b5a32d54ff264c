"""One plane of the phantom while it is being painted, tissue over tissue."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from Training.phantom.shapes import Tube
from Training.phantom.tissues import Tissue

Array = NDArray[np.floating]


class Canvas:
    """The plane at height ``z`` with its HU and labels; later paint covers earlier paint.

    Attributes:
        x, y: (columns,) and (rows,) pixel centres in mm.
        grid: x and y broadcastable against each other: (1, columns) and (rows, 1).
        warped: (x, y, z) each (rows, columns): the coordinates that organs are evaluated at, bent so that no organ
            is an ellipsoid.
        fine, coarse: random fields of unit variance, (rows, columns).
        hu: (rows, columns) float32; ``labels``: (rows, columns) uint8.
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        z: float,
        *,
        pixel: float,
        displacement: tuple[Array, Array, Array],
        fine: Array,
        coarse: Array,
        hu_of: dict[Tissue, float],
    ) -> None:
        self.x, self.y, self.z, self.pixel = x, y, z, pixel
        self.grid = x[None, :], y[:, None]
        dx, dy, dz = displacement
        self.warped = (x[None, :] + dx, y[:, None] + dy, z + dz)
        self.fine, self.coarse, self.hu_of = fine, coarse, hu_of
        self.hu = np.full((y.size, x.size), np.float32(hu_of[Tissue.AIR]))
        self.labels = np.zeros((y.size, x.size), dtype=np.uint8)

    def crop(self, x: tuple[float, float], y: tuple[float, float]) -> Canvas | None:
        """The part between two x and two y in mm, painting into the same plane; None when it is out of view."""
        c0, c1 = np.searchsorted(self.x, x)
        r0, r1 = np.searchsorted(self.y, y)
        if c0 >= c1 or r0 >= r1:
            return None
        part = copy.copy(self)
        part.x, part.y = self.x[c0:c1], self.y[r0:r1]
        part.grid = part.x[None, :], part.y[:, None]
        part.warped = tuple(a[r0:r1, c0:c1] for a in self.warped)
        for name in ("fine", "coarse", "hu", "labels"):
            setattr(part, name, getattr(self, name)[r0:r1, c0:c1])
        return part

    def around(self, centre: Array, reach: Array | float) -> Canvas | None:
        """:meth:`crop` to within ``reach`` (mm, one or per axis) of ``centre``."""
        low, high = np.asarray(centre) - reach, np.asarray(centre) + reach
        if not low[2] < self.z < high[2]:
            return None
        return self.crop((low[0], high[0]), (low[1], high[1]))

    def paint(self, distance: Array, tissue: Tissue, hu: float | Array | None = None) -> None:
        """Cover the inside of a shape; pixels that its edge crosses are covered in part.

        Args:
            distance: (rows, columns) signed distance in mm.
            tissue: the label, and the HU where ``hu`` is None; ``hu`` may also be (rows, columns).
        """
        rows, columns = np.flatnonzero((distance < self.pixel).any(1)), np.flatnonzero((distance < self.pixel).any(0))
        if rows.size == 0:
            return
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        cover = np.clip(0.5 - distance[box] / self.pixel, 0, 1).astype(np.float32)
        value = self.hu_of[tissue] if hu is None else (hu[box] if isinstance(hu, np.ndarray) else hu)
        self.hu[box] += cover * (value - self.hu[box])
        self.labels[box][cover >= 0.5] = tissue

    def paint_tube(self, tube: Tube, tissue: Tissue, hu: float | None = None, inside: Array | None = None) -> None:
        """Paint a tube, only where ``inside`` (a signed distance) is negative if that is given."""
        near = tube.near(self.z, self.pixel)
        if near.size == 0:
            return
        ends = np.concatenate([tube.points[near], tube.points[near + 1]])
        reach = tube.radii.max() + 2 * self.pixel
        low, high = ends.min(0) - reach, ends.max(0) + reach
        part = self.crop((low[0], high[0]), (low[1], high[1]))
        if part is None:
            return
        distance, _ = tube.distance(part.x, part.y, self.z, margin=2 * self.pixel)
        if inside is not None:
            (c0, r0) = np.searchsorted(self.x, part.x[0]), np.searchsorted(self.y, part.y[0])
            distance = np.maximum(distance, inside[r0 : r0 + part.y.size, c0 : c0 + part.x.size])
        part.paint(distance, tissue, hu)
