"""Noise power spectrum in uniform regions of the patient, in the vocabulary of AAPM TG-233.

Regions of 8 x 8 blocks (about 24 mm) of soft tissue whose standard deviation is that of noise alone. A second-order
polynomial is taken off each (anatomy, beam hardening), the squared Fourier transforms are averaged over regions and
around the origin (Samei et al., Med. Phys. 46:e735, 2019). What the polynomial removes, about the lowest two frequency
bins, is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.measures.noise import soft_tissue_blocks
from CTQualityAssessmentLib.assessment.measures.slice_grid import SliceGrid, all_of_window

_BLOCKS = 8
#: A region may exceed the slice's noise level by this factor; more is anatomy.
_UNIFORM = 1.2
#: Regions of one slice that are used, first those whose noise is most like the slice's.
_MOST_REGIONS = 12
#: Fewer regions leave the spectrum of one slice too rough to read a frequency from.
FEWEST_REGIONS = 3


@dataclass(frozen=True)
class Spectrum:
    """Radially averaged noise power spectrum.

    Attributes:
        frequency_per_mm: centres of the bins, ``(bins,)``, up to the Nyquist frequency.
        power: HU squared mm squared, ``(bins,)``.
        regions: how many regions were averaged.
    """

    frequency_per_mm: NDArray[np.float64]
    power: NDArray[np.float64]
    regions: int

    @property
    def mean_per_mm(self) -> float:
        """Mean frequency of the radial curve (TG-233: average frequency), 1/mm."""
        return float((self.frequency_per_mm * self.power).sum() / self.power.sum())

    @property
    def peak_per_mm(self) -> float | None:
        """Frequency of the curve's maximum, 1/mm, on the parabola through three smoothed bins.

        None where the maximum is in one of the two lowest bins, where anatomy and the polynomial outweigh the noise.
        """
        smooth = np.convolve(np.pad(self.power, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")
        top = int(np.argmax(smooth))
        if not 1 < top < len(smooth) - 1:
            return None
        low, mid, high = smooth[top - 1 : top + 2]
        bend = low - 2 * mid + high
        shift = 0.5 * (low - high) / bend if bend < 0 else 0.0
        return float(self.frequency_per_mm[top] + shift * (self.frequency_per_mm[1] - self.frequency_per_mm[0]))


def uniform_regions(grid: SliceGrid, noise_hu: float) -> NDArray[np.float32]:
    """Uniform regions of soft tissue that do not overlap, ``(n, size, size)`` HU; n is 0 where there is none."""
    means, squares = (_window_means(values, _BLOCKS) for values in (grid.means, grid.squares))
    sd = np.sqrt(np.maximum(squares - means**2, 0.0))
    usable = all_of_window(soft_tissue_blocks(grid), _BLOCKS) & (sd < _UNIFORM * noise_hu)
    rows, columns = np.nonzero(usable)
    # Not the quietest regions first: noise differs over the patient, and with it its texture.
    order = np.argsort(np.abs(sd[rows, columns] - noise_hu), kind="stable")
    chosen: list[tuple[int, int]] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if all(abs(row - r) >= _BLOCKS or abs(column - c) >= _BLOCKS for r, c in chosen):
            chosen.append((row, column))
            if len(chosen) == _MOST_REGIONS:
                break
    size, b = _BLOCKS * grid.block, grid.block
    regions = [grid.hu[r * b : r * b + size, c * b : c * b + size] for r, c in chosen]
    return np.stack(regions) if regions else np.zeros((0, size, size), dtype=np.float32)


def noise_power(regions: NDArray[np.floating], spacing_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Two-dimensional noise power spectrum averaged over regions, HU squared mm squared, ``(size, size)``.

    Args:
        regions: ``(n, size, size)``, n at least 1.
        spacing_mm: distance between rows and between columns.
    """
    size = regions.shape[-1]
    flat = regions.reshape(len(regions), -1).astype(np.float64)
    basis = _polynomials(size)
    residual = (flat - (flat @ basis) @ basis.T).reshape(-1, size, size)
    power = (np.abs(np.fft.fft2(residual)) ** 2).mean(axis=0)
    return power * spacing_mm[0] * spacing_mm[1] / size**2


def radial_spectrum(power: NDArray[np.floating], spacing_mm: tuple[float, float], regions: int) -> Spectrum:
    """Average of :func:`noise_power` around the origin, in bins of one frequency step."""
    size = power.shape[0]
    y, x = (np.fft.fftfreq(size, spacing) for spacing in spacing_mm)
    radius = np.hypot(y[:, None], x)
    step = 1.0 / (size * max(spacing_mm))
    bins = size // 2
    index = np.rint(radius / step).astype(np.int64).ravel()
    kept = (index >= 1) & (index <= bins)
    total = np.bincount(index[kept], power.ravel()[kept], bins + 1)[1:]
    count = np.bincount(index[kept], minlength=bins + 1)[1:]
    return Spectrum(step * np.arange(1, bins + 1), total / count, regions)


def _window_means(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean over every ``width`` x ``width`` window, from a summed-area table."""
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    table[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    sums = table[width:, width:] - table[:-width, width:] - table[width:, :-width] + table[:-width, :-width]
    return sums / width**2


@lru_cache(maxsize=8)
def _polynomials(size: int) -> NDArray[np.float64]:
    """Orthonormal second-order polynomials over a square region, ``(size * size, 6)``."""
    axis = np.linspace(-1.0, 1.0, size)
    y, x = (a.ravel() for a in np.meshgrid(axis, axis, indexing="ij"))
    return np.linalg.qr(np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1))[0]
