"""NIfTI, NRRD, MHA and MHD through SimpleITK."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.calls import Cancelled, Progress
from CTQualityAssessmentLib.reading.errors import (
    DamagedPixelDataError,
    NonFiniteValuesError,
    NotAnImageError,
    NotAVolumeError,
    ReadingCancelledError,
    UnsupportedGeometryError,
    WrongModalityError,
)
from CTQualityAssessmentLib.reading.geometry import LPS_TO_RAS
from CTQualityAssessmentLib.reading.hounsfield import AIR, check_size, refuse_or_warn, sample, store
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume, acquisition_axis_from_affine

if TYPE_CHECKING:
    import SimpleITK

_INTEGRAL = 1e-3


def read_image_file(path: Path, progress: Progress, cancelled: Cancelled) -> Volume:
    """Read a scalar image in HU.

    These formats name neither unit nor modality, so the values decide: what cannot be HU is refused, what may be gets
    a warning. NaN and infinite voxels, which resampling leaves outside the source, become air with a warning, and
    are refused where they are most of the volume.

    Raises:
        NotAnImageError, NotAVolumeError, UnsupportedGeometryError, WrongModalityError, NotHounsfieldError, NonFiniteValuesError, DamagedPixelDataError,
        TooLargeError, ReadingCancelledError.
    """
    import SimpleITK

    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # ITK's warnings quote paths
    try:
        modality = _check_header(path)
        if cancelled():
            raise ReadingCancelledError
        progress(0, 1, "Reading the image")
        try:
            image = SimpleITK.ReadImage(str(path))
        except RuntimeError:
            raise DamagedPixelDataError from None
    finally:
        SimpleITK.ProcessObject.SetGlobalWarningDisplay(shown)

    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    if image.GetDimension() == 2:
        image = SimpleITK.JoinSeries(image, 0.0, 1.0)
    hu, warnings = _to_hu(SimpleITK.GetArrayViewFromImage(image), cancelled)
    affine = _affine(image)
    progress(1, 1, "Reading the image")
    axis = acquisition_axis_from_affine(affine, hu.shape)
    if hu.shape[2 - axis] == 1:
        warnings = (*warnings, "There is a single slice.")
    return Volume(hu, affine, axis, AcquisitionFacts(modality=modality), warnings)


def _check_header(path: Path) -> str | None:
    """Refuse by the header what would cost memory or is no CT volume; the modality where the format names it."""
    import SimpleITK

    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise UnsupportedGeometryError from None
        raise NotAnImageError from None
    size = reader.GetSize()
    if not 2 <= len(size) <= 4 or (len(size) == 4 and size[3] != 1) or reader.GetNumberOfComponents() != 1:
        raise NotAVolumeError
    if "complex" in SimpleITK.GetPixelIDValueAsString(reader.GetPixelIDValue()):
        raise NotAVolumeError
    check_size(*(int(n) for n in (*size, 1)[:3]))
    if not np.isfinite([*reader.GetSpacing(), *reader.GetOrigin()]).all() or min(reader.GetSpacing()) <= 0:
        raise UnsupportedGeometryError
    for key in reader.GetMetaDataKeys():  # MetaImage has MET_MOD_CT, some NRRD writers a plain word
        if key.lower() == "modality":
            modality = reader.GetMetaData(key).strip().upper().removeprefix("MET_MOD_")
            if modality in ("CT", "MR", "PT", "PET", "NM", "US"):
                if modality != "CT":
                    raise WrongModalityError(modality)
                return modality
    return None


def _to_hu(voxels: NDArray[np.generic], cancelled: Cancelled) -> tuple[NDArray[np.generic], tuple[str, ...]]:
    """HU as int16 where the file holds whole numbers, else float32; warnings."""
    whole = voxels.dtype.kind in "iu" or all(_is_whole(plane) for plane in voxels)
    hu = np.empty(voxels.shape, dtype=np.int16 if whole else np.float32)
    samples, replaced = [], 0
    for plane, out in zip(voxels, hu, strict=True):
        if cancelled():
            raise ReadingCancelledError
        if voxels.dtype.kind == "f":
            finite = np.isfinite(plane)
            replaced += plane.size - int(np.count_nonzero(finite))
            plane = np.where(finite, plane, AIR)
        samples.append(sample(plane))
        store(plane, out)
    warnings = []
    if replaced > 0.5 * voxels.size:
        raise NonFiniteValuesError
    if replaced:
        warnings.append(f"{replaced} voxel(s) are not numbers and were taken for air.")
    warnings += refuse_or_warn(np.concatenate(samples))
    return hu, tuple(warnings)


def _is_whole(plane: NDArray[np.floating]) -> bool:
    finite = plane[np.isfinite(plane)]
    return bool(np.all(np.abs(finite - np.rint(finite)) < _INTEGRAL))


def _affine(image: SimpleITK.Image) -> NDArray[np.float64]:
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return LPS_TO_RAS @ lps
