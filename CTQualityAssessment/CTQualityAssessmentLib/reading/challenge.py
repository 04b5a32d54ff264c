"""TIFF images of the LDCTIQAG2023 challenge: floating point, 0 to 1, no physical size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CTQualityAssessmentLib.calls import Cancelled, Progress
from CTQualityAssessmentLib.reading.errors import (
    DamagedPixelDataError,
    NotAnImageError,
    NotChallengeScaleError,
    NotReadableError,
    ReadingCancelledError,
)
from CTQualityAssessmentLib.reading.geometry import LPS_TO_RAS
from CTQualityAssessmentLib.reading.hounsfield import check_size
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.windows import WINDOWS

#: Rounding of float32 arithmetic beyond the ends of the scale.
_SLACK = 1e-4


def read_challenge(files: list[Path], progress: Progress, cancelled: Cancelled) -> Volume:
    """Stack TIFF pages, file after file, and map them back to HU with the window ``ldctiqa``.

    Returns:
        float32 HU from -1050 to 350 with ``units="challenge"``, on a 1 mm grid, since the format has no sizes. What
        the window clipped stays at its ends, so that the same window gives the file's values again.

    Raises:
        NotChallengeScaleError: not floating point within [0, 1], more than one channel, or of differing matrix sizes.
        NotAnImageError: not a TIFF.
        DamagedPixelDataError: a page cannot be decoded.
        TooLargeError, NotReadableError, ReadingCancelledError: as their names say.
    """
    import tifffile

    pages: list[tuple[Path, int]] = []
    shapes = set()
    for file in files:
        try:
            with tifffile.TiffFile(file) as tiff:
                for number, page in enumerate(tiff.pages):
                    pages.append((file, number))
                    shapes.add((page.shape, str(page.dtype)))
        except PermissionError:
            raise NotReadableError from None
        except Exception:  # tifffile raises many things on damaged files
            raise NotAnImageError from None
    if not pages:
        raise NotAnImageError
    if len(shapes) != 1:
        raise NotChallengeScaleError
    (shape, dtype) = shapes.pop()
    # Damaged tags give axes of no length, or tuples where a length should be.
    has_axes = len(shape) == 2 and all(isinstance(length, int) and length > 0 for length in shape)
    if dtype not in ("float16", "float32", "float64") or not has_axes:
        raise NotChallengeScaleError
    check_size(*shape, len(pages))

    window = WINDOWS["ldctiqa"]
    hu = np.empty((len(pages), *shape), dtype=np.float32)
    for n, (file, number) in enumerate(pages):
        if cancelled():
            raise ReadingCancelledError
        progress(n, len(pages), "Reading slices")
        try:
            values = tifffile.imread(file, key=number)
        except Exception:
            raise DamagedPixelDataError from None
        if values.shape != shape:
            raise DamagedPixelDataError
        if not (values.min() >= -_SLACK and values.max() <= 1 + _SLACK):  # NaN fails as well
            raise NotChallengeScaleError
        hu[n] = window.invert(np.clip(values, 0.0, 1.0))
    progress(len(pages), len(pages), "Reading slices")
    warnings = (
        "TIFF images have no physical size: 1 mm is taken in all directions and the patient's axes are assumed.",
        "The values were mapped back to HU from the challenge's scale; HU beyond -1050 and 350 are lost.",
    )
    return Volume(hu, LPS_TO_RAS.copy(), acquisition_axis=2, warnings=warnings, units="challenge")
