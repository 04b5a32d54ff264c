"""The baseline that every quality network has to beat: one noise figure per image, mapped to a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from CTQualityAssessmentLib.windows import WINDOWS
from numpy.typing import NDArray

from Training.data.challenge import LabelledImage
from Training.data.sources import noise_sd


def noise_levels(images: list[LabelledImage]) -> NDArray[np.float64]:
    """Noise of each image in HU, ``(N,)``; see :func:`noise_sd`."""
    return np.array([noise_sd(WINDOWS["ldctiqa"].invert(image.read())) for image in images])


@dataclass(frozen=True)
class NoiseRegression:
    """Cubic polynomial in the logarithm of the noise level, clipped to 0 ... 4."""

    coefficients: tuple[float, ...]

    @classmethod
    def fit(cls, noise_hu: NDArray[np.floating], scores: NDArray[np.floating]) -> NoiseRegression:
        """Least squares on training images."""
        return cls(tuple(float(c) for c in np.polyfit(np.log(noise_hu), scores, 3)))

    def __call__(self, noise_hu: NDArray[np.floating]) -> NDArray[np.float64]:
        """Scores for noise levels in HU."""
        return np.clip(np.polyval(self.coefficients, np.log(noise_hu)), 0.0, 4.0)
