"""Where the voxels of a stack are: headers to an IJK-to-RAS matrix."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.reading.stacks import Stack

#: DICOM and ITK count x to the patient's left and y to posterior, RAS the other way round.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Degrees between the stacking direction and the slice normal that rounding of positions does not explain.
_TILT_DEG = 0.2
_REFORMATS = {"REFORMATTED", "MPR", "MIP", "MINIP", "AVERAGE", "CPR", "VRT"}


def stack_affine(stack: Stack) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Matrix of a stack of slices, and what a user should know about it.

    The columns are: the direction in which columns are counted times their distance, the same for rows, and the true
    step from slice to slice, from first to last position. With a tilted gantry that step is not normal to the slices
    and the matrix is sheared, as the patient was scanned. A single slice steps along its normal by its thickness.

    Returns:
        ``(i, j, k, 1)`` to RAS millimetres, 4 x 4, and warnings.
    """
    first = stack.frames[0]
    rows_apart, columns_apart = first.pixel_spacing
    normal = np.cross(*first.orientation)
    positions = np.array([frame.position for frame in stack.frames])
    slots = np.array(stack.slots)
    warnings = []
    if len(slots) > 1:
        step = (positions[-1] - positions[0]) / slots[-1]
        stray = np.linalg.norm(positions - positions[0] - slots[:, None] * step, axis=1).max()
        if stray > max(0.1, 0.02 * np.linalg.norm(step)):
            warnings.append(f"Slices lie up to {stray:.2g} mm off the even grid on which they are shown.")
    else:
        thickness = first.positive("SliceThickness")
        thickness = thickness if thickness and 1e-2 < thickness < 1e3 else None
        step = normal * (thickness or 1.0)
        assumed = "its thickness" if thickness else "1 mm"
        warnings.append(f"There is a single slice; {assumed} is taken as the slice distance.")

    tilt = math.degrees(math.acos(min(1.0, step @ normal / np.linalg.norm(step) / np.linalg.norm(normal))))
    header_tilt = abs(first.number("GantryDetectorTilt") or 0.0)
    if tilt > _TILT_DEG:
        warnings.append(f"The gantry was tilted by {tilt:.1f} degrees; the grid is sheared accordingly.")
    elif header_tilt > 1.0 and len(slots) > 1 and np.abs(first.orientation).max(axis=1).min() > 0.9999:
        warnings.append(
            f"The headers report a gantry tilt of {header_tilt:.1f} degrees that the positions do not show."
        )
    if any(_REFORMATS & frame.image_type for frame in stack.frames):
        warnings.append("These are reformatted slices: interpolation has changed their noise and sharpness.")

    lps = np.eye(4)
    lps[:3, 0] = first.orientation[0] * columns_apart
    lps[:3, 1] = first.orientation[1] * rows_apart
    lps[:3, 2] = step
    lps[:3, 3] = positions[0]
    return LPS_TO_RAS @ lps, tuple(warnings)
