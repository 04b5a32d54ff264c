"""Before and after in figures: noise, its texture, sharpness, and whether any tissue's HU moved."""

from __future__ import annotations

import numpy as np

from CTQualityAssessmentLib.assessment.measures.slice_grid import block_means, slice_grid
from CTQualityAssessmentLib.assessment.measures.tissues import tissue_masks
from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.denoising import BeforeAfter, SpectraBeforeAfter, TissueBias
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import Volume

_ = marks_of(__file__)

#: Figures that denoising can change; size and dose are the patient's.
_FIGURES = ("noise_hu", "snr", "cnr", "nps_peak_per_mm", "nps_mean_per_mm", "edge_10_90_mm", "streak_index")
_MOST_SLICES = 64


def before_and_after(before: PhysicalMeasures, after: PhysicalMeasures) -> dict[str, BeforeAfter]:
    """The physical measures of the two volumes, side by side."""
    return {
        name: BeforeAfter(
            getattr(before.volume, name), getattr(after.volume, name), _reason(name, before) or _reason(name, after)
        )
        for name in _FIGURES
    }


def spectra_before_and_after(before: PhysicalMeasures, after: PhysicalMeasures) -> SpectraBeforeAfter:
    """The noise power spectra of the two volumes, side by side."""
    return SpectraBeforeAfter(before.volume.noise_power, after.volume.noise_power)


def _reason(name: str, measures: PhysicalMeasures) -> str | None:
    code = measures.volume.missing.get(name)
    return None if code is None else measures.reasons[code]


def tissue_bias(
    original: Volume, denoised: Volume, *, progress: Progress = no_progress, cancelled: Cancelled = never
) -> dict[str, TissueBias]:
    """Mean change of each tissue in HU; what a tissue is, the original says, so that both are looked at in one place.

    Args:
        original, denoised: on the same grid.
        progress: called with (slices done, slices, message).
        cancelled: asked between slices; what was found by then is returned.
    """
    first, second = original.canonical_slices(), denoised.canonical_slices()
    spacing = np.linalg.norm(first.ijk_to_ras[:3, :2], axis=0)
    row_column_mm = (float(spacing[1]), float(spacing[0]))
    sums: dict[str, tuple[float, int]] = {}
    block_mm2 = 0.0
    chosen = range(0, original.slice_count, -(-original.slice_count // _MOST_SLICES))
    for n, k in enumerate(chosen):
        if cancelled():
            break
        progress(n, len(chosen), _("Comparing HU"))
        grid = slice_grid(first.hu[k], row_column_mm)
        if grid is None:
            continue
        block_mm2 = grid.block_area_mm2
        rows, columns = grid.hu.shape
        change = block_means(second.hu[k][:rows, :columns].astype(np.float32) - grid.hu, grid.block)
        for name, mask in tissue_masks(grid).items():
            total, count = sums.get(name, (0.0, 0))
            sums[name] = total + float(change[mask].sum()), count + int(mask.sum())
    return {name: TissueBias(total / count, count * block_mm2) for name, (total, count) in sums.items() if count}
