"""Smooth random fields in three dimensions, evaluated plane by plane without storing the volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class RandomField:
    """A stationary Gaussian random field of unit variance and Gaussian correlation.

    White noise on a coarse grid, spread by a separable Gaussian kernel that is evaluated exactly where it is asked
    for, so a plane costs two small matrix products and neighbouring planes belong together.

    Args:
        rng: source of the white noise.
        lower, upper: corners (x, y, z) in mm of the box that the field fills; far outside it is 0.
        scale: SD of the kernel in mm; the field's correlation length is sqrt(2) times that.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        lower: tuple[float, float, float],
        upper: tuple[float, float, float],
        scale: float,
    ) -> None:
        self._scale = scale
        self._knots = [np.arange(lo - 3 * scale, hi + 4 * scale, scale) for lo, hi in zip(lower, upper, strict=True)]
        nx, ny, nz = (k.size for k in self._knots)
        self._white = rng.standard_normal((nz, ny, nx), dtype=np.float32)

    def _weights(self, axis: int, at: NDArray[np.floating]) -> NDArray[np.float32]:
        distance = (at[:, None] - self._knots[axis][None, :]) / self._scale
        weights = np.exp(-0.5 * distance**2)
        return (weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-6)).astype(np.float32)

    def plane(self, x: NDArray[np.floating], y: NDArray[np.floating], z: float) -> NDArray[np.float32]:
        """Values on a plane: ``x`` (columns,) and ``y`` (rows,) in mm at height ``z`` -> (rows, columns) float32."""
        layer = np.tensordot(self._weights(2, np.array([z]))[0], self._white, axes=1)
        return self._weights(1, y) @ layer @ self._weights(0, x).T
