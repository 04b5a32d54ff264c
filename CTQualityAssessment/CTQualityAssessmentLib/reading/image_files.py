"""NRRD, MHA and MHD through SimpleITK."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.calls import Cancelled, Progress
from CTQualityAssessmentLib.reading.detached import data_files
from CTQualityAssessmentLib.reading.errors import (
    DamagedPixelDataError,
    DataElsewhereError,
    NotAnImageError,
    NotAVolumeError,
    ReadingCancelledError,
    UnsupportedGeometryError,
    WrongModalityError,
)
from CTQualityAssessmentLib.reading.files import METAIMAGE_SUFFIXES, has_suffix
from CTQualityAssessmentLib.reading.geometry import LPS_TO_RAS
from CTQualityAssessmentLib.reading.hounsfield import check_size
from CTQualityAssessmentLib.reading.metaimage import is_sound_metaimage, says_orientation
from CTQualityAssessmentLib.reading.nrrd_header import is_sound_nrrd
from CTQualityAssessmentLib.reading.wanted import CT_ONLY, Settled, Wanted, settle_as
from CTQualityAssessmentLib.volume import (
    FARTHEST_MM,
    LARGEST_MM,
    SMALLEST_MM,
    AcquisitionFacts,
    Volume,
    acquisition_axis_from_affine,
)

if TYPE_CHECKING:
    import SimpleITK


#: Warning where a file does not say how its axes lie in the patient.
AXES_ASSUMED = "The file does not say how the image lies in the patient; its axes are assumed."


def read_image_file(path: Path, progress: Progress, cancelled: Cancelled, wanted: Wanted = CT_ONLY) -> Volume:
    """Read a scalar image, whose values :mod:`~CTQualityAssessmentLib.reading.wanted` settles.

    Raises:
        NotAnImageError, NotAVolumeError, UnsupportedGeometryError, WrongModalityError, NotHounsfieldError,
        NonFiniteValuesError, DamagedPixelDataError, TooLargeError, DataElsewhereError, ReadingCancelledError: as their
            names say.
    """
    import SimpleITK

    # By their names: links in the folder are the user's own, and resolve() would follow them.
    folder = Path(os.path.abspath(path.parent))  # noqa: PTH100
    if not all(Path(os.path.abspath(file)).is_relative_to(folder) for file in data_files(path)):  # noqa: PTH100
        raise DataElsewhereError
    shown = SimpleITK.ProcessObject.GetGlobalWarningDisplay()
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # ITK's warnings quote paths
    try:
        modality, oriented = _check_header(path, wanted)
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
    settled = settle_as(wanted, modality, SimpleITK.GetArrayViewFromImage(image), 1.0, 0.0, cancelled)
    warnings = settled.warnings
    affine = _affine(image)
    if not oriented:
        warnings = (*warnings, AXES_ASSUMED)
    progress(1, 1, "Reading the image")
    return volume_without_axis(settled, affine, warnings)


def _check_header(path: Path, wanted: Wanted) -> tuple[str | None, bool]:
    """Refuse by the header what would cost memory or is no CT volume.

    Returns:
        The modality where the format names it, and whether the file says how its axes lie in the patient.
    """
    import SimpleITK

    if not (is_sound_metaimage(path) if has_suffix(path, METAIMAGE_SUFFIXES) else is_sound_nrrd(path)):
        raise NotAnImageError
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise NotAnImageError from None
    size = reader.GetSize()
    if not 2 <= len(size) <= 4 or (len(size) == 4 and size[3] != 1) or reader.GetNumberOfComponents() != 1:
        raise NotAVolumeError
    if "complex" in SimpleITK.GetPixelIDValueAsString(reader.GetPixelIDValue()):
        raise NotAVolumeError
    check_size(*(int(n) for n in (*size, 1)[:3]))
    metaimage = has_suffix(path, METAIMAGE_SUFFIXES)
    oriented = says_orientation(path) if metaimage else "NRRD_space" in reader.GetMetaDataKeys()
    for key in reader.GetMetaDataKeys():  # MetaImage has MET_MOD_CT, some NRRD writers a plain word
        if key.lower() == "modality":
            modality = reader.GetMetaData(key).strip().upper().removeprefix("MET_MOD_")
            if modality in ("CT", "MR", "PT", "PET", "NM", "US"):
                if modality not in wanted.modalities:
                    raise WrongModalityError(modality)
                return modality, oriented
    return None, oriented


def volume_without_axis(settled: Settled, ijk_to_ras: NDArray[np.float64], warnings: tuple[str, ...]) -> Volume:
    """A volume of a format that does not say along which axis the slices were taken.

    Raises:
        UnsupportedGeometryError: the matrix is not finite or has no inverse, or no scanner has such voxels.
    """
    if not np.isfinite(ijk_to_ras).all() or np.abs(ijk_to_ras).max() > FARTHEST_MM:
        raise UnsupportedGeometryError
    spacing = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    possible = spacing.min() > SMALLEST_MM and spacing.max() < LARGEST_MM
    if not possible or abs(np.linalg.det(ijk_to_ras[:3, :3])) < 1e-6 * max(1.0, spacing.prod()):
        raise UnsupportedGeometryError
    axis = acquisition_axis_from_affine(ijk_to_ras, settled.values.shape)
    if settled.values.shape[2 - axis] == 1:
        warnings = (*warnings, "There is a single slice.")
    facts = AcquisitionFacts(modality=settled.modality)
    return Volume(settled.values, ijk_to_ras, axis, facts, warnings, units=settled.units)


def _affine(image: SimpleITK.Image) -> NDArray[np.float64]:
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    lps[:3, 3] = image.GetOrigin()
    return LPS_TO_RAS @ lps
