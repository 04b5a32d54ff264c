"""The same with an archive that knows no DICOMweb: C-FIND, C-GET and C-STORE against the same Orthanc."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import Settings
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle
from CTQualityAssessmentLib.pacs.address import Patience, dimse_address
from CTQualityAssessmentLib.pacs.archive import open_archive
from CTQualityAssessmentLib.pacs.errors import (
    AddressError,
    AssociationError,
    BrokenOffError,
    PartialTransferError,
    TlsError,
    UnencryptedArchiveError,
    UnreachableError,
)
from CTQualityAssessmentLib.pacs.plan import plan_series
from CTQualityAssessmentLib.pacs.receiving import receiving
from CTQualityAssessmentLib.pacs.series import do_series
from CTQualityAssessmentLib.pacs.transfer import NotToBeScored, fetch_series
from pydicom import dcmread
from pynetdicom import build_context

from Testing.dicom_factory import body, write_series
from Testing.pacs.doors import door, write_certificate
from Testing.pacs.filling import counted, fill, store
from Testing.pacs.orthanc import AET, MOVE_AET, OUR_AET, free_port

pytestmark = pytest.mark.xdist_group("orthanc")
FAST = Patience(timeout_s=20, tries=2)


def address(archive, ours=OUR_AET, **keywords):
    return dimse_address(f"127.0.0.1:{archive.dicom}", ours, AET, patience=FAST, **keywords)


def test_found_scored_sent_back_and_left_alone_the_second_time(archive, tmp_path):
    """Many archives have no DICOMweb; with them too nothing may be done twice, and nothing but CT be scored."""
    fill(archive, tmp_path / "ct", 2)
    store(archive, write_series(tmp_path / "mr", body(1), Modality="MR"))
    settings = Settings(DEFAULT_BUNDLE, find_bundle(DEFAULT_BUNDLE).sha256, figures=False)
    output = BatchFolder(tmp_path / "out")
    where = address(archive)
    with output.opened() as run, open_archive(where) as one:
        found = one.find({"Modality": "CT", "StudyDate": "20010101-20011231", "BodyPartExamined": "ABDOMEN"})
        assert [item.instances for item in found] == [2, 2]
        for entry in plan_series(found, output, settings, ["report", "maps"]):
            outcome = do_series(entry.study, settings, where, str(output.path), run)
            assert outcome.record is not None, outcome.unfit
            assert (outcome.record.state, outcome.record.reason) == ("scored", None)
        assert all(entry.record for entry in plan_series(found, output, settings, ["report", "maps"]))
        assert one.find({"Modality": "CT", "StudyDate": "19990101"}) == []
    assert counted(archive) == {"CT": 4, "MR": 1, "SR": 2, "OT": 6}


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"])
def test_images_arrive_whole_and_as_they_are_stored(archive, tmp_path, syntax):
    """Half a chest, or images that were packed anew, have another score."""
    paths = write_series(tmp_path / "in", body(3, 64, 64), syntax=syntax)
    store(archive, paths)
    sent = {(d := dcmread(path)).SOPInstanceUID: d for path in paths}
    with open_archive(address(archive)) as one:
        (found,) = one.find({"Modality": "CT"})
        fetch_series(one, found, tmp_path / "got")
        got = {(d := dcmread(path)).SOPInstanceUID: d for path in (tmp_path / "got").iterdir()}
        assert {uid: (d.file_meta.TransferSyntaxUID, d.PixelData) for uid, d in got.items()} == {
            uid: (syntax, d.PixelData) for uid, d in sent.items()
        }
        first = next(iter(sent.values()))
        assert one.has(first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID)
        assert not one.has(first.StudyInstanceUID, first.SeriesInstanceUID, "1.2.3")
        for instances, message in ((4, "3 of 4 images"), (2, "did not tell of")):
            with pytest.raises(PartialTransferError, match=message):
                fetch_series(one, replace(found, instances=instances), tmp_path / "got")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"])
def test_an_archive_without_get_sends_to_our_own_service(archive, tmp_path, syntax):
    """Many archives only know C-MOVE: they call back and send. What arrives must be whole, theirs, and as stored."""
    paths = write_series(tmp_path / "in", body(3, 64, 64), syntax=syntax)
    store(archive, paths)
    sent = {(d := dcmread(path)).SOPInstanceUID: d.PixelData for path in paths}
    with open_archive(address(archive, MOVE_AET)) as one:
        (found,) = one.find({"Modality": "CT"})
        with pytest.raises(PartialTransferError, match="0 of 3 images"):
            fetch_series(one, found, tmp_path / "got")
    moving = address(archive, MOVE_AET, move_port=archive.move_port)
    with open_archive(moving) as one:
        fetch_series(one, found, tmp_path / "got")
        got = {(d := dcmread(path)).SOPInstanceUID: d for path in (tmp_path / "got").iterdir()}
        assert {uid: d.PixelData for uid, d in got.items()} == sent
        assert {d.file_meta.TransferSyntaxUID for d in got.values()} == {syntax}
        for instances, message in ((4, "3 of 4 images"), (2, "did not tell of")):
            with pytest.raises(PartialTransferError, match=message):
                fetch_series(one, replace(found, instances=instances), tmp_path / "got")
    with socket.socket() as probe:  # nothing listens any more
        assert probe.connect_ex(("127.0.0.1", archive.move_port)) != 0


def test_our_service_takes_from_the_archive_only(archive):
    """Whoever finds the port open could otherwise have a strange image scored as the patient's."""
    from pynetdicom import AE
    from pynetdicom.sop_class import CTImageStorage

    address_here = address(archive, MOVE_AET, move_port=free_port())
    with receiving(address_here, [CTImageStorage], ["1.2.840.10008.1.2.1"], lambda event: 0):
        for ours, called, taken in ((AET, MOVE_AET, True), ("STRANGER", MOVE_AET, False), (AET, "OTHER", False)):
            peer = AE(ours).associate("127.0.0.1", address_here.move_port, [build_context(CTImageStorage)], called)
            assert peer.is_established == taken
            peer.abort()
    with pytest.raises(AddressError, match="without encryption"):
        dimse_address("127.0.0.1:104", OUR_AET, AET, tls=True, move_port=11112)


def test_what_this_program_made_is_left_alone(archive, tmp_path):
    """A denoised series would be scored, and its score taken for the scanner's."""
    fill(archive, tmp_path / "in", 1, Manufacturer="CTQualityAssessment")
    with open_archive(address(archive)) as one:
        (found,) = one.find({"Modality": "CT"})
        with pytest.raises(NotToBeScored, match="This program made the series"):
            fetch_series(one, found, tmp_path / "got")


def test_an_encrypted_association_needs_a_certificate_that_is_trusted(archive, tmp_path):
    """Whoever sits between could read every image."""
    certificate = write_certificate(tmp_path)
    fill(archive, tmp_path / "in", 1)
    with door(archive.dicom, certificate) as port:
        place = f"127.0.0.1:{port}"
        with open_archive(dimse_address(place, OUR_AET, AET, tls=True, patience=FAST)) as one:
            with pytest.raises(TlsError):
                one.find({"Modality": "CT"})
        trusted = dimse_address(place, OUR_AET, AET, tls=True, ca_file=certificate, patience=FAST)
        with open_archive(trusted) as one:
            (found,) = one.find({"Modality": "CT"})
            fetch_series(one, found, tmp_path / "got")
    assert len(list((tmp_path / "got").iterdir())) == 2


def test_who_is_not_known_or_not_there_is_told_apart(archive, tmp_path):
    """An administrator has to know whether the title, the port or the encryption is wrong."""
    with open_archive(address(archive, "STRANGER")) as one, pytest.raises(BrokenOffError):
        one.find({"Modality": "CT"})
    nobody = dimse_address(f"127.0.0.1:{free_port()}", OUR_AET, AET, patience=FAST)
    with open_archive(nobody) as one, pytest.raises(UnreachableError):
        one.find({"Modality": "CT"})
    with open_archive(address(archive, tls=True)) as one, pytest.raises((TlsError, UnreachableError)):
        one.find({"Modality": "CT"})
    with open_archive(address(archive, OUR_AET)) as one:
        one.ping()
        (path,) = write_series(tmp_path, body(1), SOPClassUID="1.2.3.4")
        with pytest.raises(AssociationError, match="does not offer this service"):
            one.store(path)
    with pytest.raises(UnencryptedArchiveError):
        dimse_address("pacs.example.org:104", OUR_AET, AET)
    for place, ours in (("127.0.0.1", "A"), ("127.0.0.1:0", "A"), ("127.0.0.1:x", "A"), ("127.0.0.1:1", "A" * 17)):
        with pytest.raises(AddressError):
            dimse_address(place, ours, AET)
