"""What the noise of a filtered back projection should be, from first principles: SD and noise power spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from Training.simulation.ct import FULL_VIEWS, WATER_ATTENUATION, ramp_filter


def water_disc(size: int, spacing_mm: float, diameter_mm: float) -> NDArray[np.float32]:
    """A disc of water (0 HU) in air (-1000 HU) with anti-aliased edge, ``(size, size)``."""
    axis = (np.arange(size) - (size - 1) / 2) * spacing_mm
    radius = np.hypot(axis[:, None], axis)
    share = np.clip((diameter_mm / 2 - radius) / spacing_mm + 0.5, 0.0, 1.0)
    return (1000.0 * (share - 1.0)).astype(np.float32)


def noise_sd_at_centre(
    diameter_mm: float,
    spacing_mm: float,
    *,
    photons: float,
    electronic_sd: float = 0.0,
    views: int = FULL_VIEWS,
    kernel: str = "hann",
) -> float:
    """Standard deviation in HU at the centre of a water disc after filtered back projection.

    Each view adds ``(pi / views)^2`` times the variance of a filtered sample. That variance is the variance of one
    line integral, ``1 / N + sd_e^2 / N^2`` for N transmitted photons, times the power of the kernel after the strip
    back projector's footprint: a box of one detector and the shadow of a square pixel at the view's angle.
    """
    transmitted = photons * np.exp(-WATER_ATTENUATION * diameter_mm)
    variance = 1.0 / transmitted + (electronic_sd / transmitted) ** 2
    # A sampled filter repeats its response beyond the Nyquist frequency; the footprint lets some of it through.
    frequency = np.linspace(0.0, 3.0, 6001)
    folded = np.abs(frequency - np.round(frequency))
    response = np.interp(folded, np.fft.rfftfreq(4096), ramp_filter(kernel, 4096))
    angles = 2 * np.pi * np.arange(views) / views
    power = np.empty(views)
    for n, angle in enumerate(angles):
        footprint = np.sinc(frequency) * np.sinc(frequency * np.cos(angle)) * np.sinc(frequency * np.sin(angle))
        power[n] = 2 * np.trapezoid((response * footprint) ** 2, frequency)
    attenuation_sd = np.pi / views * np.sqrt(variance * power.sum())
    return float(1000.0 * attenuation_sd / (WATER_ATTENUATION * spacing_mm))


def radial_nps(
    images: NDArray[np.floating], spacing_mm: float, bins: int = 32
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radially averaged noise power spectrum of a stack of noise-only regions (AAPM TG-233).

    Args:
        images: ``(n, size, size)`` regions of pure noise, for example differences of two readings over sqrt(2).
        spacing_mm: pixel spacing.
        bins: number of frequency bins up to the Nyquist frequency.

    Returns:
        Frequency in cycles/mm and NPS in HU^2 mm^2, each ``(bins,)``. Its integral over the plane is the variance.
    """
    size = images.shape[-1]
    detrended = images - images.mean(axis=(1, 2), keepdims=True)
    spectrum = (np.abs(np.fft.fft2(detrended)) ** 2).mean(axis=0) * spacing_mm**2 / size**2
    axis = np.fft.fftfreq(size, spacing_mm)
    radius = np.hypot(axis[:, None], axis)
    edges = np.linspace(0, 0.5 / spacing_mm, bins + 1)
    index = np.digitize(radius.ravel(), edges) - 1
    keep = index < bins
    total = np.bincount(index[keep], spectrum.ravel()[keep], bins)
    return (edges[:-1] + edges[1:]) / 2, total / np.maximum(np.bincount(index[keep], minlength=bins), 1)
