"""Slices whose noise, contrast, edge, size and streaks are known because they were put there."""

from __future__ import annotations

import numpy as np
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from numpy.typing import NDArray
from scipy import ndimage

SIZE, SPACING_MM = 224, 1.4
#: Half axes of the patient, an ellipse of soft tissue in a ring of fat.
HALF_AXES_MM, FAT_MM = (95.0, 125.0), 25.0
MUSCLE_HU, FAT_HU, AIR_HU = 50.0, -100.0, -1000.0
#: Gaussian standard deviation of the patient's unsharpness.
BLUR_MM = 1.0


def patient_slice(blur_mm: float = BLUR_MM, half_axes_mm: tuple[float, float] = HALF_AXES_MM) -> NDArray[np.float32]:
    """A noise-free slice of ``SIZE`` pixels: air, fat, soft tissue, each edge blurred by a Gaussian."""
    fine = 3
    axis = (np.arange(SIZE * fine) - (SIZE * fine - 1) / 2) * SPACING_MM / fine
    y, x = axis[:, None], axis[None, :]
    a, b = half_axes_mm
    whole = (y / a) ** 2 + (x / b) ** 2 < 1
    core = (y / (a - FAT_MM)) ** 2 + (x / (b - FAT_MM)) ** 2 < 1
    hu = np.where(core, MUSCLE_HU, np.where(whole, FAT_HU, AIR_HU)).astype(np.float32)
    # Point samples of the blurred scene, so that the blur is the Gaussian alone.
    return ndimage.gaussian_filter(hu, blur_mm * fine / SPACING_MM)[fine // 2 :: fine, fine // 2 :: fine]


def noisy(hu: NDArray[np.float32], sd: float, seed: int, air_share: float = 0.5) -> NDArray[np.float32]:
    """White noise of ``sd`` HU in the patient and ``air_share`` of it in the air."""
    noise = np.random.default_rng(seed).normal(0.0, 1.0, hu.shape)
    return (hu + noise * np.where(hu > -500, sd, air_share * sd)).astype(np.float32)


def as_volume(slices: list[NDArray[np.float32]], **facts: object) -> Volume:
    """Axial slices of 5 mm as a volume."""
    matrix = np.diag([-SPACING_MM, -SPACING_MM, 5.0, 1.0])
    return Volume(np.stack(slices), matrix, 2, AcquisitionFacts(modality="CT", **facts))  # type: ignore[arg-type]
