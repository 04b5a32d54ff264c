"""The grey scale in which a volume is shown: soft tissue of CT, the span of the signal of MR."""

from __future__ import annotations

import numpy as np

from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.windows import WINDOWS, Window


def display_window(volume: Volume) -> Window:
    """The window that pictures and scenes begin with; of MR from its 0.5 to its 99.5 percentile, in its own values."""
    if not volume.is_mr:
        return WINDOWS["soft-tissue"]
    low, high = (float(p) for p in np.percentile(volume.hu[::2, ::2, ::2], (0.5, 99.5)))
    return Window("signal", max(high - low, 1e-3), (low + high) / 2)


def window_words(volume: Volume) -> str:
    """The window in words, for a caption."""
    if volume.is_mr:
        return "From the 0.5 to the 99.5 percentile of the signal"
    window = display_window(volume)
    return f"Soft-tissue window, width {window.width:g} HU, level {window.level:g} HU"
