"""What of a slice a network sees: all of it, or the patient alone in the middle of the picture.

Table, clothes and the patient's place in the field of view say nothing about quality, but a network that learned from
few scanners takes them for signs of it. No pixel of the patient is resampled: noise and edges stay as they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_AIR_HU = -1000.0


def patient_alone(hu: NDArray[np.generic], body: NDArray[np.bool_]) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """The patient with air around, moved by whole pixels so that the body's bounding box lies in the middle.

    Args:
        hu: ``(rows, columns)``.
        body: of the same shape, see :func:`~CTQualityAssessmentLib.assessment.body.body_mask`; with no pixel set the
            slice stays as it is.

    Returns:
        float32 HU of the same shape, and by how many rows and columns everything moved (down and right).
    """
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    if not rows.size:
        return np.asarray(hu, dtype=np.float32), (0, 0)
    alone = np.where(body, hu, _AIR_HU).astype(np.float32)
    down, right = (
        (size - 1 - int(found[0]) - int(found[-1])) // 2 for size, found in zip(hu.shape, (rows, columns), strict=True)
    )
    # The bounding box fits at either place, so what is rolled over the edge is air.
    return np.roll(alone, (down, right), axis=(0, 1)), (down, right)


def moved_back(grid: NDArray[np.floating], down: float, right: float) -> NDArray[np.float32]:
    """A map of the picture ``(rows, columns)`` brought back onto the slice, by parts of its cells.

    Args:
        grid: relative to an even spread, 1 being neutral.
        down, right: by how many of the map's cells the picture had been moved.

    Returns:
        float32 of the same shape, linearly interpolated; 1 where the picture showed nothing of the slice.
    """
    from scipy.ndimage import shift

    return shift(np.asarray(grid, dtype=np.float32), (-down, -right), order=1, mode="constant", cval=1.0)
