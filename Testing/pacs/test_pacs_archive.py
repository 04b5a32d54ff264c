"""What a worker asks of the archive, in this process: transfers, logins, encryption, faults."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest
from CTQualityAssessmentLib.pacs.address import Patience, web_address
from CTQualityAssessmentLib.pacs.archive import open_archive
from CTQualityAssessmentLib.pacs.errors import (
    AddressError,
    LoginError,
    NoAnswerOfArchiveError,
    PartialTransferError,
    QueryError,
    RedirectError,
    TlsError,
    UnencryptedArchiveError,
    UnreachableError,
)
from CTQualityAssessmentLib.pacs.login import login_for
from CTQualityAssessmentLib.pacs.outbox import send_waiting
from CTQualityAssessmentLib.pacs.query import parse_query
from CTQualityAssessmentLib.pacs.transfer import NotToBeScored, fetch_series
from pydicom import dcmread

from Testing.dicom_factory import body, write_series
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
        with _door(archive.http, cut_after=cut_after) as port:
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
    certificate = _certificate(tmp_path)
    fill(archive, tmp_path, 1)
    with _door(archive.http, certificate) as port:
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
    with _answering(answer) as port, open_archive(web_address(f"http://127.0.0.1:{port}/x", patience=FAST)) as one:
        with pytest.raises(error) as told:
            one.find({"PatientName": "Zweistein*"})
    assert "Zweistein" not in str(told.value) and str(port) not in str(told.value)


def test_addresses_that_would_tell_everyone_are_refused(tmp_path):
    """A password in an argument stands in the list of processes; images over an open line can be read by everyone."""
    for url in ("http://pacs.example.org/dicom-web", "http://192.0.2.1:8042"):
        with pytest.raises(UnencryptedArchiveError):
            web_address(url)
        assert web_address(url, trust_network=True).url == url
    for url in ("https://me:secret@host/x", "https://host/x?token=secret", "ftp://host", "host", "https://[bad", ""):
        with pytest.raises(AddressError) as told:
            web_address(url)
        assert "secret" not in str(told.value)
    (tmp_path / "empty.pem").touch()
    for file in (tmp_path / "empty.pem", tmp_path / "none.pem"):
        with pytest.raises(AddressError):
            web_address("https://host", ca_file=file)


def test_queries_are_read_or_refused():
    """Archives ignore keys that they do not know and give every series: a slip would score the whole archive."""
    assert parse_query(["StudyDate=20260101-20260131 StationName='CT 1'", "BodyPartExamined=CHEST"]) == {
        "StudyDate": "20260101-20260131",
        "StationName": "CT 1",
        "BodyPartExamined": "CHEST",
        "Modality": "CT",
    }
    for wrong in (
        "",
        "Modality",
        "Modality=",
        "=CT",
        "Modality=MR",
        "Patient=Zweistein",
        "StudyDate=2026-01-01",
        "A='x",
    ):
        with pytest.raises(QueryError) as told:
            parse_query([wrong])
        assert "Zweistein" not in str(told.value)
    with pytest.raises(QueryError, match="twice"):
        parse_query(["StudyDate=20260101", "StudyDate=20260102"])


@contextmanager
def _answering(answer):
    """A server that gives every visitor the same bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    visitor, _ = server.accept()
                except OSError:
                    return
                with visitor:
                    visitor.recv(65536)
                    visitor.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def _door(port, certificate=None, cut_after=2**62):
    """A proxy in front of the archive that encrypts (Debian's Orthanc 1.10.1 crashes on HTTPS), or breaks off after so
    many bytes of a connection."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def copy(one, other, left):
        with suppress(OSError):
            while left > 0 and (data := one.recv(min(left, 65536))):
                other.sendall(data)
                left -= len(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve(server):
        with suppress(OSError):
            while True:
                visitor, _ = server.accept()
                with suppress(OSError):
                    inside = context.wrap_socket(visitor, server_side=True) if context else visitor
                    behind = socket.create_connection(("127.0.0.1", port))
                    for job in ((inside, behind, 2**62), (behind, inside, cut_after)):
                        threading.Thread(target=copy, args=job, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _certificate(folder: Path) -> Path:
    """A certificate of its own authority for 127.0.0.1, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test archive")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    text = made.public_bytes(serialization.Encoding.PEM)
    text += key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    file = folder / "archive.pem"
    file.write_bytes(text)
    return file
