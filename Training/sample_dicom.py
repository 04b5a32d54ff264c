"""One slice of the sample as a DICOM CT image (PS3.3 A.3), JPEG-LS lossless."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless, generate_uid

#: At 100 % dose; nominal, the simulation knows photons only. Whole mA and mAs at every whole per cent.
NOMINAL_MA = 400
NOMINAL_MAS = 200
NOMINAL_CTDIVOL_MGY = 14.0
#: Stored values are HU + 1024 in 12 bits: JPEG-LS of unsigned values is read alike by every decoder.
_INTERCEPT = -1024
_MAX_STORED = 4095


@dataclass(frozen=True)
class SliceHeader:
    """What the header of one slice says.

    Attributes:
        seed: of the sample; all UIDs follow from it.
        instance: InstanceNumber, from 1.
        z_mm: of the slice's centre.
        dose: share of the full dose, 0 ... 1; views: of 720.
        kernel: name of the reconstruction filter.
        contrast: phase of the phantom.
    """

    seed: int
    instance: int
    z_mm: float
    spacing_mm: float
    thickness_mm: float
    dose: float
    views: int
    kernel: str
    contrast: str


def sample_uid(seed: int, *of: str) -> str:
    """The UID of one part of the sample with this seed; always the same."""
    return str(generate_uid(entropy_srcs=["CTQA-phantom", str(seed), *of]))


def write_slice(path: Path, hu: NDArray[np.floating], header: SliceHeader) -> NDArray[np.float32]:
    """Write one slice and return the HU that a reader will get back.

    Args:
        path: of the file; written as a whole or not at all.
        hu: (rows, columns); below -1024 and above 3071 HU it is clipped.
        header: what the file says about it.
    """
    stored = np.clip(np.rint(hu) - _INTERCEPT, 0, _MAX_STORED).astype(np.uint16)
    rows, columns = stored.shape
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = sample_uid(0, "implementation")
    dataset.file_meta.ImplementationVersionName = "CTQA_SAMPLE_1"
    dataset.update(_patient_and_study(header))
    dataset.update(_series(header))
    dataset.update(_acquisition(header))

    # General Image, Image Plane
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = sample_uid(header.seed, "image", str(header.instance))
    dataset.InstanceNumber = header.instance
    dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    dataset.DerivationDescription = "simulated"
    dataset.ImageComments = f"{100 * header.dose:.0f} % dose, {header.views} of 720 views"
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.SyntheticData = "YES"
    dataset.PixelSpacing = [header.spacing_mm, header.spacing_mm]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [
        -(columns - 1) / 2 * header.spacing_mm,
        -(rows - 1) / 2 * header.spacing_mm,
        header.z_mm,
    ]
    dataset.SliceThickness = header.thickness_mm
    dataset.SpacingBetweenSlices = header.thickness_mm
    dataset.SliceLocation = header.z_mm
    dataset.ReconstructionDiameter = columns * header.spacing_mm

    # Image Pixel, CT Image, VOI LUT
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = _INTERCEPT, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 350
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    partial = path.with_suffix(".partial")
    dataset.save_as(partial, enforce_file_format=True)
    partial.replace(path)
    return stored.astype(np.float32) + np.float32(_INTERCEPT)


def _patient_and_study(header: SliceHeader) -> Dataset:
    """Attributes that must be there and have no meaning for a phantom stay empty."""
    part = Dataset()
    part.PatientName, part.PatientID = "CTQA^Phantom", "CTQA-PHANTOM"
    part.PatientBirthDate = part.PatientSex = ""
    part.StudyInstanceUID = sample_uid(header.seed, "study")
    part.StudyDate = part.StudyTime = part.ReferringPhysicianName = part.AccessionNumber = ""
    part.StudyID = "1"
    part.StudyDescription = "Simulated abdomen"
    return part


def _series(header: SliceHeader) -> Dataset:
    part = Dataset()
    part.Modality = "CT"
    part.SeriesInstanceUID = sample_uid(header.seed, "series")
    part.SeriesNumber = 1
    part.SeriesDescription = "Dose falling from 100 to 10 percent"
    part.BodyPartExamined = "ABDOMEN"
    part.PatientPosition = "HFS"
    part.FrameOfReferenceUID = sample_uid(header.seed, "frame of reference")
    part.PositionReferenceIndicator = ""
    part.Manufacturer = "CTQualityAssessment"
    part.ManufacturerModelName = "Simulator"
    part.SoftwareVersions = "1"
    return part


def _acquisition(header: SliceHeader) -> Dataset:
    part = Dataset()
    part.AcquisitionNumber = 1
    part.KVP = 120
    part.ExposureTime = round(1000 * NOMINAL_MAS / NOMINAL_MA)
    part.XRayTubeCurrent = round(NOMINAL_MA * header.dose)
    part.Exposure = round(NOMINAL_MAS * header.dose)
    part.CTDIvol = round(NOMINAL_CTDIVOL_MGY * header.dose, 3)
    phantom = codes.DCM.IECBodyDosimetryPhantom
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = phantom.value, "DCM", phantom.meaning
    part.CTDIPhantomTypeCodeSequence = [item]
    part.ConvolutionKernel = header.kernel.upper()
    part.FilterType = "NONE"
    part.GantryDetectorTilt = 0
    part.RotationDirection = "CW"
    part.ContrastBolusAgent = "NONE" if header.contrast == "native" else "SIMULATED IODINE"
    return part
