"""Whose images the slices of a volume were read from: for reports that were asked for, and for nothing else.

A :class:`~CTQualityAssessmentLib.volume.Volume` carries no identifier. A DICOM report has to, or no archive could file
it, so what it needs is kept apart from the volume, in an object that shows nothing of itself when it is printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.reading.bounded import opened_dicom
from CTQualityAssessmentLib.reading.errors import IncompleteHeadersError, NotReadableError
from CTQualityAssessmentLib.reading.frames import Frame
from CTQualityAssessmentLib.reading.pixels import LOSSY_SYNTAXES
from CTQualityAssessmentLib.reading.stacks import Stack

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: Attributes that an object made from images repeats: what it is filed by, and whether the images lost detail on the
#: way. Nothing beyond: no comments, no history, no addresses, no descriptions.
REPEATED = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
#: Without these no reference to the images holds.
_NEEDED = {
    "StudyInstanceUID": "Study Instance UID",
    "SeriesInstanceUID": "Series Instance UID",
    "FrameOfReferenceUID": "Frame of Reference UID",
    "SOPClassUID": "SOP Class UID",
    "SOPInstanceUID": "SOP Instance UID",
}
#: Looser than the standard, which forbids leading zeros: a reference repeats what the image has.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9](\.[0-9]{1,6})?)?)?")


@dataclass(frozen=True, repr=False)
class SourceSlice:
    """The image that one slice was read from.

    Attributes:
        sop_class_uid, sop_instance_uid: which object it is.
        frame_number: which frame of it, from 1; None where the object is a single image.
        position_lps: centre of the first pixel in millimetres, as its header says.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None
    position_lps: tuple[float, float, float]


@dataclass(frozen=True, repr=False)
class SourceSeries:
    """The images behind a volume, and what is repeated from their headers. It identifies the patient.

    Attributes:
        header: decoded values of :data:`REPEATED` by keyword; "" where a header has none or an impossible one.
        slices: one for each slice along the volume's acquisition axis; None where a slice is missing in the series.
    """

    header: Mapping[str, str]
    slices: tuple[SourceSlice | None, ...]


def source_series(stack: Stack) -> SourceSeries:
    """What a report about a stack of slices refers to.

    Raises:
        IncompleteHeadersError: the headers lack a UID without which nothing can refer to the images, or the slices do
            not share study and frame of reference.
        NotReadableError: the first file cannot be opened any more.
    """
    missing = {
        name
        for frame in stack.frames
        for keyword, name in _NEEDED.items()
        if not _UID.fullmatch(_uid(frame, keyword)) or len(_uid(frame, keyword)) > 64
    }
    shared = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    missing |= {
        f"one {_NEEDED[keyword]} for all slices"
        for keyword in shared
        if len({_uid(frame, keyword) for frame in stack.frames}) > 1
    }
    instances = {(_uid(frame, "SOPInstanceUID"), frame.index) for frame in stack.frames}
    if not missing and len(instances) < len(stack.frames):
        missing.add("a SOP Instance UID of its own for each slice")
    if missing:
        raise IncompleteHeadersError(sorted(missing))
    slices: list[SourceSlice | None] = [None] * (stack.slots[-1] + 1)
    for slot, frame in zip(stack.slots, stack.frames, strict=True):
        slices[slot] = _source_slice(frame)
    return SourceSeries(_repeated(stack.frames[0]), tuple(slices))


def _uid(frame: Frame, keyword: str) -> str:
    """The whole value, which :meth:`Frame.text` would cut to a line that can be shown."""
    return str(frame.tags.get(keyword, "")).strip()


def _source_slice(frame: Frame) -> SourceSlice:
    x, y, z = frame.position.tolist()
    return SourceSlice(
        _uid(frame, "SOPClassUID"),
        _uid(frame, "SOPInstanceUID"),
        None if frame.index is None else frame.index + 1,
        (x, y, z),
    )


def _repeated(frame: Frame) -> dict[str, str]:
    from pydicom import dcmread

    try:
        with opened_dicom(frame.path) as file:
            dataset = dcmread(
                file, stop_before_pixels=True, specific_tags=[*REPEATED, "SpecificCharacterSet"], force=True
            )
    except OSError:
        raise NotReadableError from None
    values = {keyword: _text(dataset, keyword) for keyword in REPEATED}
    if frame.transfer_syntax in LOSSY_SYNTAXES:
        values["LossyImageCompression"] = "01"
    for keyword in ("PatientBirthDate", "StudyDate"):
        values[keyword] = _possible_date(values[keyword])
    if not _TIME.fullmatch(values["StudyTime"]):
        values["StudyTime"] = ""
    if values["PatientSex"] not in ("M", "F", "O"):
        values["PatientSex"] = ""
    if values["PatientIdentityRemoved"] not in ("YES", "NO"):
        values["PatientIdentityRemoved"] = ""
    return values


def _text(dataset: Dataset, keyword: str) -> str:
    """The decoded value; several values are joined as DICOM joins them."""
    try:
        value = dataset.get(keyword)
        items = value if type(value).__name__ == "MultiValue" else [value]
        return "\\".join(str(item) for item in items if item is not None).strip(" \0")
    except Exception:  # a value that its VR does not allow raises anything
        return ""


def _possible_date(value: str) -> str:
    """The date where it is one in the Gregorian calendar, else ""."""
    if not re.fullmatch("[0-9]{8}", value):
        return ""
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return ""
    return value
