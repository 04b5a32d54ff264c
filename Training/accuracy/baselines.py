"""Baselines without a network: one noise figure, and the statistics of natural images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from CTQualityAssessmentLib.networks.sobel_ordinal import PATIENT_VALUE
from numpy.typing import NDArray
from scipy import ndimage, special

#: Shapes of the generalised Gaussian that are tried, and the ratio by which each is known (Mittal et al., 2012).
_SHAPES = np.arange(0.2, 10.0, 0.005)
_RATIOS = special.gamma(2 / _SHAPES) ** 2 / (special.gamma(1 / _SHAPES) * special.gamma(3 / _SHAPES))
_SCALES = (1, 2)
#: Steps to the neighbours whose products are looked at: right, down, and both diagonals.
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def mscn_features(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """The 36 statistics of BRISQUE and NIQE, inside the patient.

    Mean-subtracted, contrast-normalised values (Gaussian of 7/6 px), and products of neighbours, each described by a
    generalised Gaussian, at two scales (Mittal, Moorthy, Bovik: IEEE TIP 21:4695, 2012; Mittal, Soundararajan, Bovik:
    IEEE SPL 20:209, 2013). Those look at all of an image, or its sharp parts; here it is the patient.

    Args:
        image: ``(rows, columns)`` in [0, 1].
    """
    found: list[float] = []
    for scale in _SCALES:
        grey = 255.0 * (ndimage.zoom(image, 1 / scale, order=1) if scale > 1 else image).astype(np.float64)
        mean = ndimage.gaussian_filter(grey, 7 / 6)
        spread = np.sqrt(np.abs(ndimage.gaussian_filter(grey**2, 7 / 6) - mean**2))
        values = (grey - mean) / (spread + 1.0)
        inside = ndimage.gaussian_filter(grey, 3.0) > 255.0 * PATIENT_VALUE
        inside = inside if inside.sum() > 100 else np.ones_like(inside)
        shape, left, right = _asymmetric(values[inside])
        found += [shape, (left**2 + right**2) / 2]
        for down, across in _NEIGHBOURS:
            products = values * np.roll(values, (-down, -across), axis=(0, 1))
            shape, left, right = _asymmetric(products[inside])
            mean_of = (
                (right - left) * special.gamma(2 / shape) / np.sqrt(special.gamma(1 / shape) * special.gamma(3 / shape))
            )
            found += [shape, mean_of, left**2, right**2]
    return np.array(found)


def _asymmetric(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Shape and the two spreads of an asymmetric generalised Gaussian, by its moments."""
    negative, positive = values[values < 0], values[values >= 0]
    left = float(np.sqrt(np.mean(negative**2))) if len(negative) else 1e-6
    right = float(np.sqrt(np.mean(positive**2))) if len(positive) else 1e-6
    left, right = max(left, 1e-6), max(right, 1e-6)
    gamma = left / right
    ratio = np.mean(np.abs(values)) ** 2 / max(float(np.mean(values**2)), 1e-12)
    ratio *= (gamma**3 + 1) * (gamma + 1) / (gamma**2 + 1) ** 2
    return float(_SHAPES[np.argmin((_RATIOS - ratio) ** 2)]), left, right


@dataclass(frozen=True)
class Ridge:
    """Linear regression with a penalty on standardised features, clipped to 0 ... 4."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    weights: NDArray[np.float64]
    constant: float

    @classmethod
    def fit(cls, features: NDArray[np.float64], scores: NDArray[np.floating], penalty: float = 0.01) -> Ridge:
        """From ``(N, F)`` and ``(N,)``; ``penalty`` a training image."""
        mean, sd = features.mean(axis=0), features.std(axis=0) + 1e-9
        x, y = (features - mean) / sd, scores - scores.mean()
        weights = np.linalg.solve(x.T @ x + penalty * len(x) * np.eye(x.shape[1]), x.T @ y)
        return cls(mean, sd, weights, float(scores.mean()))

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores for features ``(N, F)``."""
        return np.clip((features - self.mean) / self.sd @ self.weights + self.constant, 0.0, 4.0)
