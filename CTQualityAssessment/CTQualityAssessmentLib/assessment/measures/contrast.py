"""Signal-to-noise and contrast-to-noise ratio from the tissues' means and the global noise level.

The noise is the global noise level and not the standard deviation of the tissue, which holds the tissue's own texture.
"""

from __future__ import annotations

from collections.abc import Mapping

from CTQualityAssessmentLib.measures import TissueMeasure


def signal_to_noise(tissues: Mapping[str, TissueMeasure], noise_hu: float | None) -> float | None:
    """Mean HU of muscle over the noise; None where either is unknown. Water has 0 by the definition of the HU."""
    if noise_hu is None or "muscle" not in tissues:
        return None
    return tissues["muscle"].mean_hu / noise_hu


def contrast_to_noise(tissues: Mapping[str, TissueMeasure], noise_hu: float | None) -> float | None:
    """Difference of the means of muscle and fat over the noise; None where one of the three is unknown."""
    if noise_hu is None or not {"muscle", "fat"} <= tissues.keys():
        return None
    return (tissues["muscle"].mean_hu - tissues["fat"].mean_hu) / noise_hu
