"""A whole volume as a volume network reads it: every n-th pixel of every slice, in [0, 1].

Pixels are picked, not averaged. Averaging takes noise away, and noise is what is to be judged; the price is that edges
alias. Every slice is kept for the same reason. Nothing is resampled, so the grid's affine is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.body import body_mask, tissue_floor
from CTQualityAssessmentLib.volume import CanonicalSlices, Volume
from CTQualityAssessmentLib.windows import Window

#: Percentiles of an MR volume that become 0 and 1.
MR_PERCENTILES = (0.5, 99.5)


@dataclass(frozen=True)
class VolumeInput:
    """What a volume network gets.

    Attributes:
        pixels: ``(n, rows, columns)`` float32 in [0, 1], slices along the acquisition axis in the radiological view.
        ijk_to_ras: ``(column, row, n, 1)`` of this grid to RAS millimetres.
        every: which pixels were picked; 1 is all of them.
    """

    pixels: NDArray[np.float32]
    ijk_to_ras: NDArray[np.float64]
    every: int

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Millimetres between rows and between columns."""
        column, row = np.linalg.norm(self.ijk_to_ras[:3, :2], axis=0)
        return float(row), float(column)


def picked_every(shape: tuple[int, ...], size: int) -> int:
    """Every how many pixels one is picked: the whole number that brings the longer side closest to ``size``."""
    return max(1, round(max(shape) / size))


def volume_input(volume: Volume, window: Window, size: int) -> VolumeInput:
    """The volume for a network: CT by the window, MR by its 0.5 and 99.5 percentiles.

    Args:
        volume: of any depth, matrix and orientation.
        window: of CT.
        size: pixels of the longer side that the network was trained at; smaller slices stay as they are.
    """
    slices = volume.canonical_slices()
    every = picked_every(slices.hu.shape[1:], size)
    first = (every - 1) // 2
    picked = slices.hu[:, first::every, first::every]
    return VolumeInput(_unit_range(volume, picked, window), _picked_affine(slices, first, every), every)


def patient_in(volume: Volume, size: int) -> NDArray[np.bool_]:
    """Where the patient is, on the grid of :func:`volume_input`, ``(n, rows, columns)``."""
    slices = volume.canonical_slices()
    every = picked_every(slices.hu.shape[1:], size)
    first = (every - 1) // 2
    picked = slices.hu[:, first::every, first::every]
    column, row = np.linalg.norm(slices.ijk_to_ras[:3, :2], axis=0) * every
    return body_mask(picked, (float(row), float(column)), tissue_floor(volume))


def _unit_range(volume: Volume, picked: NDArray[np.generic], window: Window) -> NDArray[np.float32]:
    if not volume.is_mr:
        return window.apply(picked)
    low, high = np.percentile(picked, MR_PERCENTILES)
    scaled = (picked.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-6))
    return np.clip(scaled, 0.0, 1.0, out=scaled)


def _picked_affine(slices: CanonicalSlices, first: int, every: int) -> NDArray[np.float64]:
    matrix = slices.ijk_to_ras.copy()
    matrix[:, 3] += first * (matrix[:, 0] + matrix[:, 1])
    matrix[:, :2] *= every
    return matrix
