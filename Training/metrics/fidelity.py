"""Full-reference fidelity of a degraded slice, inside the body, in the soft-tissue display window.

All functions take the reference and the degraded slice in HU, ``(rows, columns)``, and a body mask, and return one
number that is higher for a better image.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from CTQualityAssessmentLib.windows import WINDOWS
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.floating]
Mask = NDArray[np.bool_]

_DISPLAY = WINDOWS["soft-tissue"]


def psnr(reference: Image, degraded: Image, body: Mask) -> float:
    """Peak signal-to-noise ratio in dB of the displayed grey values, peak 1, at most 60."""
    error = (_DISPLAY.apply(degraded) - _DISPLAY.apply(reference))[body]
    return float(min(60.0, -10 * np.log10(np.mean(error.astype(np.float64) ** 2) + 1e-12)))


def low_frequency_psnr(reference: Image, degraded: Image, body: Mask, sigma_pixels: float = 2.0) -> float:
    """PSNR after a Gaussian as wide as a small low-contrast lesion: what hides liver lesions, not the fine grain."""
    error = ndimage.gaussian_filter(_DISPLAY.apply(degraded) - _DISPLAY.apply(reference), sigma_pixels)[body]
    return float(min(60.0, -10 * np.log10(np.mean(error.astype(np.float64) ** 2) + 1e-12)))


def ssim(reference: Image, degraded: Image, body: Mask) -> float:
    """Mean structural similarity (Wang et al., IEEE TIP 13(4), 2004; Gaussian weights, range 1) over the body."""
    from skimage.metrics import structural_similarity

    _, full = structural_similarity(
        _DISPLAY.apply(reference),
        _DISPLAY.apply(degraded),
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    return float(full[body].mean())


def gradient_similarity(reference: Image, degraded: Image, body: Mask) -> float:
    """Minus the gradient magnitude similarity deviation (Xue et al., IEEE TIP 23(2), 2014; c = 0.0026) in the body."""
    first, second = (_prewitt(_DISPLAY.apply(image)) for image in (reference, degraded))
    similarity = (2 * first * second + 0.0026) / (first**2 + second**2 + 0.0026)
    return -float(similarity[body].std())


def _prewitt(image: Image) -> Image:
    return np.hypot(ndimage.prewitt(image, 0), ndimage.prewitt(image, 1)) / 3


FIDELITIES: dict[str, Callable[[Image, Image, Mask], float]] = {
    "psnr": psnr,
    "low_frequency_psnr": low_frequency_psnr,
    "ssim": ssim,
    "gradient_similarity": gradient_similarity,
}
