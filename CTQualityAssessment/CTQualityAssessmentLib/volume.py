"""The one description of an image that the whole package works on: HU, geometry, acquisition facts.

Axes. ``hu`` is indexed ``[k, j, i]`` like ``slicer.util.arrayFromVolume``; ``ijk_to_ras`` maps ``(i, j, k, 1)`` to
millimetres in RAS (right, anterior, superior are positive). Nothing here assumes that axis 0 of the array is axial:
``acquisition_axis`` says along which of i, j, k (0, 1, 2) the scanner stacked its slices.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

#: In-plane directions in which a radiologist is shown a slice, in RAS, as (columns run towards, rows run towards).
_DISPLAY_DIRECTIONS: dict[int, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    0: ((0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),  # sagittal: columns to posterior, rows to inferior
    1: ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),  # coronal: columns to patient left, rows to inferior
    2: ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),  # axial: columns to patient left, rows to posterior
}


@dataclass(frozen=True)
class AcquisitionFacts:
    """What the scanner said about the acquisition. ``None`` means that it did not say: absent is never zero.

    Units are in the names. ``reconstruction`` is the scanner's own wording (for example "ADMIRE 3" or "FBP");
    ``ctdi_phantom_cm`` is the diameter of the phantom that CTDIvol refers to, 16 (head) or 32 (body).
    ``described_organ`` is the organ that the series description or protocol names, a word of ``prompts.ORGANS``; the
    description itself may identify and is not kept.
    """

    modality: str | None = None
    manufacturer: str | None = None
    scanner_model: str | None = None
    body_part: str | None = None
    kvp: float | None = None
    tube_current_ma: float | None = None
    exposure_mas: float | None = None
    ctdivol_mgy: float | None = None
    ctdi_phantom_cm: float | None = None
    kernel: str | None = None
    reconstruction: str | None = None
    slice_thickness_mm: float | None = None
    reconstruction_diameter_mm: float | None = None
    gantry_tilt_deg: float | None = None
    contrast: bool | None = None
    described_organ: str | None = None

    def known(self) -> dict[str, object]:
        """The facts that are present, by name, in the order of the class."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


@dataclass(frozen=True)
class ScanOrigin:
    """When and where a series was scanned, for those who follow scanners over months. It is no acquisition fact.

    Attributes:
        month: of the study, ``YYYY-MM``; no more of the date is kept.
        device: what tells a scanner from others of its model. It may name an institution, is never written or shown,
            and is good for a keyed hash only.
    """

    month: str | None = None
    device: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SliceExposure:
    """What the headers say about the dose of one slice. ``None`` means that they do not say it."""

    tube_current_ma: float | None = None
    exposure_mas: float | None = None
    ctdivol_mgy: float | None = None


@dataclass(frozen=True)
class CanonicalSlices:
    """The slices of a volume as a radiologist looks at them.

    Attributes:
        hu: ``(n, rows, columns)`` view of the volume's HU; slice ``n`` is index ``n`` along the acquisition axis.
        ijk_to_ras: maps ``(column, row, n, 1)`` to RAS millimetres.
    """

    hu: NDArray[np.generic]
    ijk_to_ras: NDArray[np.float64]


#: Pixels are larger and smaller than these, and slices nearer to the scanner's centre, all in millimetres.
SMALLEST_MM, LARGEST_MM, FARTHEST_MM = 1e-3, 1e3, 1e6


@dataclass(frozen=True)
class Volume:
    """A scalar volume on its scanner grid: CT in Hounsfield units, or MR, whose values have no unit.

    Attributes:
        hu: ``[k, j, i]``, int16 or float32, finite, padding already replaced by air (-1024 HU or the lowest HU). Of MR
            the signal as stored, padding 0; see ``units``.
        ijk_to_ras: 4 x 4, millimetres; its last row is (0, 0, 0, 1).
        acquisition_axis: 0, 1 or 2 for i, j or k.
        facts: what the headers say about the acquisition.
        warnings: sentences a user should read before trusting a score; no identifying content.
        exposures: one for each slice along the acquisition axis; empty where no slice has a header of its own.
        units: "HU"; "challenge" where the voxels were the LDCTIQAG2023 [0, 1] scale and were mapped back to HU;
            "signal" for MR, of which nothing may be said in HU.
        origin: when and on which device it was scanned, as far as headers tell.
    """

    hu: NDArray[np.generic]
    ijk_to_ras: NDArray[np.float64]
    acquisition_axis: int = 2
    facts: AcquisitionFacts = field(default_factory=AcquisitionFacts)
    warnings: tuple[str, ...] = ()
    units: str = "HU"
    exposures: tuple[SliceExposure, ...] = ()
    origin: ScanOrigin = field(default_factory=ScanOrigin)

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or 0 in self.hu.shape:
            raise ValueError(f"a volume has three non-empty axes, not shape {self.hu.shape}")
        if np.issubdtype(self.hu.dtype, np.floating) and not np.isfinite(self.hu).all():
            raise ValueError("a volume holds finite HU only; what is no number has to be replaced while reading")
        matrix = np.asarray(self.ijk_to_ras, dtype=np.float64)
        if matrix.shape != (4, 4) or not np.allclose(matrix[3], (0, 0, 0, 1)):
            raise ValueError("ijk_to_ras must be a 4 x 4 affine matrix")
        if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise ValueError("ijk_to_ras must be finite and invertible")
        if self.acquisition_axis not in (0, 1, 2):
            raise ValueError("acquisition_axis is 0, 1 or 2")
        if self.exposures and len(self.exposures) != self.slice_count:
            raise ValueError(f"{len(self.exposures)} exposures do not fit {self.slice_count} slices")
        object.__setattr__(self, "ijk_to_ras", matrix)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in millimetres between neighbours along i, j and k."""
        i, j, k = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return float(i), float(j), float(k)

    def voxel_sha256(self) -> str:
        """SHA-256 of shape and voxels as int16 HU, so that the results of one volume are known to belong together.

        It tells nothing of the patient without the image itself.
        """
        found = hashlib.sha256(repr(self.hu.shape).encode())
        for slab in self.hu:
            rounded = slab if slab.dtype == np.int16 else np.clip(np.rint(slab), -32768, 32767)
            found.update(np.ascontiguousarray(rounded, dtype="<i2").tobytes())
        return found.hexdigest()

    @property
    def is_mr(self) -> bool:
        """Whether the values are MR signal rather than HU."""
        return self.units == "signal" or self.facts.modality == "MR"

    @property
    def slice_count(self) -> int:
        """Number of slices along the acquisition axis."""
        return int(self.hu.shape[2 - self.acquisition_axis])

    def slice_centre_ras(self, index: int) -> tuple[float, float, float]:
        """RAS position in millimetres of the centre of slice ``index`` along the acquisition axis."""
        ijk = [(n - 1) / 2 for n in reversed(self.hu.shape)]
        ijk[self.acquisition_axis] = float(index)
        r, a, s = (self.ijk_to_ras @ np.array([*ijk, 1.0]))[:3]
        return float(r), float(a), float(s)

    def canonical_slices(self) -> CanonicalSlices:
        """The slices along the acquisition axis, turned and mirrored in plane to the radiological view. No copy.

        The same anatomy gives the same pixels however the file stored it, so a score does not depend on the storage
        order. Slice indices keep the order of the volume's own grid.
        """
        in_plane = [axis for axis in (0, 1, 2) if axis != self.acquisition_axis]
        directions = self.ijk_to_ras[:3, :3] / np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        normal = np.cross(directions[:, in_plane[0]], directions[:, in_plane[1]])
        columns_to, rows_to = (np.array(v) for v in _DISPLAY_DIRECTIONS[int(np.argmax(np.abs(normal)))])
        first, second = in_plane
        swapped = abs(directions[:, first] @ columns_to) < abs(directions[:, second] @ columns_to)
        column_axis, row_axis = (second, first) if swapped else (first, second)

        array = self.hu.transpose(2 - self.acquisition_axis, 2 - row_axis, 2 - column_axis)
        matrix = np.eye(4)
        matrix[:, 0] = self.ijk_to_ras[:, column_axis]
        matrix[:, 1] = self.ijk_to_ras[:, row_axis]
        matrix[:, 2] = self.ijk_to_ras[:, self.acquisition_axis]
        matrix[:, 3] = self.ijk_to_ras[:, 3]
        if directions[:, row_axis] @ rows_to < 0:
            array = array[:, ::-1]
            matrix[:, 3] += matrix[:, 1] * (array.shape[1] - 1)
            matrix[:, 1] *= -1
        if directions[:, column_axis] @ columns_to < 0:
            array = array[:, :, ::-1]
            matrix[:, 3] += matrix[:, 0] * (array.shape[2] - 1)
            matrix[:, 0] *= -1
        return CanonicalSlices(array, matrix)


def acquisition_axis_from_affine(ijk_to_ras: NDArray[np.float64], shape_kji: tuple[int, ...]) -> int:
    """Guess along which of i, j, k the slices were stacked, for formats that do not say it.

    The axis whose spacing or matrix differs while the other two agree in both; else, as in a cropped volume, the axis
    whose spacing differs while the other two agree in theirs; where that does not single one out either (isotropic or
    irregular grids), the axis closest to superior-inferior, the direction in which a CT table moves.
    """
    spacing = np.linalg.norm(np.asarray(ijk_to_ras)[:3, :3], axis=0)
    size = tuple(reversed(shape_kji))

    def alike(a: int, b: int) -> bool:
        return bool(abs(spacing[a] - spacing[b]) <= 1e-3 * spacing[a])

    pairs = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
    by_spacing = [axis for axis, pair in pairs.items() if alike(*pair)]
    by_both = [axis for axis in by_spacing if size[pairs[axis][0]] == size[pairs[axis][1]]]
    for odd in (by_both, by_spacing):
        if len(odd) == 1:
            return odd[0]
    return int(np.argmax(np.abs(np.asarray(ijk_to_ras)[2, :3]) / spacing))


def grid_affine(
    ijk_to_ras: NDArray[np.float64],
    factor_columns: float,
    factor_rows: float,
    first: tuple[float, float] | None = None,
) -> NDArray[np.float64]:
    """Affine of a coarser in-plane grid on a slice grid.

    Args:
        ijk_to_ras: affine of the fine grid, ``(column, row, n)`` to RAS.
        factor_columns: fine pixels per coarse pixel along columns (512 / 32 = 16); ``factor_rows`` likewise.
        first: fine column and row at the centre of the first coarse pixel; None for a grid that covers the same area,
            where it is the middle of the fine pixels that it stands for.

    Returns:
        4 x 4 affine, ``(column, row, n)`` of the coarse grid to RAS.
    """
    matrix = np.array(ijk_to_ras, dtype=np.float64)
    column, row = first or ((factor_columns - 1) / 2, (factor_rows - 1) / 2)
    matrix[:3, 3] += matrix[:3, 0] * column + matrix[:3, 1] * row
    matrix[:3, 0] *= factor_columns
    matrix[:3, 1] *= factor_rows
    return matrix
