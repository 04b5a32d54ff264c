"""Streak index: the noise of the open air beside the patient, relative to the noise of soft tissue.

Air absorbs nothing, so what fluctuates there was carried there by back projection. Of the noise of the measurement a
fixed share arrives, about half, whatever the dose. Streaks of missing views, of metal or of too few photons run on
past the skin with their full strength. The ratio therefore hardly moves with dose and rises with streaks; at very low
dose the noise hides them, in the image as in the index.

The definition is ours. Both noises are modes of the local standard deviation (:mod:`.noise`), so that clothes, hoses
and the table do not count. It cannot be had where air was clipped: then half of its noise is gone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.measures.noise import most_frequent_sd, sd_histogram, window_variances
from CTQualityAssessmentLib.assessment.measures.slice_grid import SliceGrid, all_of_window, block_means, grown

#: Distance of the air from the skin, in mm: beyond the edge's overshoot, and not so far that streaks fade.
_NEAREST_MM, _FARTHEST_MM = 12.0, 57.0
_AIR_BELOW_HU = -850.0
#: Largest share of the air's pixels that may have the slice's lowest value.
_CLIPPED_SHARE = 0.2


def air_noise(grid: SliceGrid) -> tuple[float | None, str | None]:
    """Noise in HU of the open air beside the patient; or None and why: "no-open-air" or "clipped-air"."""
    step = grid.block * grid.pixel_mm
    near = _grown_by(grid.body, round(_NEAREST_MM / step))
    far = _grown_by(near, round((_FARTHEST_MM - _NEAREST_MM) / step))
    air = far & ~near & grid.field & (grid.means < _AIR_BELOW_HU)
    if not air.any():
        return None, "no-open-air"
    clipped = block_means((grid.hu <= grid.hu.min()).astype(np.float32), grid.block)
    if clipped[air].mean() > _CLIPPED_SHARE:
        return None, "clipped-air"
    level = most_frequent_sd(sd_histogram(window_variances(grid)[all_of_window(air, 2)]))
    return (level, None) if level is not None else (None, "no-open-air")


def _grown_by(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    for _ in range(steps):
        mask = grown(mask)
    return mask
