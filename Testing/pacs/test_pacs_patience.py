"""An archive that is slow, busy or away for a moment."""

from __future__ import annotations

import random

import pytest
from CTQualityAssessmentLib.pacs.address import Patience, dimse_address, web_address
from CTQualityAssessmentLib.pacs.archive import open_archive
from CTQualityAssessmentLib.pacs.errors import RefusedError, ServerFaultError, UnreachableError
from CTQualityAssessmentLib.pacs.patience import patiently

from Testing.pacs.doors import door, silence

pytestmark = pytest.mark.xdist_group("orthanc")
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
REFUSED = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def asked(port, tries):
    """Ask for all series, so often."""
    address = web_address(f"http://127.0.0.1:{port}/dicom-web", patience=Patience(timeout_s=20, tries=tries))
    with open_archive(address) as one:
        return patiently(one.patience, lambda: one.find({"Modality": "CT"}))


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were made, without making them, and the same ones each time."""
    found = []
    random.seed(1)
    monkeypatch.setattr("tenacity.nap.time.sleep", found.append)
    return found


def test_a_fault_that_passes_is_asked_again_with_growing_pauses(archive, pauses):
    """Workers that all come back at once keep a busy archive busy; one that gives up at once loses a night."""
    with door(archive.http, faults=[BUSY, b"", BUSY]) as port:
        assert asked(port, 4) == []
    with door(archive.http, faults=[BUSY] * 2) as port, pytest.raises(ServerFaultError):
        asked(port, 2)
    assert len(pauses) == 3 + 1
    pauses.clear()
    with door(archive.http, faults=[BUSY] * 12) as port, pytest.raises(ServerFaultError):
        asked(port, 12)
    assert len(pauses) == 11 and min(pauses) >= 0.5
    assert all(pause <= min(0.5 * 2**n, 30.0) + 0.5 for n, pause in enumerate(pauses))
    assert max(pauses) > 3 * pauses[0] and len(set(pauses[3:])) == len(pauses[3:])


def test_a_refusal_is_not_asked_again(archive, pauses):
    """What was refused once is refused again, and a night goes by."""
    with door(archive.http, faults=[REFUSED]) as port, pytest.raises(RefusedError):
        asked(port, 4)
    assert pauses == []


def test_an_archive_that_takes_the_call_and_says_nothing_is_given_up():
    """A hung archive would otherwise hold a worker for ever."""
    fast = Patience(timeout_s=1, tries=1)
    with silence() as port:
        for address in (
            web_address(f"http://127.0.0.1:{port}/dicom-web", patience=fast),
            dimse_address(f"127.0.0.1:{port}", "CTQA", "ANY", patience=fast),
        ):
            with open_archive(address) as one, pytest.raises(UnreachableError):
                one.find({"Modality": "CT"})
