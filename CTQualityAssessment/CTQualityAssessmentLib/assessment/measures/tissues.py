"""Tissues told by their CT number, and the mean and standard deviation of each.

Thresholds cannot tell muscle from an organ of the same density: "muscle" is soft tissue of that range. Blocks next to
another tissue are left out, so that no partial volume enters; bone, which is thin, keeps its borders.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.measures.slice_grid import SliceGrid, eroded, grown
from CTQualityAssessmentLib.measures import TissueMeasure

#: Range of a block's mean in HU.
TISSUE_HU: dict[str, tuple[float, float]] = {
    "air": (-1050.0, -900.0),
    "lung": (-950.0, -500.0),
    "fat": (-150.0, -50.0),
    "muscle": (10.0, 100.0),
    "bone": (300.0, 3100.0),
}
#: Less area than this is not a tissue in view.
_SMALLEST_MM2 = 150.0
#: Air is looked at this far from the skin, beyond blankets and the edge's overshoot.
_AIR_DISTANCE_MM = 15.0


def tissue_masks(grid: SliceGrid) -> dict[str, NDArray[np.bool_]]:
    """Blocks of each tissue, by name."""
    masks = {}
    for name, (low, high) in TISSUE_HU.items():
        inside = (grid.means > low) & (grid.means < high)
        if name == "air":
            near = grid.body
            for _ in range(round(_AIR_DISTANCE_MM / (grid.block * grid.pixel_mm))):
                near = grown(near)
            # A block without any variance is padding or was clipped: no measurement of air.
            masks[name] = eroded(inside & ~near & grid.field & (grid.variances > 0))
        else:
            inside &= grid.body
            masks[name] = inside if name == "bone" else eroded(inside)
    return masks


def tissue_measures(grid: SliceGrid, masks: dict[str, NDArray[np.bool_]]) -> dict[str, TissueMeasure]:
    """Mean, standard deviation over all pixels and area of each tissue in view; tissues not in view are absent."""
    found = {}
    for name, mask in masks.items():
        area = float(mask.sum()) * grid.block_area_mm2
        if area < _SMALLEST_MM2:
            continue
        mean = float(grid.means[mask].mean())
        variance = float(grid.squares[mask].mean()) - mean**2
        found[name] = TissueMeasure(mean_hu=mean, sd_hu=float(np.sqrt(max(variance, 0.0))), area_mm2=area)
    return found
