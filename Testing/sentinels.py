"""A CT that is full of made-up identifiers, and the search for them in everything that leaves the program."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from io import BytesIO

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from Testing.dicom_factory import body, write_series

#: Elements of PS3.15 table E.1-1 that a CT has in practice, by what a word can be put into.
TEXTS = """
    PatientName PatientID IssuerOfPatientID OtherPatientIDs OtherPatientNames PatientBirthName PatientMotherBirthName
    PatientAddress PatientTelephoneNumbers PatientComments AdditionalPatientHistory MedicalRecordLocator Occupation
    EthnicGroup MilitaryRank BranchOfService CountryOfResidence RegionOfResidence PatientReligiousPreference
    ResponsiblePerson ResponsibleOrganization AccessionNumber StudyID StudyDescription
    SeriesDescription ProtocolName InstitutionName InstitutionAddress InstitutionalDepartmentName StationName
    DeviceSerialNumber ReferringPhysicianName ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers
    PerformingPhysicianName PhysiciansOfRecord NameOfPhysiciansReadingStudy OperatorsName RequestingPhysician
    RequestingService RequestedProcedureDescription RequestedProcedureID RequestedProcedureComments
    ScheduledProcedureStepDescription PerformedProcedureStepDescription PerformedProcedureStepID
    CommentsOnThePerformedProcedureStep AdmissionID AdmittingDiagnosesDescription CurrentPatientLocation
    PatientInstitutionResidence VisitComments ImageComments DerivationDescription AcquisitionComments Allergies
    MedicalAlerts PatientState ReasonForStudy StudyComments ClinicalTrialSubjectID ClinicalTrialSiteName
    ClinicalTrialProtocolName DetectorID GantryID FillerOrderNumberImagingServiceRequest
    PlacerOrderNumberImagingServiceRequest TextComments IdentifyingComments
""".split()
UIDS = (
    "SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID DeviceUID IrradiationEventUID "
    "SynchronizationFrameOfReferenceUID ConcatenationUID"
).split()
#: Dates and times in forms that nothing else has by accident.
DATES = {
    "PatientBirthDate": "19310417",
    "StudyDate": "20110823",
    "SeriesDate": "20110824",
    "AcquisitionDate": "20110825",
    "ContentDate": "20110826",
    "StudyTime": "041733.913711",
    "AcquisitionTime": "041734.913722",
    "AcquisitionDateTime": "20110827041735.913733",
}
PRIVATE = "Sentinel-private"
PLACES = ("Sentinelfolder", "Sentinelinner", "Sentinelfile")


def plant(k, dataset):
    """Put a word into every identifying element, also within a sequence and in a private block."""
    for number, keyword in enumerate(TEXTS):
        setattr(dataset, keyword, f"Sentinel{number:03d}")
    for number, keyword in enumerate(UIDS):
        setattr(dataset, keyword, f"1.2.826.77{number}.{k + 1 if keyword == 'SOPInstanceUID' else 1}")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in DATES.items():
        setattr(dataset, keyword, value)
    inner = Dataset()
    inner.CodeMeaning = "Sentinel-sequence"
    inner.PatientName = "Sentinel-inner"
    dataset.RequestAttributesSequence = [inner]
    for group in (0x0009, 0x0019, 0x7FE1):
        block = dataset.private_block(group, "Sentinel-creator", create=True)
        block.add_new(0x01, "LO", PRIVATE)
        block.add_new(0x02, "OB", PRIVATE.encode() + b"!")
    dataset.add(DataElement(0x60000022, "LO", "Sentinel-overlay"))


def plant_series(folder):
    """A small series below ``folder``, with a word of its own in every element and in every name on the way."""
    write_series(folder / PLACES[0] / PLACES[1], body(4, 64, 64), change=plant, prefix=PLACES[2])
    return folder / PLACES[0]


def secrets_of(folder, tmp_path):
    """Every word that was planted, as it is written in the files."""
    found = {b"Sentinel", str(tmp_path).encode(), tmp_path.name.encode()}
    for value in DATES.values():
        found.add(value.split(".")[-1].encode() if "." in value else value.encode())
    found |= {b"1931-04-17", b"2011-08-23"}
    for path in folder.rglob("*.dcm"):
        for element in dcmread(path).iterall():
            if element.keyword in UIDS:
                found.add(str(element.value).encode())
    return found


def unpacked(name, content):
    """The content, and everything that is compressed in it: zip members, gzip, NRRD data, PNG text chunks."""
    yield name, name.encode() + b"\n" + content
    if content[:2] == b"PK":
        with zipfile.ZipFile(BytesIO(content)) as bundle:
            for member in bundle.namelist():
                yield from unpacked(f"{name}/{member}", bundle.read(member))
            yield name, bundle.comment
    if content[:2] == b"\x1f\x8b":
        yield f"{name} unpacked", gzip.decompress(content)
    if content[:4] == b"NRRD":
        header, _, data = content.partition(b"\n\n")
        if b"encoding: gz" in header:
            yield f"{name} unpacked", zlib.decompress(data, wbits=47)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        place = 8
        while place < len(content):
            length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
            chunk = content[place + 8 : place + 8 + length]
            if kind in (b"zTXt", b"iTXt") and b"\0" in chunk:
                packed = chunk[chunk.index(b"\0") + 2 :]
                yield f"{name} {kind!r}", zlib.decompress(packed) if kind == b"zTXt" else packed
            place += 12 + length


def leaks(everything, secrets):
    return [
        (place, secret)
        for name, content in everything.items()
        for place, plain in unpacked(name, content)
        for secret in secrets
        if secret in plain
    ]


def written_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
