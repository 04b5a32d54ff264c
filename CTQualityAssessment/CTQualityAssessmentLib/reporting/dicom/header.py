"""What the report and the maps have in common: whose they are, who made them, which images they refer to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from highdicom import UID
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from CTQualityAssessmentLib.reading import SourceSeries, SourceSlice
from CTQualityAssessmentLib.reporting.dicom.codes import our_scheme
from CTQualityAssessmentLib.results import VolumeAssessment

MAKER = "CTQualityAssessment"
#: Series of our own beside the scanner's in the same study. The numbers only decide where a viewer lists them.
REPORT_SERIES, MAPS_SERIES = 9101, 9102
#: UTF-8 can hold every name that a source has, whatever character sets that one mixes.
_UTF_8 = "ISO_IR 192"

#: Everything else may be empty in a valid object.
_ABSENT_IF_EMPTY = (
    "IssuerOfPatientID",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def reference(source: SourceSeries, image: SourceSlice) -> Dataset:
    """A dataset that stands for one source image where highdicom asks for it: what it is filed by, and which it is."""
    dataset = Dataset()
    for keyword, value in source.header.items():
        if value or keyword not in _ABSENT_IF_EMPTY:
            setattr(dataset, keyword, value)
    if source.header["PatientIdentityRemoved"] == "YES" and not source.header["DeidentificationMethod"]:
        dataset.DeidentificationMethod = "As the images that this object refers to"
    if source.header["LossyImageCompression"] != "01":
        dataset.LossyImageCompression = "00"
    dataset.SOPClassUID = image.sop_class_uid
    dataset.SOPInstanceUID = image.sop_instance_uid
    return dataset


def images(source: SourceSeries) -> list[SourceSlice]:
    """One slice of each source object, in the order of the slices: of every classic image, of each multi-frame one."""
    return list({one.sop_instance_uid: one for one in source.slices if one is not None}.values())


def reference_item(image: SourceSlice, frames: Sequence[int] = ()) -> Dataset:
    """A referenced image, with its frame numbers where it has frames."""
    item = Dataset()
    item.ReferencedSOPClassUID = image.sop_class_uid
    item.ReferencedSOPInstanceUID = image.sop_instance_uid
    if frames:
        item.ReferencedFrameNumber = list(frames) if len(frames) > 1 else frames[0]
    return item


def equipment(assessment: VolumeAssessment) -> dict[str, Any]:
    """Who made the object, as arguments of highdicom: this program, its version, the weights and their checksum."""
    return {
        "manufacturer": MAKER,
        "manufacturer_model_name": assessment.model.name[:64],
        "software_versions": (
            f"{MAKER} {assessment.versions.get('ctqualityassessment', '')}".strip()[:64],
            f"weights {assessment.model.version}"[:64],
        ),
        "device_serial_number": assessment.model.sha256[:64],
        "specific_character_set": _UTF_8,
    }


def new_object() -> dict[str, Any]:
    """UIDs of a new object, as arguments of highdicom. Each run makes new ones: a second run is another observation."""
    return {"sop_instance_uid": UID(), "coding_schemes": [our_scheme()]}


def device_uid(assessment: VolumeAssessment) -> str:
    """A UID for these weights, the same wherever they run."""
    return str(generate_uid(prefix=None, entropy_srcs=[MAKER, assessment.model.sha256]))
