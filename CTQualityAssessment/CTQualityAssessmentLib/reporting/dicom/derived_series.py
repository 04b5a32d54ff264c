"""A denoised volume as a derived DICOM series: a changed copy of each source image.

What a derived image needs (PS3.3 C.7.6.1, C.12.1.1) and where it comes from here:

- UIDs of its own, for each image and for the series; study, frame of reference and patient stay the source's, or no
  archive could file it and no viewer lay it over the source.
- Image Type begins with DERIVED; description and code of the derivation; a reference to the source image.
- Everything clinical of the source header stays: acquisition, dose, contrast medium, geometry, window. The scanner
  stays in the place of the equipment; this program is told as equipment that modified the image.
- Pixels: the stored values of the source minus what was taken away, so that rescale, padding and whatever else was not
  denoised are bit for bit the source's.

Left out: private elements, which may describe the old pixels or name anybody; overlays, curves, icons, look-up tables
that were fitted to the old pixels, digital signatures, references to other images, the original attributes, and what
measured the old pixels (smallest and largest value, histogram). The patient is named as in the source and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.calls import Progress, no_progress
from CTQualityAssessmentLib.reading import Original, Originals
from CTQualityAssessmentLib.reading.quiet import quiet
from CTQualityAssessmentLib.reporting.dicom.codes import SCHEME, our_scheme
from CTQualityAssessmentLib.reporting.dicom.header import MAKER

if TYPE_CHECKING:
    from CTQualityAssessmentLib.denoising import DenoisingReport

#: Series number beside the scanner's in the same study; it only decides where a viewer lists it.
DERIVED_SERIES = 9103
_LEFT_OUT = (
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "PixelDataProviderURL",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "IconImageSequence",
    "HistogramSequence",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "DigitalSignaturesSequence",
    "MACParametersSequence",
    "EncryptedAttributesSequence",
    "OriginalAttributesSequence",
    "ReferencedImageSequence",
    "ReferencedInstanceSequence",
    "SourceInstanceSequence",
    "ImageID",
    "InstanceCreatorUID",
    "StorageMediaFileSetUID",
    "DataSetTrailingPadding",
)
#: Overlays and curves, which are repeating groups.
_REPEATING_GROUPS = (0x5000, 0x6000)


def derived_images(
    originals: Originals, denoised: NDArray[np.int16], report: DenoisingReport
) -> Iterator[tuple[int, FileDataset]]:
    """Each source image with less noise, and its number in the series from 1.

    Args:
        originals: the source images and the volume that was read from them.
        denoised: HU ``[k, j, i]`` on the volume's grid.
        report: what was done.

    Raises:
        ValueError: ``denoised`` has another shape than the volume.
        NotReadableError, DamagedPixelDataError: a source file went or changed meanwhile.
    """
    if denoised.shape != originals.volume.hu.shape:
        raise ValueError("the denoised volume is not on the grid of the source images")
    series_uid, now = generate_uid(prefix=None), datetime.now().astimezone()
    number = 0
    for k, original in enumerate(originals.files):
        if original is None:
            continue
        number += 1
        taken = originals.volume.hu[k].astype(np.float32) - denoised[k]
        yield number, _derived(original, taken, report, series_uid, number, now)


def write_derived_series(
    folder: Path,
    originals: Originals,
    denoised: NDArray[np.int16],
    report: DenoisingReport,
    progress: Progress = no_progress,
) -> tuple[str, int]:
    """Write the series as ``denoised-0001.dcm`` and so on; arguments and errors as :func:`derived_images`.

    Returns:
        its Series Instance UID and the number of images.
    """
    from pydicom.config import disable_value_validation

    count, series_uid = sum(one is not None for one in originals.files), ""
    # Names and numbers of the source are repeated as they are, also where they break a rule of their type.
    with quiet(), disable_value_validation():
        for number, image in derived_images(originals, denoised, report):
            progress(number - 1, count, "Writing DICOM")
            image.save_as(folder / f"denoised-{number:04d}.dcm", enforce_file_format=True)
            series_uid = str(image.SeriesInstanceUID)
    return series_uid, count


def _derived(
    original: Original,
    taken: NDArray[np.float32],
    report: DenoisingReport,
    series_uid: str,
    number: int,
    now: datetime,
) -> FileDataset:
    source = original.dataset()
    image = _cleaned(source)
    _identify(image, series_uid, number, now)
    _tell_derivation(image, source, report, now)
    slope, _ = original.rescale
    _put_pixels(image, original.stored(), taken / slope)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return FileDataset("", image, preamble=b"\0" * 128, file_meta=meta)


def _cleaned(source: Dataset) -> Dataset:
    """Standard elements of the source without those that belong to its pixels."""
    image = Dataset()
    for element in source:
        tag = element.tag
        if tag.is_private or tag.group & 0xFF00 in _REPEATING_GROUPS or tag.group in (0x0000, 0x0002):
            continue
        if tag.element == 0 or element.keyword in _LEFT_OUT or element.keyword == "PixelData":
            continue
        image.add(deepcopy(element))  # the source's own must keep its values: they are referred to
    image.remove_private_tags()
    if "SpecificCharacterSet" in source:
        image.SpecificCharacterSet = source.SpecificCharacterSet
    return image


def _identify(image: Dataset, series_uid: str, number: int, now: datetime) -> None:
    image.SOPInstanceUID = generate_uid(prefix=None)
    image.SeriesInstanceUID = series_uid
    image.SeriesNumber = DERIVED_SERIES
    image.InstanceNumber = number
    image.SeriesDescription = f"{str(image.get('SeriesDescription', ''))[:48]} denoised".strip()
    image.InstanceCreationDate = image.SeriesDate = image.ContentDate = now.strftime("%Y%m%d")
    image.InstanceCreationTime = image.SeriesTime = image.ContentTime = now.strftime("%H%M%S")


def _tell_derivation(image: Dataset, source: Dataset, report: DenoisingReport, now: datetime) -> None:
    kinds = [str(word) for word in source.get("ImageType", None) or ()]
    image.ImageType = ["DERIVED", *(kinds[1:] or ["PRIMARY", "AXIAL"])]
    image.DerivationDescription = (
        f"Denoised by {MAKER} {__version__}, model {report.model.name} {report.model.version}, weights SHA-256 "
        f"{report.model.sha256}, strength {report.strength.words()}. {report.model.statement}"
    )[:1024]
    image.DerivationCodeSequence = [_code("denoising", SCHEME, "Noise reduction by a neural network")]
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    reference.SpatialLocationsPreserved = "YES"
    reference.PurposeOfReferenceCodeSequence = [_code("121322", "DCM", "Source image for image processing operation")]
    image.SourceImageSequence = [reference]
    maker = Dataset()
    maker.PurposeOfReferenceCodeSequence = [_code("109103", "DCM", "Modifying Equipment")]
    maker.Manufacturer = MAKER
    maker.ManufacturerModelName = report.model.name[:64]
    maker.SoftwareVersions = [__version__, f"weights {report.model.version}"[:64]]
    maker.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    maker.ContributionDescription = "Noise reduction by a neural network; research, not for diagnosis"
    image.ContributingEquipmentSequence = [*image.get("ContributingEquipmentSequence", []), maker]
    image.CodingSchemeIdentificationSequence = [
        *(
            item
            for item in image.get("CodingSchemeIdentificationSequence", [])
            if item.get("CodingSchemeDesignator") != SCHEME
        ),
        our_scheme(),
    ]


def _put_pixels(image: Dataset, stored: NDArray[np.generic], taken: NDArray[np.float32]) -> None:
    """Stored values minus whole steps of them, held within the bits that the image has."""
    signed = int(image.get("PixelRepresentation", 0)) == 1
    bits = int(image.get("BitsStored", 16))
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    steps = np.rint(taken).astype(np.int64)
    values = stored.astype(np.int64)
    # What was not changed stays as it is, also where a file breaks its own limits.
    values = np.where(steps == 0, values, np.clip(values - steps, low, high))
    allocated = int(image.get("BitsAllocated", 16))
    kind = f"<{'i' if signed else 'u'}{allocated // 8}"
    image.PixelData = values.astype(kind).tobytes()
    image["PixelData"].VR = "OW" if allocated > 8 else "OB"
    image.PhotometricInterpretation = str(image.get("PhotometricInterpretation", "MONOCHROME2"))


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
