"""How much of the denoising is kept, tissue by tissue, without running the network again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.denoising import Strength
from CTQualityAssessmentLib.volume import Volume

#: HU between which one tissue's strength passes into the next one's.
_KNOTS_HU = (-500.0, -250.0, 200.0, 350.0)
_SLAB = 16


def blend(original: Volume, denoised: Volume, strength: Strength) -> Volume:
    """The denoised volume with the strength given, int16 HU; both inputs stay as they are.

    Args:
        original, denoised: on the same grid; ``denoised`` int16.
        strength: for each tissue.

    Raises:
        ValueError: the volumes have different shapes, or ``denoised`` is not int16.
    """
    if original.hu.shape != denoised.hu.shape or denoised.hu.dtype != np.int16:
        raise ValueError("original and denoised lie on the same grid, and denoised is int16")
    shares = share_of(np.arange(-32768, 32768), strength)
    result = np.empty(denoised.hu.shape, dtype=np.int16)
    for start in range(0, len(result), _SLAB):
        first = original.hu[start : start + _SLAB]
        second = denoised.hu[start : start + _SLAB]
        share = shares[second.astype(np.int32) + 32768]
        mixed = first + share * (second.astype(np.float32) - first)
        result[start : start + _SLAB] = np.clip(np.rint(mixed), -32768, 32767)
    return Volume(
        result,
        denoised.ijk_to_ras,
        denoised.acquisition_axis,
        facts=denoised.facts,
        warnings=denoised.warnings,
        units=denoised.units,
        exposures=denoised.exposures,
    )


def share_of(denoised_hu: NDArray[np.generic], strength: Strength) -> NDArray[np.float32]:
    """Share of the denoising that each voxel keeps, by its denoised HU."""
    shares = (strength.lung, strength.soft_tissue, strength.soft_tissue, strength.bone)
    return np.interp(denoised_hu, _KNOTS_HU, shares).astype(np.float32)
