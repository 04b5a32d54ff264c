"""NIfTI through nibabel.

ITK's reader turns NaN into 0, which is water, fills a truncated file with zeros and refuses sheared grids; nibabel
does none of this.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CTQualityAssessmentLib.calls import Cancelled, Progress
from CTQualityAssessmentLib.reading.errors import (
    DamagedPixelDataError,
    NotAnImageError,
    NotAVolumeError,
    NotReadableError,
    ReadingCancelledError,
)
from CTQualityAssessmentLib.reading.hounsfield import check_size
from CTQualityAssessmentLib.reading.image_files import AXES_ASSUMED, volume_without_axis
from CTQualityAssessmentLib.reading.wanted import CT_ONLY, Wanted, settle_as
from CTQualityAssessmentLib.volume import Volume

_MILLIMETRES = {"meter": 1000.0, "micron": 0.001}


def read_nifti(path: Path, progress: Progress, cancelled: Cancelled, wanted: Wanted = CT_ONLY) -> Volume:
    """Read a NIfTI-1 or -2 file, whose values :mod:`~CTQualityAssessmentLib.reading.wanted` settles.

    Raises:
        NotAnImageError, NotAVolumeError, UnsupportedGeometryError, NotHounsfieldError, NonFiniteValuesError,
        DamagedPixelDataError, TooLargeError, NotReadableError, ReadingCancelledError: as their names say.
    """
    import nibabel

    try:
        image = nibabel.load(path)
        if not isinstance(image, nibabel.Nifti1Pair):
            raise NotAnImageError
        millimetres = _MILLIMETRES.get(image.header.get_xyzt_units()[0], 1.0)
    except PermissionError:
        raise NotReadableError from None
    except Exception:  # nibabel, gzip and zlib raise many things on damaged headers
        raise NotAnImageError from None
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    shape = (*shape, 1, 1)[: max(3, len(shape))]
    if len(shape) != 3 or image.get_data_dtype().kind not in "iuf":
        raise NotAVolumeError
    if min(shape) < 1:
        raise NotAnImageError
    check_size(*shape)
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= millimetres

    if cancelled():
        raise ReadingCancelledError
    progress(0, 1, "Reading the image")
    try:
        stored = image.dataobj.get_unscaled()
    except Exception:
        raise DamagedPixelDataError from None
    values = stored.reshape(shape, order="F").T
    settled = settle_as(wanted, None, values, image.dataobj.slope, image.dataobj.inter, cancelled)
    warnings = settled.warnings
    progress(1, 1, "Reading the image")
    if not (image.header["sform_code"] or image.header["qform_code"]):
        warnings = (*warnings, AXES_ASSUMED)
    return volume_without_axis(settled, affine, warnings)
