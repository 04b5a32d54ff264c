"""Virtual patients: a source slice in another shape, place, contrast and texture, with arms beside it, scanned anew.

A dozen patients are few enough for a network to know each of them by its anatomy and to answer from memory, and
routine scans differ from all of them: small patients in a large field of view, arms at the sides whose bones streak
the liver, contrast agent, visible texture of the organs, iterative reconstruction.
"""

from __future__ import annotations

import numpy as np
from CTQualityAssessmentLib.assessment.body import body_mask
from numpy.typing import NDArray
from scipy import ndimage

from Training.data.sources import SourceSlice, noise_sd

_ARM_SHARE, _CONTRAST_SHARE, _TEXTURE_SHARE = 0.3, 0.5, 0.5


def virtual_patient(source: SourceSlice, rng: np.random.Generator) -> SourceSlice:
    """A new noise-free slice made of ``source``; patient and index stay, the pixel spacing changes."""
    spacing = source.spacing_mm * float(rng.uniform(0.85, 1.2))
    hu = _reshaped(source.hu, rng)
    if rng.random() < _CONTRAST_SHARE:
        hu = _enhanced(hu, float(rng.uniform(1.2, 2.5)))
    if rng.random() < _TEXTURE_SHARE:
        hu = _textured(hu, rng)
    if rng.random() < _ARM_SHARE:
        hu = _with_arms(hu, spacing, rng)
    return SourceSlice(source.patient, source.index, hu.astype(np.float32), spacing)


def iterative_like(hu: NDArray[np.float32], strength: float) -> NDArray[np.float32]:
    """A reconstruction with the texture of iterative methods: mixed with its own non-local means.

    Args:
        hu: a filtered back projection, ``(rows, columns)``.
        strength: share of the smoothed image, 0 ... 1.
    """
    from skimage.restoration import denoise_nl_means

    sd = noise_sd(hu)
    clipped = np.clip(hu, -1050, 400)
    smooth = denoise_nl_means(clipped, patch_size=5, patch_distance=5, h=0.8 * sd, sigma=sd, fast_mode=True)
    return (hu + strength * (smooth - clipped)).astype(np.float32)


def _reshaped(hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Scaled to 0.65 to 1.2, stretched by up to a tenth, turned by up to 20 degrees, mirrored, off centre."""
    angle = np.deg2rad(rng.uniform(-20, 20))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = rng.uniform(0.65, 1.2) * rng.uniform(0.9, 1.1, 2)
    matrix = turn @ np.diag(1 / scale) @ np.diag(rng.choice([-1.0, 1.0], 2))
    middle = (np.array(hu.shape) - 1) / 2
    shifted = middle + rng.normal(0, 12, 2)
    return ndimage.affine_transform(hu, matrix, middle - matrix @ shifted, order=1, cval=-1000.0).astype(np.float32)


def _enhanced(hu: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """Contrast agent, roughly: what lies above 30 HU is raised, the more the denser, by up to 70 (gain - 1) HU."""
    return (hu + (gain - 1) * np.clip(hu - 30, 0, 70)).astype(np.float32)


def _textured(hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Structure of the organs that is no noise, up to 5 HU; cleaning took it from the sources with the noise."""
    grain = ndimage.gaussian_filter(rng.standard_normal(hu.shape), rng.uniform(0.8, 2.5))
    grain *= rng.uniform(1, 5) / grain.std()
    return (hu + np.where(hu > -200, grain, 0)).astype(np.float32)


def _with_arms(hu: NDArray[np.float32], spacing_mm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Arms down at both sides, where the field of view has room for them."""
    body = body_mask(hu, (spacing_mm, spacing_mm))
    rows, columns = np.nonzero(body)
    if len(rows) == 0:
        return hu
    radius, gap = rng.uniform(36, 52) / spacing_mm, rng.uniform(4, 20) / spacing_mm
    row = rows.mean() + rng.uniform(-40, 60) / spacing_mm
    two_bones = rng.random() < 0.6
    down, right = np.mgrid[: hu.shape[0], : hu.shape[1]]
    result = hu.copy()
    for column in (columns.min() - gap - radius, columns.max() + gap + radius):
        distance = np.hypot((down - row) / rng.uniform(0.9, 1.15), right - column)
        arm = (distance < radius) & ~body
        result[arm] = -100.0
        result[arm & (distance < radius - rng.uniform(3, 8) / spacing_mm)] = 55.0
        for offset in (-0.35, 0.35) if two_bones else (0.0,):
            bone = np.hypot(down - row - offset * radius, right - column - 0.2 * offset * radius) * spacing_mm
            thick = rng.uniform(7, 9) if two_bones else rng.uniform(11, 14)
            result[arm & (bone < thick)] = rng.uniform(700, 1200)
            result[arm & (bone < thick - 4)] = 80.0
    return result
