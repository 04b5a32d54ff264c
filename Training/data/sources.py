"""Noise-free slices to degrade: cleaned public CT and our phantom.

A real slice brings the noise of its own scan. Left in, it would sit in the reference of every fidelity measure, so
that a noisy source scored as well as a quiet one. So sources are averaged along the patient to about 5 mm, smoothed
where their kernel is sharp, and denoised by non-local means; every dose, 100 % included, is then simulated.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: File name of a source volume -> patient. The two kernels of one scan are one patient.
PATIENTS: dict[str, str] = {
    "ge_abdomen_contrast_crlm1006": "crlm1006",
    "ge_abdomen_pelvis_acrin001": "acrin001",
    "ge_abdomen_sharp_cptac00189": "cptac00189",
    "ge_chest_rider0117": "rider0117",
    "ge_chest_sharp_cmbcrc01068": "cmbcrc01068",
    "philips_chest_lidc0314": "lidc0314",
    "philips_chest_soft_lungdxA0001": "lungdxA0001",
    "siemens_chest_lungfcp01": "lungfcp01",
    "siemens_thorax_abdomen_acrin013": "acrin013",
}
_TARGET_THICKNESS_MM = 5.0
_SHARP_SD_HU = 30.0


@dataclass(frozen=True)
class SourceSlice:
    """One noise-free slice: ``hu`` float32 ``(rows, columns)``, square pixels of ``spacing_mm``, patient and index."""

    patient: str
    index: int
    hu: NDArray[np.float32]
    spacing_mm: float


def data_folder() -> Path:
    """Folder of the development data: ``$CTQA_DATA``, else ``../shared/data`` beside the repository."""
    return Path(os.environ.get("CTQA_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real_sources(name: str, count: int) -> Iterator[SourceSlice]:
    """``count`` evenly spaced cleaned slices of one volume of ``ct/volumes``.

    Args:
        name: a key of :data:`PATIENTS`.
        count: how many slices.
    """
    from CTQualityAssessmentLib.assessment.body import body_mask

    hu, (spacing, thickness) = load_slices(data_folder() / "ct" / "volumes" / f"{name}.nii.gz")
    reach = max(0, round((_TARGET_THICKNESS_MM / thickness - 1) / 2))
    chosen = np.unique(np.linspace(reach + 1, len(hu) - reach - 2, count).round().astype(int))
    for k in chosen:
        clean = clean_slice(hu[k - reach : k + reach + 1].astype(np.float32).mean(axis=0))
        clean[hu[k] <= -1020] = -1024
        if body_mask(clean, (spacing, spacing)).mean() > 0.1:
            yield SourceSlice(PATIENTS[name], int(k), clean, spacing)


def phantom_sources(seed: int, count: int) -> Iterator[SourceSlice]:
    """``count`` slices of the abdomen phantom with one seed, which stands for one patient."""
    from Training.phantom import abdomen_phantom

    phantom = abdomen_phantom(seed, slices=count)
    for k, hu in enumerate(phantom.hu):
        yield SourceSlice(f"phantom{seed:03d}", k, hu.astype(np.float32), phantom.spacing_mm[0])


def noise_sd(hu: NDArray[np.floating]) -> float:
    """Noise of a slice in HU: median of the local SD (7 x 7, detrended by the local mean) in soft tissue."""
    smooth = ndimage.gaussian_filter(hu, 3)
    soft = ndimage.binary_erosion((smooth > 0) & (smooth < 150), iterations=3)
    mean = ndimage.uniform_filter(hu.astype(np.float64), 7)
    sd = np.sqrt(np.maximum(ndimage.uniform_filter(hu.astype(np.float64) ** 2, 7) - mean**2, 0))
    return float(np.median(sd[soft])) if soft.sum() > 200 else 10.0


def load_slices(path: Path) -> tuple[NDArray[np.int16], tuple[float, float]]:
    """HU of a CT ``(n, rows, columns)`` in the radiological view; millimetres between pixels and between slices."""
    from CTQualityAssessmentLib.reading import read_volume

    volume = read_volume(path)
    slices = volume.canonical_slices()
    spacing = np.linalg.norm(slices.ijk_to_ras[:3, :3], axis=0)
    return slices.hu, (float(spacing[0]), float(spacing[2]))


def clean_slice(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """A slice without most of its noise: smoothed where its kernel is sharp, then non-local means."""
    from skimage.restoration import denoise_nl_means

    if noise_sd(hu) > _SHARP_SD_HU:
        hu = ndimage.gaussian_filter(hu, 1.0)
    sd = noise_sd(hu)
    # Bone and air would set the patch distances; the range that carries noise visibly is enough.
    clipped = np.clip(hu, -1050, 400)
    clean = denoise_nl_means(clipped, patch_size=5, patch_distance=7, h=0.9 * sd, sigma=sd, fast_mode=True)
    return (clean + (hu - clipped)).astype(np.float32)
