"""What the values of a CT can be, for every format alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.calls import Cancelled
from CTQualityAssessmentLib.reading.errors import (
    NonFiniteValuesError,
    NotHounsfieldError,
    ReadingCancelledError,
    TooLargeError,
)
from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)

#: HU of air on the 12-bit scale. Scanners fill the area outside the reconstruction with -2000, -2048, -3024 or less;
#: whatever lies below the scale becomes air, so that the same patient gives the same voxels on every scanner.
AIR = -1024
_HIGHEST = 32767

_MAX_VOXELS = 2**31
#: Floating point values closer to whole numbers than this are whole numbers that went through arithmetic.
_WHOLE = 1e-3


def check_size(rows: int, columns: int, slices: int) -> None:
    """Refuse what no CT has before memory is asked for it.

    Raises:
        TooLargeError: more than 2^31 voxels (4 GiB as int16).
    """
    if rows * columns * slices > _MAX_VOXELS:
        raise TooLargeError(_("2 billion voxels"))


def store(values: NDArray[np.generic], out: NDArray[np.generic]) -> None:
    """Write one slice of finite HU into the volume, held within [-1024, 32767]; integers are rounded to."""
    if values.dtype.kind == "f" and out.dtype.kind == "i":
        values = np.rint(values)
    elif values.dtype.kind == "u" or values.itemsize < 2:
        values = values.astype(np.int64)  # the limits must fit the type
    np.clip(values, AIR, _HIGHEST, out=out, casting="unsafe")


def sample(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """A few thousand values of a slice, before they are clipped, for :func:`judge`."""
    step = max(1, min(values.shape) // 64)
    return values[step // 2 :: step, step // 2 :: step].astype(np.float32).ravel()


@dataclass(frozen=True)
class Judgement:
    """Whether values can be HU.

    Attributes:
        reason: why they cannot, as a clause; None where they can.
        has_air: whether there is air near -1000 HU, without which nobody can tell HU from other units for certain.
    """

    reason: str | None
    has_air: bool


def judge(values: NDArray[np.float32]) -> Judgement:
    """Judge HU by a sample of them, taken before clipping.

    CT of a patient has air near -1000 HU, few voxels above 3071 HU and none below air but padding, which is one or two
    values. A volume of air alone passes here; that nothing is in it is for the assessment to say.
    """
    has_air = bool(np.mean((values >= -1100) & (values <= -850)) > 1e-3)
    below = values[values < -1200]
    if below.size > 0.01 * values.size:
        counts = np.unique(below, return_counts=True)[1]
        if np.sort(counts)[-2:].sum() < 0.8 * below.size:
            return Judgement(_("many lie far below air"), has_air)
    inside = values[values >= -1200]
    if inside.size == 0:
        return Judgement(_("all lie far below air"), has_air)
    low, high = np.percentile(inside, (0.1, 99))
    if low > -50:
        return Judgement(_("none lies below water"), has_air)
    if high > 4000:
        return Judgement(_("many lie above 4000"), has_air)
    if high - low < 200 and high > -900:
        return Judgement(_("they span less than 200"), has_air)
    return Judgement(None, has_air)


def refuse_or_warn(values: NDArray[np.float32]) -> tuple[str, ...]:
    """Warnings of :func:`judge` as sentences.

    Raises:
        NotHounsfieldError: the values cannot be HU.
    """
    judgement = judge(values)
    if judgement.reason:
        raise NotHounsfieldError(judgement.reason)
    if not judgement.has_air:
        return ("There is no air near -1000 HU in the images: the values may be clipped, shifted or not HU.",)
    return ()


def settle(
    stored: NDArray[np.generic], slope: float, intercept: float, cancelled: Cancelled
) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """HU of a format that names neither unit nor modality, so that the values decide.

    What cannot be HU is refused, what may be gets a warning. NaN and infinite voxels, which resampling leaves outside
    of its source, become air with a warning, and are refused where they are most of the volume.

    Args:
        stored: ``[k, j, i]``, of any real type; written to where it is a writable int16 array in memory.
        slope: HU are ``stored * slope + intercept``.

    Returns:
        int16 where all HU are whole numbers, else float32, of the same shape; warnings.

    Raises:
        NotHounsfieldError, NonFiniteValuesError, ReadingCancelledError: as their names say.
    """
    scaled = (slope, intercept) != (1.0, 0.0)

    def hu_of(plane: NDArray[np.generic]) -> NDArray[np.generic]:
        return plane.astype(np.float64) * slope + intercept if scaled else plane

    always_whole = stored.dtype.kind in "iu" and float(slope).is_integer() and float(intercept).is_integer()
    whole = always_whole or all(_is_whole(hu_of(plane)) for plane in stored)
    in_place = stored.dtype == np.int16 and type(stored) is np.ndarray and stored.flags.writeable and whole
    hu = stored if in_place else np.empty(stored.shape, dtype=np.int16 if whole else np.float32)
    samples, replaced = [], 0
    for plane, out in zip(stored, hu, strict=True):
        if cancelled():
            raise ReadingCancelledError
        values = hu_of(plane)
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            replaced += values.size - int(np.count_nonzero(finite))
            values = np.where(finite, values, AIR)
        samples.append(sample(values))
        store(values, out)
    if replaced > 0.5 * stored.size:
        raise NonFiniteValuesError
    warnings = refuse_or_warn(np.concatenate(samples))
    if replaced:
        warnings = (f"{replaced} voxel(s) are not numbers and were taken for air.", *warnings)
    return hu, warnings


def _is_whole(values: NDArray[np.generic]) -> bool:
    finite = values[np.isfinite(values)]
    return bool(np.all(np.abs(finite - np.rint(finite)) < _WHOLE))
