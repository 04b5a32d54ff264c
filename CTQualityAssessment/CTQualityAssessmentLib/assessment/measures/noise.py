"""Global noise level: the local standard deviation that soft tissue has most often.

After Christianson et al., AJR 205:W93-W99, 2015: a map of the local standard deviation over windows of about 6 mm, its
histogram over soft tissue, the mode. Borders and vessels make the tail of that histogram, noise its peak.

Soft tissue is told by the means of blocks of pixels and not by pixels: a threshold on pixels cuts off the tails of the
very noise that is to be measured. The blocks around a window must be soft tissue too, so that no border of fat, gas or
bone lies in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.measures.slice_grid import SliceGrid, all_of_window

#: A window's blocks and their neighbours lie in this range of HU: organs with and without contrast medium, and room
#: for the noise of a block's mean.
SOFT_TISSUE_HU = (-30.0, 180.0)
#: Fewer windows give no histogram with a mode.
FEWEST_WINDOWS = 150
_STEP_HU = 0.05
_EDGES_HU = np.arange(0.0, 400.0, _STEP_HU)
#: Width of the Gaussian that smooths the histogram, as a share of the median, for many windows.
_SMOOTHING = 0.05


def soft_tissue_blocks(grid: SliceGrid) -> NDArray[np.bool_]:
    """Blocks of soft tissue inside the patient."""
    return grid.body & (grid.means > SOFT_TISSUE_HU[0]) & (grid.means < SOFT_TISSUE_HU[1])


def soft_tissue_windows(grid: SliceGrid) -> NDArray[np.bool_]:
    """Windows of 2 x 2 blocks that soft tissue surrounds on all sides, one smaller than the grid along both axes."""
    soft = np.pad(soft_tissue_blocks(grid), 1)
    # A window at (row, column) is surrounded when the 4 x 4 blocks around it are soft tissue.
    return all_of_window(soft, 4)


def sd_histogram(variances: NDArray[np.floating]) -> NDArray[np.int64]:
    """Histogram of standard deviations, from variances in HU squared. Histograms may be added."""
    return np.histogram(np.sqrt(variances[variances > 0]), _EDGES_HU)[0]


def most_frequent_sd(histogram: NDArray[np.int64]) -> float | None:
    """Mode in HU of a histogram of :func:`sd_histogram`; None where it holds too few windows."""
    from scipy.ndimage import gaussian_filter1d

    count = int(histogram.sum())
    if count < FEWEST_WINDOWS:
        return None
    median = _EDGES_HU[int(np.searchsorted(histogram.cumsum(), count / 2))]
    # The fifth root is the rate at which the best width of a density estimate narrows (Silverman 1986).
    width = _SMOOTHING * median * max(1.0, (5000.0 / count) ** 0.2)
    smooth = gaussian_filter1d(histogram.astype(np.float64), max(width / _STEP_HU, 1.0), mode="reflect")
    return float(_EDGES_HU[int(np.argmax(smooth))] + _STEP_HU / 2)


def noise_histogram(grid: SliceGrid) -> NDArray[np.int64]:
    """Histogram of the local standard deviation in soft tissue, for :func:`most_frequent_sd`."""
    return sd_histogram(window_variances(grid)[soft_tissue_windows(grid)])


def window_variances(grid: SliceGrid) -> NDArray[np.float64]:
    """Variance of the pixels in every window of 2 x 2 blocks, one smaller than the grid along both axes."""
    mean = _four(grid.means) / 4
    return np.maximum(_four(grid.squares) / 4 - mean**2, 0.0)


def _four(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[:-1, :-1] + values[1:, :-1] + values[:-1, 1:] + values[1:, 1:]
