"""A simulated scan of a stack of slices: projected once, reconstructed as often as wanted at a few points only.

Projector and filters are those of :mod:`Training.simulation.ct`. A network that reads every n-th pixel needs the
reconstruction at these pixels alone: back projection is done point by point (Kak and Slaney, ch. 3.3, linear
interpolation between detector elements), for all slices at once. That makes graded volumes affordable on one core.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from Training.simulation.ct import AIR_HU, FULL_VIEWS, WATER_ATTENUATION, filter_integrals, line_integrals, ramp_filter

#: What lies outside the field of view, as scanners' own reconstructions have it.
_OUTSIDE_HU = -1024.0


@dataclass(frozen=True)
class CTScan:
    """Readings of a stack of square slices over half a turn, which in parallel geometry is all there is to know.

    Attributes:
        integrals: ``(slices, angles, detectors)`` float32, dimensionless; detector pitch = pixel.
        angles: radians, ``(angles,)``.
        size: pixels along a side of the slices that were projected.
        spacing_mm: their pixel size.
    """

    integrals: NDArray[np.float32]
    angles: NDArray[np.float64]
    size: int
    spacing_mm: float

    def with_integrals(self, integrals: NDArray[np.float32]) -> CTScan:
        """The same geometry with other readings."""
        return replace(self, integrals=integrals)

    def reconstruct(self, kernel: str, every: int = 1) -> NDArray[np.float32]:
        """Filtered back projection at every n-th pixel.

        Args:
            kernel: one of ``Training.simulation.ct.KERNELS``.
            every: 1 for all pixels; the first is ``(every - 1) // 2``.

        Returns:
            HU ``(slices, rows, columns)`` float32; -1024 outside the inscribed circle.
        """
        detectors = self.integrals.shape[2]
        response = ramp_filter(kernel, 1 << (2 * detectors - 1).bit_length())
        filtered = np.stack([filter_integrals(one, response) for one in self.integrals], axis=-1)  # (A, D, slices)
        axis = np.arange((every - 1) // 2, self.size, every) - (self.size - 1) / 2
        x, y = (c.ravel() for c in np.meshgrid(axis, -axis))
        total = np.zeros((x.size, self.integrals.shape[0]), dtype=np.float32)
        for angle, view in zip(self.angles, filtered, strict=True):
            at = x * np.cos(angle) + y * np.sin(angle) + (detectors - 1) / 2
            left = np.floor(at).astype(np.intp)
            part = (at - left).astype(np.float32)[:, None]
            total += view[left] * (1 - part) + view[left + 1] * part
        attenuation = total * np.float32(np.pi / len(self.angles) / (WATER_ATTENUATION * self.spacing_mm))
        hu = 1000.0 * (attenuation - 1.0)
        hu[x**2 + y**2 > (self.size / 2) ** 2] = _OUTSIDE_HU
        return np.ascontiguousarray(hu.T.reshape(-1, axis.size, axis.size), dtype=np.float32)


def scan(hu: NDArray[np.floating], spacing_mm: float, views: int = FULL_VIEWS) -> CTScan:
    """Noise-free readings of a stack of slices.

    Args:
        hu: ``(slices, n, n)``; what lies outside the inscribed circle is taken for air.
        spacing_mm: pixel size.
        views: over a full turn; half of them are kept, since parallel views repeat after half a turn.
    """
    size = hu.shape[1]
    if hu.ndim != 3 or hu.shape[2] != size:
        raise ValueError("a scan takes a stack of square slices")
    axis = np.arange(size) - (size - 1) / 2
    inside = axis[:, None] ** 2 + axis**2 <= (size / 2) ** 2
    angles = np.arange(views // 2) * (2 * np.pi / views)
    readings = [line_integrals(np.where(inside, one, AIR_HU), spacing_mm, angles) for one in hu]
    return CTScan(np.stack(readings), angles, size, spacing_mm)
