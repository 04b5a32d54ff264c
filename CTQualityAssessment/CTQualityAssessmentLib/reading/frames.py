"""DICOM headers as frames: one for each slice, whether it has a file of its own or is part of a multi-frame object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.reading.bounded import BoundedFile, check_deflated
from CTQualityAssessmentLib.volume import FARTHEST_MM, LARGEST_MM, SMALLEST_MM

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SHARED = "SharedFunctionalGroupsSequence"
_PER_FRAME = "PerFrameFunctionalGroupsSequence"

#: Everything that is read from a header, apart from the functional groups and three private elements.
_KEYWORDS = (
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID SeriesNumber SeriesDescription "
    "Modality ImageType "
    "Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation BitsAllocated PixelRepresentation "
    "PixelPaddingValue PixelPaddingRangeLimit RescaleSlope RescaleIntercept RescaleType LossyImageCompression "
    "ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness SpacingBetweenSlices GantryDetectorTilt "
    "ConvolutionKernel ReconstructionAlgorithm IterativeReconstructionMethod ReconstructionDiameter KVP "
    "XRayTubeCurrent Exposure CTDIvol Manufacturer ManufacturerModelName BodyPartExamined ContrastBolusAgent "
    "AcquisitionNumber TemporalPositionIdentifier NominalPercentageOfCardiacPhase TriggerTime ProtocolName "
    "EchoNumbers EchoTime DiffusionBValue StudyDate AcquisitionDate DeviceSerialNumber StationName"
).split()

#: What Enhanced CT calls differently, and how classic CT calls it.
_ENHANCED_NAMES = {
    "FrameType": "ImageType",
    "XRayTubeCurrentInmA": "XRayTubeCurrent",
    "ExposureInmAs": "Exposure",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "NominalPercentageOfCardiacPhase": "NominalPercentageOfCardiacPhase",
}

#: Private elements in which two vendors name their iterative reconstruction: keyword of ours, creator, group, element.
_PRIVATE = (
    ("VendorReconstruction", "GEHC_CT_ADVAPP_001", 0x0053, 0x42),
    ("VendorReconstructionLevel", "ELSCINT1", 0x01F7, 0x9B),
)

#: Phantoms that CTDIvol may refer to (DICOM CID 4052) and what they are called here: the diameter in cm.
_CTDI_PHANTOMS_CM = {("DCM", "113690"): 16, ("DCM", "113691"): 32}
_CTDI_PHANTOM = "CTDIPhantomTypeCodeSequence"

_CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image Storage",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT Image Storage",
}
_MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"
_DICOMDIR = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Frame:
    """One slice as its header describes it.

    Attributes:
        path: the file it is in.
        index: which frame of that file, None where the file is a single frame.
        tags: header values by keyword, plain types; the names of classic CT also for Enhanced CT. Values that are
            empty or cannot be decoded are left out.
        transfer_syntax: UID of the encoding, "" where the file has no meta header.
    """

    path: Path
    index: int | None
    tags: Mapping[str, Any]
    transfer_syntax: str

    def number(self, keyword: str) -> float | None:
        """A finite number, or None."""
        values = self.numbers(keyword)
        return values[0] if values else None

    def numbers(self, keyword: str) -> list[float]:
        """All values of an element as finite numbers, or none of them."""
        value = self.tags.get(keyword, ())
        try:
            numbers = [float(item) for item in (value if isinstance(value, tuple) else (value,))]
        except (TypeError, ValueError):
            return []
        return numbers if np.isfinite(numbers).all() else []

    def positive(self, keyword: str) -> float | None:
        """A number above zero, or None: a scanner that writes 0 kV or 0 mm does not know."""
        value = self.number(keyword)
        return value if value is not None and value > 0 else None

    def text(self, keyword: str) -> str | None:
        """The first value as one short printable line, or None."""
        texts = self.texts(keyword)
        return texts[0] if texts else None

    def texts(self, keyword: str) -> tuple[str, ...]:
        """All values as short printable lines; empty ones are left out."""
        value = self.tags.get(keyword, ())
        items = value if isinstance(value, tuple) else (value,)
        lines = (" ".join("".join(c if c.isprintable() else " " for c in str(item)).split())[:64] for item in items)
        return tuple(line for line in lines if line)

    @cached_property
    def kind(self) -> str:
        """ "slice", "scout", "secondary" (screenshots, dose pages) or "other" (another modality, or no image)."""
        sop_class = self.text("SOPClassUID")
        modality = self.text("Modality")
        if (modality or ("CT" if sop_class in _CT_CLASSES else None)) != "CT":
            return "other"
        if (
            sop_class not in (*_CT_CLASSES, None)
            or (self.number("SamplesPerPixel") or 1) != 1
            or not self.rows
            or not self.columns
        ):
            return "secondary"
        return "scout" if "LOCALIZER" in self.image_type else "slice"

    def kind_among(self, modalities: tuple[str, ...]) -> str:
        """As :attr:`kind`, where slices of classic MR count as well if "MR" is among the modalities that are wanted."""
        if "MR" not in modalities or self.text("Modality") != "MR" or self.kind != "other":
            return self.kind
        if self.text("SOPClassUID") not in (_MR_CLASS, None) or not self.rows or not self.columns:
            return "other"
        return "scout" if "LOCALIZER" in self.image_type else "slice"

    @property
    def image_type(self) -> frozenset[str]:
        """The words of ImageType, in capitals."""
        return frozenset(word for value in self.texts("ImageType") for word in value.upper().split())

    @property
    def rows(self) -> int:
        """Height of the matrix in pixels, 0 where it has none."""
        return max(int(self.number("Rows") or 0), 0)

    @property
    def columns(self) -> int:
        """Width of the matrix in pixels, 0 where it has none."""
        return max(int(self.number("Columns") or 0), 0)

    @cached_property
    def position(self) -> NDArray[np.float64]:
        """LPS millimetres of the centre of the first pixel, shape (3,); see :attr:`has_geometry`."""
        return np.array(self.numbers("ImagePositionPatient"), dtype=np.float64)

    @cached_property
    def orientation(self) -> NDArray[np.float64]:
        """Unit vectors in LPS along which columns and rows are counted, shape (2, 3); see :attr:`has_geometry`."""
        cosines = np.array(self.numbers("ImageOrientationPatient"), dtype=np.float64).reshape(2, -1)
        return cosines / np.linalg.norm(cosines, axis=1, keepdims=True)

    @cached_property
    def pixel_spacing(self) -> NDArray[np.float64]:
        """Millimetres between rows and between columns, shape (2,); see :attr:`has_geometry`."""
        return np.array(self.numbers("PixelSpacing"), dtype=np.float64)

    @cached_property
    def has_geometry(self) -> bool:
        """Whether position, orientation and pixel size are there and possible."""
        cosines = np.array(self.numbers("ImageOrientationPatient"))
        spacing = self.numbers("PixelSpacing")
        if len(self.numbers("ImagePositionPatient")) != 3 or cosines.size != 6 or len(spacing) != 2:
            return False
        row, column = cosines.reshape(2, 3)
        orthonormal = np.allclose((row @ row, column @ column, row @ column), (1, 1, 0), atol=0.02)
        possible = SMALLEST_MM < min(spacing) and max(spacing) < LARGEST_MM
        return orthonormal and possible and np.abs(self.position).max() < FARTHEST_MM

    @property
    def series_key(self) -> tuple[str, ...]:
        """What slices of one series have in common, also where de-identification emptied the series UID."""
        if uid := self.text("SeriesInstanceUID"):
            return (uid,)
        # Without any UID the folder is all that keeps two patients apart.
        study = self.text("StudyInstanceUID") or str(self.path.parent)
        return (study, *(self.text(k) or "" for k in ("SeriesNumber", "Modality", "Manufacturer")))


def read_frames(path: Path, opened: IO[bytes] | None = None) -> list[Frame]:
    """The frames of a DICOM file, without pixel data; an empty list where it is no DICOM object of a series.

    Args:
        path: the file.
        opened: its content from the first byte on, where ``path`` is but a name.

    Files without preamble or meta header are read too. CT multi-frame objects give one frame for each slice, any
    other object gives one. A damaged header gives an empty list as well: whatever the parser stumbled over, the file
    is no image to us.
    """
    from pydicom import dcmread
    from pydicom.datadict import tag_for_keyword

    tags = [tag for keyword in (*_KEYWORDS, _CTDI_PHANTOM, _SHARED, _PER_FRAME) if (tag := tag_for_keyword(keyword))]
    for _, _, group, element in _PRIVATE:
        tags += [(group << 16) + 0x10, (group << 16) + 0x1000 + element]
    try:
        with BoundedFile(path) if opened is None else nullcontext(opened) as file:
            check_deflated(file)
            start = file.read(132)
            headerless = start[128:] != b"DICM"
            if headerless and not _may_be_headerless(start):
                return []
            file.seek(0)
            dataset = dcmread(file, stop_before_pixels=True, specific_tags=list(tags), force=headerless)
        meta = getattr(dataset, "file_meta", None) or {}
        if str(meta.get("MediaStorageSOPClassUID", "")) == _DICOMDIR:
            return []
        values = _plain(dataset)
        if "SOPClassUID" not in values and "Modality" not in values:
            return []
        syntax = str(meta.get("TransferSyntaxUID", ""))
        single = Frame(path, None, values, syntax)
        count = int(single.number("NumberOfFrames") or 1)
        groups = dataset.get(_PER_FRAME)
        if not groups or len(groups) != count or single.kind not in ("slice", "scout"):
            return [single]
        shared = _grouped(dataset.get(_SHARED) or [])
        return [
            Frame(path, index, {**values, **shared, **_grouped([group])}, syntax) for index, group in enumerate(groups)
        ]
    except PermissionError:
        raise
    except Exception:
        # Parsers of hostile or broken headers raise anything, from struct.error to RecursionError.
        return []


def has_preamble(path: Path) -> bool:
    """Whether the file begins as part 10 of DICOM asks."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _may_be_headerless(start: bytes) -> bool:
    """Whether a file begins like a dataset: group 2 or 8, little endian, a small element number."""
    return len(start) >= 4 and start[:2] in (b"\x02\x00", b"\x08\x00") and start[3] == 0 and start[2] <= 0x18


def _plain(dataset: Dataset) -> dict[str, Any]:
    """Known elements of a dataset as plain types; undecodable and empty ones are left out."""
    values: dict[str, Any] = {}
    for keyword in _KEYWORDS:
        _put(values, keyword, dataset, keyword)
    _put_phantom(values, dataset)
    for name, creator, group, element in _PRIVATE:
        try:
            value = dataset.private_block(group, creator)[element].value
        except (KeyError, ValueError):
            continue
        values[name] = str(value)
    return values


def _grouped(items: list[Dataset]) -> dict[str, Any]:
    """Known elements of the functional groups of one frame, whichever group they are in."""
    values: dict[str, Any] = {}
    for inner in _inner_items(items):
        for keyword in _KEYWORDS:
            # A group may refer to other objects; their identifiers are not this frame's.
            if not keyword.endswith("UID"):
                _put(values, keyword, inner, keyword)
        for enhanced, classic in _ENHANCED_NAMES.items():
            _put(values, classic, inner, enhanced)
        _put_phantom(values, inner)
        if region := inner.get("AnatomicRegionSequence"):
            _put(values, "BodyPartExamined", region[0], "CodeMeaning")
    return values


def _inner_items(items: list[Dataset]) -> Iterator[Dataset]:
    for item in items:
        for element in item:
            if element.VR == "SQ" and element.value:
                yield element.value[0]


def _put_phantom(values: dict[str, Any], dataset: Dataset) -> None:
    """The diameter in cm of the phantom that CTDIvol refers to; nothing where it is another one or has no code."""
    try:
        for code in dataset.get(_CTDI_PHANTOM) or ():
            named = (str(code.get("CodingSchemeDesignator", "")), str(code.get("CodeValue", "")))
            if named in _CTDI_PHANTOMS_CM:
                values["CTDIPhantomDiameter"] = _CTDI_PHANTOMS_CM[named]
    except Exception:  # what stands there is no sequence of codes
        return


def _put(values: dict[str, Any], name: str, dataset: Dataset, keyword: str) -> None:
    if keyword not in dataset:
        return
    try:
        value = dataset[keyword].value
    except Exception:  # a value that its VR does not allow
        return
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        value = tuple(value)
    if value is not None and value != "" and value != ():
        values[name] = value
