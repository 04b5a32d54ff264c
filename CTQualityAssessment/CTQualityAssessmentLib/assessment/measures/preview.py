"""A few slices that stand for the whole volume, for figures that are there before all slices are measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from CTQualityAssessmentLib.volume import Volume

#: Fewer than four times as many slices are measured as fast as they are spread.
_SLICES = 6


def spread_slices(volume: Volume, count: int = _SLICES) -> Volume | None:
    """A volume of about ``count`` slices at even distances (a view, no copy); None where that saves nothing."""
    step = volume.slice_count // count
    if step < 4:
        return None
    axis = volume.acquisition_axis
    part: list[slice] = [slice(None)] * 3
    part[2 - axis] = slice(step // 2, None, step)
    matrix = np.array(volume.ijk_to_ras)
    matrix[:3, 3] += matrix[:3, axis] * (step // 2)
    matrix[:3, axis] *= step
    return replace(volume, hu=volume.hu[tuple(part)], ijk_to_ras=matrix)
