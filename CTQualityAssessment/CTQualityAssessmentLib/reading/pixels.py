"""Stored values of a stack to HU: decoding, rescale, padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.calls import Cancelled, Progress
from CTQualityAssessmentLib.reading.decoding import check_claims, check_codec, decode_file, decode_frames
from CTQualityAssessmentLib.reading.errors import (
    DamagedPixelDataError,
    MissingRescaleError,
    NotHounsfieldError,
    ReadingCancelledError,
)
from CTQualityAssessmentLib.reading.frames import Frame
from CTQualityAssessmentLib.reading.hounsfield import AIR, check_size, judge, refuse_or_warn, sample, store
from CTQualityAssessmentLib.reading.stacks import Stack

_Done = TypeVar("_Done")

#: Decoding waits for disks as much as it computes; more threads than this only cost memory.
_THREADS = 4
_BATCH = 16
#: No scanner writes more; what does would not fit the integers in which HU are computed.
_MOST_SLOPE, _MOST_INTERCEPT = 1000.0, 1e6
#: A padding value above this would be taken for tissue.
_TISSUE_FROM = -900
#: Rescale types (PS3.3 C.11.1.1.2) of maps that are made from CT but are not in HU.
_OTHER_UNITS = {"OD", "MGML", "Z_EFF", "ED", "EDW", "PCT"}
LOSSY_SYNTAXES = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
)


def read_hu(stack: Stack, progress: Progress, cancelled: Cancelled) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """Decode a stack into one array.

    HU are stored value times slope plus intercept of each slice, whatever the photometric interpretation says: by the
    standard MONOCHROME1 is about display only. Where slope and intercept are absent, stored values are taken for HU
    if they have air near -1000 and all else that HU have; otherwise the series is refused.

    Returns:
        ``[k, j, i]``: int16, or float32 where a slope or intercept is fractional; missing slots hold air. Warnings.

    Raises:
        UnsupportedCompressionError, DamagedPixelDataError, MissingRescaleError, NotHounsfieldError, TooLargeError,
        ReadingCancelledError: as their names say.
    """
    first = stack.frames[0]
    slices = stack.slots[-1] + 1
    check_size(first.rows, first.columns, slices)
    if any(set(frame.texts("RescaleType")) & _OTHER_UNITS for frame in stack.frames):
        raise NotHounsfieldError("the headers give another unit")
    for syntax in {frame.transfer_syntax for frame in stack.frames}:
        check_codec(syntax)

    rescales = [rescale_of(frame) for frame in stack.frames]
    if any(rescales) and not all(rescales):  # the slices that have it say that stored values are no HU
        raise MissingRescaleError
    whole = all(slope.is_integer() and intercept.is_integer() for slope, intercept in filter(None, rescales))
    check_claims(stack.frames)
    hu = np.empty((slices, first.rows, first.columns), dtype=np.int16 if whole else np.float32)
    for slot in set(range(slices)) - set(stack.slots):
        hu[slot] = AIR

    def to_hu(n: int, stored: NDArray[np.generic]) -> tuple[NDArray[np.float32], bool]:
        return _frame_to_hu(stack.frames[n], stored, rescales[n] or (1.0, 0.0), hu[stack.slots[n]])

    samples, doubtful = [], 0
    for piece, padding_ignored in each_frame(stack, to_hu, progress, cancelled):
        samples.append(piece)
        doubtful += padding_ignored

    values = np.concatenate(samples)
    warnings = []
    if not all(rescales):
        judgement = judge(values)
        if judgement.reason or not judgement.has_air:
            raise MissingRescaleError
        warnings.append(
            "The headers lack the rescale to HU; the stored values were taken for HU, as they look like it."
        )
    warnings += refuse_or_warn(values)
    if doubtful:
        warnings.append(f"In {doubtful} slice(s) the declared padding value is one that tissue has; it was kept there.")
    warnings += was_compressed_with_loss(stack)
    if any("HU_MOD" in frame.texts("RescaleType") for frame in stack.frames):
        warnings.append("The headers call the values modified HU.")
    return hu, tuple(warnings)


def was_compressed_with_loss(stack: Stack) -> tuple[str, ...]:
    """A warning where a frame was."""
    lossy = (
        frame.text("LossyImageCompression") == "01" or frame.transfer_syntax in LOSSY_SYNTAXES for frame in stack.frames
    )
    return ("The images were compressed with loss, which changes noise and sharpness.",) if any(lossy) else ()


def rescale_of(frame: Frame) -> tuple[float, float] | None:
    """Slope and intercept of a frame, None where the header has not both."""
    slope, intercept = frame.number("RescaleSlope"), frame.number("RescaleIntercept")
    if abs(slope or 0) > _MOST_SLOPE or abs(intercept or 0) > _MOST_INTERCEPT:
        raise NotHounsfieldError("the headers give an impossible rescale")
    return None if not slope or intercept is None else (slope, intercept)


def each_frame(
    stack: Stack, work: Callable[[int, NDArray[np.generic]], _Done], progress: Progress, cancelled: Cancelled
) -> Iterator[_Done]:
    """Results of ``work(n, stored values of frame n)``; files of one slice are decoded in threads."""
    frames = stack.frames
    files: dict[Path, list[int]] = {}
    for n, frame in enumerate(frames):
        files.setdefault(frame.path, []).append(n)
    singles = [n for n, frame in enumerate(frames) if frame.index is None]
    multiples = [numbers for numbers in files.values() if frames[numbers[0]].index is not None]
    done = 0

    def report() -> None:
        if cancelled():
            raise ReadingCancelledError
        progress(done, len(frames), "Reading slices")

    with ThreadPoolExecutor(_THREADS) as pool:
        for start in range(0, len(singles), _BATCH):
            report()
            batch = singles[start : start + _BATCH]
            yield from pool.map(lambda n: work(n, decode_file(frames[n])), batch)
            done += len(batch)
    for numbers in multiples:
        for n, stored in zip(numbers, decode_frames([frames[n] for n in numbers]), strict=True):
            if done % _BATCH == 0:
                report()
            yield work(n, stored)
            done += 1
    progress(done, len(frames), "Reading slices")


def _frame_to_hu(
    frame: Frame, stored: NDArray[np.generic], rescale: tuple[float, float], out: NDArray[np.generic]
) -> tuple[NDArray[np.float32], bool]:
    """Write a frame's HU into ``out``; returns a sample before clipping and whether padding was not believed."""
    if stored.shape != out.shape:
        raise DamagedPixelDataError
    slope, intercept = rescale
    if out.dtype == np.int16:
        hu = stored.astype(np.int64 if stored.itemsize > 2 else np.int32)
        hu *= int(slope)
        hu += int(intercept)
    else:
        hu = stored.astype(np.float32)
        hu *= np.float32(slope)
        hu += np.float32(intercept)

    padding = padding_of(frame, stored)
    ignored = False
    if padding is not None and padding.any():
        # Some writers declare a value that tissue has, such as 0 in images that are HU already. True padding lies
        # outside a circle and so in a corner.
        if hu[padding].max() > _TISSUE_FROM:
            true_padding = _joined_to_corners(padding)
            ignored = bool((padding & ~true_padding).any())
            padding = true_padding
        hu[padding] = AIR
    store(hu, out)
    return sample(hu), ignored


def _joined_to_corners(padding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of ``padding`` that is one piece with a corner of the image; the rest is tissue of the same value."""
    from scipy import ndimage

    pieces, _ = ndimage.label(padding)
    corners = pieces[:: pieces.shape[0] - 1 or 1, :: pieces.shape[1] - 1 or 1]
    return np.isin(pieces, corners[corners > 0])


def padding_of(frame: Frame, stored: NDArray[np.generic]) -> NDArray[np.bool_] | None:
    """Where the declared padding value or range is; None where nothing is declared."""
    value = frame.number("PixelPaddingValue")
    if value is None:
        return None
    limit = frame.number("PixelPaddingRangeLimit")
    bits = 8 * stored.itemsize
    ends = [int(end) for end in (value, value if limit is None else limit)]
    if stored.dtype.kind == "i":  # the element's type is ambiguous: -2000 is often written as 63536
        ends = [end - (1 << bits) if end >= 1 << (bits - 1) else end for end in ends]
    else:
        ends = [end % (1 << bits) for end in ends]
    return (stored >= min(ends)) & (stored <= max(ends))
