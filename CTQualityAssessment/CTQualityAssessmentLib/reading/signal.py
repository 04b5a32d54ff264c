"""Values of MR, which have no unit: decoded, scaled as the header says, and left alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.calls import Cancelled, Progress
from CTQualityAssessmentLib.reading.decoding import check_claims, check_codec
from CTQualityAssessmentLib.reading.errors import DamagedPixelDataError, NonFiniteValuesError, ReadingCancelledError
from CTQualityAssessmentLib.reading.hounsfield import check_size
from CTQualityAssessmentLib.reading.pixels import each_frame, padding_of, rescale_of, was_compressed_with_loss
from CTQualityAssessmentLib.reading.stacks import Stack


def read_signal(stack: Stack, progress: Progress, cancelled: Cancelled) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Decode a stack of MR slices into one array.

    Rescale slope and intercept are used where they are there, slice by slice; padding and missing slots become 0.

    Returns:
        ``[k, j, i]`` float32; warnings.

    Raises:
        UnsupportedCompressionError, DamagedPixelDataError, NonFiniteValuesError, TooLargeError,
        ReadingCancelledError: as their names say.
    """
    first = stack.frames[0]
    slices = stack.slots[-1] + 1
    check_size(first.rows, first.columns, slices)
    for syntax in {frame.transfer_syntax for frame in stack.frames}:
        check_codec(syntax)
    check_claims(stack.frames)
    signal = np.zeros((slices, first.rows, first.columns), dtype=np.float32)

    def take(n: int, stored: NDArray[np.generic]) -> None:
        out = signal[stack.slots[n]]
        if stored.shape != out.shape:
            raise DamagedPixelDataError
        slope, intercept = rescale_of(stack.frames[n]) or (1.0, 0.0)
        out[:] = stored
        out *= np.float32(slope)
        out += np.float32(intercept)
        padding = padding_of(stack.frames[n], stored)
        if padding is not None:
            out[padding] = 0.0

    for _ in each_frame(stack, take, progress, cancelled):
        pass
    if not np.isfinite(signal).all():
        raise NonFiniteValuesError
    return signal, was_compressed_with_loss(stack)


def settle_signal(
    stored: NDArray[np.generic], slope: float, intercept: float, cancelled: Cancelled
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The signal of an image file that is said to be MR; NaN and infinite voxels become 0 with a warning.

    Args:
        stored: ``[k, j, i]``, of any real type; not written to.
        slope: the signal is ``stored * slope + intercept``.

    Returns:
        float32 of the same shape; warnings.

    Raises:
        NonFiniteValuesError, ReadingCancelledError: as their names say.
    """
    signal = np.empty(stored.shape, dtype=np.float32)
    replaced = 0
    for plane, out in zip(stored, signal, strict=True):
        if cancelled():
            raise ReadingCancelledError
        out[:] = plane.astype(np.float64) * slope + intercept
        wrong = ~np.isfinite(out)
        replaced += int(np.count_nonzero(wrong))
        out[wrong] = 0.0
    if replaced > 0.5 * stored.size:
        raise NonFiniteValuesError
    return signal, (f"{replaced} voxel(s) are not numbers and were taken for 0.",) if replaced else ()
