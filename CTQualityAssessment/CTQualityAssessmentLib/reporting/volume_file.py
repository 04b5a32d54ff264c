"""A volume as an image file on its own grid: NIfTI or NRRD, int16 HU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.volume import Volume

#: Endings by format.
FORMATS: dict[str, str] = {"nifti": ".nii.gz", "nrrd": ".nrrd"}
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Axes further from right angles than this, as a cosine, cannot be written as directions.
_SHEAR = 1e-3


class ShearedGridError(CTQAError):
    """The grid's axes are not at right angles, as with a tilted gantry."""

    def __init__(self) -> None:
        super().__init__(
            "NRRD cannot be written for a tilted gantry, because its axes are not at right angles.",
            "Choose --format nifti.",
        )


def check_format(volume: Volume, name: str) -> None:
    """Refuse before the work is done what cannot be written after it.

    Raises:
        ShearedGridError: NRRD, and the grid's axes are not at right angles.
    """
    directions = volume.ijk_to_ras[:3, :3] / np.array(volume.spacing)
    if name == "nrrd" and np.abs(directions.T @ directions - np.eye(3)).max() > _SHEAR:
        raise ShearedGridError


def best_format(volume: Volume) -> str:
    """NRRD where the grid allows it, else NIfTI."""
    try:
        check_format(volume, "nrrd")
    except ShearedGridError:
        return "nifti"
    return "nrrd"


def write_volume(path: Path, volume: Volume) -> None:
    """Write HU with their geometry; the format is told by the ending, one of :data:`FORMATS`.

    Args:
        path: where to; the caller makes it appear whole, see :mod:`CTQualityAssessmentLib.reporting.folder`.
        volume: int16 HU.

    Raises:
        ValueError: another ending.
        ShearedGridError: see :func:`check_format`.
    """
    if path.name.endswith(FORMATS["nifti"]):
        _write_nifti(path, volume)
    elif path.name.endswith(FORMATS["nrrd"]):
        _write_nrrd(path, volume)
    else:
        raise ValueError(f"a volume is written as one of {', '.join(FORMATS.values())}")


def _write_nifti(path: Path, volume: Volume) -> None:
    import nibabel

    image = nibabel.Nifti1Image(volume.hu.T, volume.ijk_to_ras, dtype=volume.hu.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.ijk_to_ras, code="scanner")
    image.set_qform(volume.ijk_to_ras, code="scanner", strip_shears=True)
    nibabel.save(image, path)


def _write_nrrd(path: Path, volume: Volume) -> None:
    import SimpleITK

    check_format(volume, "nrrd")
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(volume.hu))
    lps = _RAS_TO_LPS @ volume.ijk_to_ras
    image.SetSpacing(volume.spacing)
    image.SetDirection((lps[:3, :3] / np.array(volume.spacing)).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=True)
