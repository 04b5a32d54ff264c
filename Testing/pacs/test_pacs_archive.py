"""What a worker asks of the archive, in this process: transfers, logins, encryption, faults."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from CTQualityAssessmentLib.pacs.address import Patience, web_address
from CTQualityAssessmentLib.pacs.archive import open_archive
from CTQualityAssessmentLib.pacs.errors import (
    LoginError,
    NoAnswerOfArchiveError,
    PartialTransferError,
    RedirectError,
    TlsError,
    UnreachableError,
)
from CTQualityAssessmentLib.pacs.login import login_for
from CTQualityAssessmentLib.pacs.outbox import send_waiting
from CTQualityAssessmentLib.pacs.transfer import NotToBeScored, fetch_series
from pydicom import dcmread

from Testing.dicom_factory import body, write_series
from Testing.pacs.doors import answering, door, write_certificate
from Testing.pacs.filling import counted, fill, store

pytestmark = pytest.mark.xdist_group("orthanc")
FAST = Patience(timeout_s=20, tries=2)
CT = {"Modality": "CT"}


def opened(archive, **keywords):
    return open_archive(web_address(archive.url, patience=FAST, **keywords))


def test_all_pages_are_found_and_only_ct(archive, tmp_path, monkeypatch):
    """A month has more series than an archive gives at a time: those of the second page would never be scored."""
    uids = fill(archive, tmp_path, 5, Modality="CT")
    store(archive, write_series(tmp_path / "other", body(1), Modality="MR"))
    monkeypatch.setattr("CTQualityAssessmentLib.pacs.dicomweb._PAGE", 2)
    with opened(archive) as one:
        found = one.find(CT)
    assert sorted(item.series_uid for item in found) == sorted(uids) and len(found) == 5
    assert {item.instances for item in found} == {2}
    assert not any(uid in repr(found) for uid in uids)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"])
def test_images_arrive_as_they_are_stored(archive, tmp_path, syntax):
    """An archive that unpacks or changes images on the way would have other noise scored than radiologists see."""
    paths = write_series(tmp_path / "in", body(3, 64, 64), syntax=syntax)
    store(archive, paths)
    with opened(archive) as one:
        (found,) = one.find(CT)
        fetch_series(one, found, tmp_path / "got")
    got = {(d := dcmread(path)).SOPInstanceUID: d for path in (tmp_path / "got").iterdir()}
    for path in paths:
        sent = dcmread(path)
        assert got[sent.SOPInstanceUID].file_meta.TransferSyntaxUID == syntax
        assert got[sent.SOPInstanceUID].PixelData == sent.PixelData
    assert (tmp_path / "got").stat().st_mode & 0o077 == 0


def test_another_number_of_images_than_told_is_no_series(archive, tmp_path):
    """Half a chest has another score than the whole one, and nobody would notice."""
    fill(archive, tmp_path / "in", 1, 4)
    with opened(archive) as one:
        (found,) = one.find(CT)
        with pytest.raises(PartialTransferError, match="4 of 5 images"):
            fetch_series(one, replace(found, instances=5), tmp_path / "got")
        with pytest.raises(PartialTransferError, match="did not tell of"):
            fetch_series(one, replace(found, instances=3), tmp_path / "got")


def test_a_series_that_breaks_the_connection_each_time_does_not_end_the_run(archive, tmp_path):
    """One image that the archive chokes on would keep all others waiting for it, night after night."""
    fill(archive, tmp_path / "in", 1, 4)
    for cut_after in (9_000, 12_000, 21_500):  # the last lies in the pixels of the last image
        with door(archive.http, cut_after=cut_after) as port:
            address = web_address(f"http://127.0.0.1:{port}/dicom-web", patience=FAST)
            with open_archive(address) as one:
                (found,) = one.find(CT)
                with pytest.raises(PartialTransferError, match=r"[123] of 4 images"):
                    fetch_series(one, found, tmp_path / "got")
    with open_archive(address) as one, pytest.raises(UnreachableError):
        fetch_series(one, found, tmp_path / "got")


def test_what_this_program_made_is_left_alone(archive, tmp_path):
    """A denoised series would be scored, and its score taken for the scanner's."""
    fill(archive, tmp_path / "in", 1, Manufacturer="CTQualityAssessment")
    with opened(archive) as one:
        (found,) = one.find(CT)
        with pytest.raises(NotToBeScored, match="This program made the series"):
            fetch_series(one, found, tmp_path / "got")
    assert not any((tmp_path / "got").iterdir())


def test_a_success_that_stored_nothing_is_none(archive, tmp_path):
    """Orthanc answers so where it cannot take an upload apart: the report would be lost, and the ledger say that it is
    there."""
    box = tmp_path / "study" / "outbox"
    box.mkdir(parents=True)
    (path,) = write_series(box, body(1))
    kept = path.read_bytes()
    with opened(archive) as one:
        one._sender.set_chunk_size(100_000)
        one._sender._encode_multipart_message = lambda data, content_type: b"--no such boundary\r\n" + b"".join(data)
        told = send_waiting(one, tmp_path / "study", fresh=True)
    assert told is not None and told.startswith("Not sent back yet: ") and path.read_bytes() == kept
    assert counted(archive) == {}


def test_an_object_that_the_archive_has_already_is_not_sent_again(archive, tmp_path, monkeypatch):
    """Killed between sending and forgetting, the next run would make two reports of one study."""
    box = tmp_path / "study" / "outbox"
    box.mkdir(parents=True)
    (path,) = write_series(box, body(1))
    store(archive, [path])
    monkeypatch.setattr(
        "CTQualityAssessmentLib.pacs.dicomweb.DicomWebArchive.store", lambda *_: pytest.fail("sent a second time")
    )
    with opened(archive) as one:
        assert send_waiting(one, tmp_path / "study") is None
    assert not box.exists() and counted(archive) == {"CT": 1}


def test_the_login_comes_from_environment_or_keyring(archive, monkeypatch):
    """Who stores the password in the keyring must get in; a wrong one is told without being repeated."""
    import keyring
    from keyring.backends import null
    from keyring.credentials import SimpleCredential

    password = os.environ["CTQA_PACS_PASSWORD"]
    monkeypatch.delenv("CTQA_PACS_PASSWORD")
    place = archive.url.split("/")[2]

    class Ring(null.Keyring):
        def get_credential(self, service, username):
            return SimpleCredential("tester", password) if service == f"ctqa-pacs {place}" else None

    before = keyring.get_keyring()
    keyring.set_keyring(Ring())
    try:
        with opened(archive) as one:
            assert one.find(CT) == []
        assert password not in repr(login_for(place))
        monkeypatch.setenv("CTQA_PACS_TOKEN", "no-such-token")
        with opened(archive) as one, pytest.raises(LoginError) as told:
            one.find(CT)
        assert "no-such-token" not in str(told.value)
    finally:
        keyring.set_keyring(before)


def test_a_certificate_that_is_not_trusted_is_refused(tmp_path, archive):
    """Whoever sits between could read every image and the password."""
    certificate = write_certificate(tmp_path)
    fill(archive, tmp_path, 1)
    with door(archive.http, certificate) as port:
        place = f"127.0.0.1:{port}/dicom-web"
        for url in (f"https://{place}", f"https://localhost:{port}/dicom-web"):
            with open_archive(web_address(url, patience=FAST)) as one, pytest.raises(TlsError):
                one.find(CT)
        with open_archive(web_address(f"https://{place}", patience=FAST, ca_file=certificate)) as one:
            assert len(one.find(CT)) == 1
        # The certificate is for another name.
        other = web_address(f"https://localhost:{port}/dicom-web", patience=FAST, ca_file=certificate)
        with open_archive(other) as one, pytest.raises(TlsError):
            one.find(CT)
    plain = web_address(archive.url.replace("http:", "https:"), patience=FAST)
    with open_archive(plain) as one, pytest.raises(TlsError):
        one.find(CT)


ANSWERS = {
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/x\r\nContent-Length: 0\r\n\r\n", RedirectError),
    "page": (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", NoAnswerOfArchiveError),
    "number": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[1]",
        NoAnswerOfArchiveError,
    ),
    "cut": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n[{", UnreachableError),
    "nothing": (b"", UnreachableError),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_archive_is_told_in_one_sentence(name):
    """A login page or a broken proxy would otherwise end in a traceback that quotes the query."""
    answer, error = ANSWERS[name]
    with answering(answer) as port, open_archive(web_address(f"http://127.0.0.1:{port}/x", patience=FAST)) as one:
        with pytest.raises(error) as told:
            one.find({"PatientName": "Zweistein*"})
    assert "Zweistein" not in str(told.value) and str(port) not in str(told.value)
