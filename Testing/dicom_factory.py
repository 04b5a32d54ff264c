"""Synthetic DICOM for tests: any geometry, encoding and defect, and no patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    generate_uid,
)

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
#: Made-up identifiers, so that a test can look for them where nothing identifying belongs.
PATIENT = {
    "PatientName": "Zweistein^Ada",
    "PatientID": "PID-4711",
    "PatientBirthDate": "19010203",
    "StudyDate": "20010304",
    "AccessionNumber": "ACC-0815",
    "SeriesDescription": "Zweistein Ada follow-up",
}
#: One study and one frame of reference for everything that is written here.
STUDY_UID = "1.2.826.0.1.3680043.8.498.4711"
FRAME_OF_REFERENCE_UID = "1.2.826.0.1.3680043.8.498.4712"
FACTS = {
    "Manufacturer": "Maker",
    "ManufacturerModelName": "Model 1",
    "BodyPartExamined": "ABDOMEN",
    "KVP": "120",
    "XRayTubeCurrent": "200",
    "Exposure": "150",
    "CTDIvol": 7.5,
    "ConvolutionKernel": "B30f",
    "SliceThickness": "3",
    "ReconstructionDiameter": "400",
    "GantryDetectorTilt": "0",
}


def body(slices: int = 6, rows: int = 32, columns: int = 40) -> NDArray[np.int16]:
    """HU of a textured ellipse in air, ``[k, j, i]``, no two slices alike."""
    k, j, i = np.mgrid[:slices, :rows, :columns]
    inside = ((j - rows / 2) / (0.4 * rows)) ** 2 + ((i - columns / 2) / (0.4 * columns)) ** 2 < 1
    return np.where(inside, 40 + 7 * k + (3 * j + 5 * i) % 23, -1000 + (j + i + k) % 5).astype(np.int16)


def slice_dataset(
    hu: NDArray[np.generic],
    position: Any = (0.0, 0.0, 0.0),
    *,
    orientation: Any = AXIAL,
    pixel_spacing: tuple[float, float] = (0.8, 0.7),
    slope: float = 1,
    intercept: float = -1024,
    signed: bool = False,
    bits_stored: int = 16,
    series_uid: str | None = None,
    number: int = 1,
    **tags: Any,
) -> FileDataset:
    """One CT slice. Further tags replace those written here; None removes a tag."""
    stored = np.rint((np.asarray(hu, dtype=np.float64) - intercept) / slope)
    dataset = _blank(CTImageStorage, series_uid)
    values = {
        **PATIENT,
        **FACTS,
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "InstanceNumber": number,
        "AcquisitionNumber": 1,
        "ImagePositionPatient": [float(v) for v in position],
        "ImageOrientationPatient": [float(v) for v in orientation],
        "PixelSpacing": list(pixel_spacing),
        "RescaleSlope": slope,
        "RescaleIntercept": intercept,
        "RescaleType": "HU",
        **_pixel_module(hu.shape, signed, bits_stored),
    }
    put(dataset, **{**values, **tags})
    dataset.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    return dataset


def write_series(
    folder: Path,
    hu: NDArray[np.generic],
    *,
    origin: Any = (-10.0, -20.0, 30.0),
    step: Any = (0.0, 0.0, 2.5),
    series_uid: str | None = None,
    positions: Any = None,
    change: Callable[[int, FileDataset], None] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    prefix: str = "",
    **keywords: Any,
) -> list[Path]:
    """Write ``hu[k]`` at ``origin + k * step`` (or ``positions[k]``); the files are named so that order is no help.

    ``change(k, dataset)`` may spoil a slice before it is encoded and written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series_uid = series_uid or generate_uid()
    paths = []
    for k, plane in enumerate(hu):
        position = positions[k] if positions is not None else np.add(origin, np.multiply(k, step))
        dataset = slice_dataset(plane, position, series_uid=series_uid, number=k + 1, **keywords)
        if change:
            change(k, dataset)
        paths.append(folder / f"{prefix}{(7919 * (k + 1)) % 10007:05d}.dcm")
        save(dataset, paths[-1], syntax)
    return paths


def enhanced_dataset(
    hu: NDArray[np.generic],
    *,
    origin: Any = (-10.0, -20.0, 30.0),
    step: Any = (0.0, 0.0, 2.5),
    orientation: Any = AXIAL,
    pixel_spacing: tuple[float, float] = (0.8, 0.7),
    slope: float = 1,
    intercept: float = -1024,
    order: Any = None,
    frame_content: Callable[[int], dict[str, Any]] = lambda k: {},
) -> FileDataset:
    """An Enhanced CT object with the frames of ``hu`` in the given order of k."""
    dataset = _blank(EnhancedCTImageStorage, None)
    order = list(range(len(hu))) if order is None else list(order)
    put(
        dataset,
        **PATIENT,
        Modality="CT",
        Manufacturer="Maker",
        ManufacturerModelName="Model E",
        ImageType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
        NumberOfFrames=len(hu),
        **_pixel_module(hu.shape[1:], False, 16),
    )
    shared = Dataset()
    for name, values in {
        "CTImageFrameTypeSequence": {"FrameType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]},
        "PixelMeasuresSequence": {"PixelSpacing": list(pixel_spacing), "SliceThickness": 3},
        "PlaneOrientationSequence": {"ImageOrientationPatient": [float(v) for v in orientation]},
        "PixelValueTransformationSequence": {
            "RescaleSlope": slope,
            "RescaleIntercept": intercept,
            "RescaleType": "HU",
        },
        "CTReconstructionSequence": {
            "ConvolutionKernel": "Bv40",
            "ReconstructionAlgorithm": "ITERATIVE",
            "ReconstructionDiameter": 380.0,
        },
        "CTXRayDetailsSequence": {"KVP": 100.0},
        "CTAcquisitionDetailsSequence": {"GantryDetectorTilt": 0.0},
    }.items():
        setattr(shared, name, [put(Dataset(), **values)])
    region = put(Dataset(), CodeValue="818981001", CodingSchemeDesignator="SCT", CodeMeaning="Abdomen")
    shared.FrameAnatomySequence = [put(Dataset(), FrameLaterality="U", AnatomicRegionSequence=[region])]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in order:
        frame = Dataset()
        position = np.add(origin, np.multiply(k, step))
        frame.PlanePositionSequence = [put(Dataset(), ImagePositionPatient=[float(v) for v in position])]
        frame.FrameContentSequence = [put(Dataset(), FrameAcquisitionNumber=1, **frame_content(k))]
        exposure = {"XRayTubeCurrentInmA": 100.0 + k, "ExposureInmAs": 60.0, "CTDIvol": 5.0}
        frame.CTExposureSequence = [put(Dataset(), **exposure)]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    stored = np.rint((hu[order].astype(np.float64) - intercept) / slope)
    dataset.PixelData = stored.astype("<u2").tobytes()
    return dataset


def save(dataset: FileDataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    """Encode uncompressed pixel data as the transfer syntax asks, and write the file with preamble and meta header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax in _BY_PYDICOM:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


def put(dataset: Dataset, **tags: Any) -> Dataset:
    """Set tags by keyword; None removes one."""
    for keyword, value in tags.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    return dataset


#: RLE, JPEG-LS and JPEG 2000, lossless.
_BY_PYDICOM = ("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90")


def _blank(sop_class: str, series_uid: str | None) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = STUDY_UID
    dataset.FrameOfReferenceUID = FRAME_OF_REFERENCE_UID
    dataset.SeriesInstanceUID = series_uid or generate_uid()
    return dataset


def _pixel_module(shape: tuple[int, ...], signed: bool, bits_stored: int) -> dict[str, Any]:
    return {
        "Rows": shape[0],
        "Columns": shape[1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": bits_stored,
        "HighBit": bits_stored - 1,
        "PixelRepresentation": int(signed),
    }
