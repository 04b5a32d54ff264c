"""What a user writes: addresses and queries, without an archive."""

from __future__ import annotations

import pytest
from CTQualityAssessmentLib.pacs.address import web_address
from CTQualityAssessmentLib.pacs.errors import AddressError, QueryError, UnencryptedArchiveError
from CTQualityAssessmentLib.pacs.query import parse_query


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
