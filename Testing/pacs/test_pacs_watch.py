"""``ctqa pacs watch``: new series are scored when they are complete, once, until it is ended."""

from __future__ import annotations

import os
import signal
from datetime import date

import pytest
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import Settings
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle
from CTQualityAssessmentLib.pacs.address import Patience, web_address
from CTQualityAssessmentLib.pacs.archive import FoundSeries, open_archive
from CTQualityAssessmentLib.pacs.plan import plan_series
from CTQualityAssessmentLib.pacs.series import do_series
from CTQualityAssessmentLib.pacs.watch import MOST_REFUSALS, Stillness, Turns, last_days
from pydicom.uid import generate_uid

from Testing.batch.running import Command, until
from Testing.dicom_factory import body, write_series
from Testing.pacs.doors import answering
from Testing.pacs.filling import counted, fill, store

pytestmark = pytest.mark.xdist_group("orthanc")


def test_a_series_that_still_grows_is_not_complete():
    """Scored while the scanner sends, half a series would be reported as the whole."""
    stillness = Stillness(quiet_s=60)

    def still(now, **instances):
        found = [FoundSeries("1", uid, number) for uid, number in instances.items()]
        return [one.series_uid for one in stillness.still(found, now)]

    assert still(0, a=10) == []
    assert still(50, a=20, b=5) == []
    assert still(100, a=20, b=5) == []
    assert still(110, a=20, b=6) == ["a"]
    assert still(170, a=20, b=6) == ["a", "b"]
    assert still(180, a=21) == []  # and b was deleted
    assert still(300, a=21, b=6) == ["a"]


def test_a_fault_that_passes_is_waited_for_and_a_refusal_is_not():
    """An archive that is away over a weekend must not cost a series; one that it refuses must not be asked for ever."""
    turns, now = Turns(first_s=60), 0.0
    for _ in range(50):
        assert turns.due("a", now) and not turns.failed("a", True, now)
        assert not turns.due("a", now + 59)
        now += 1800
    assert turns.due("a", now)
    for count in range(MOST_REFUSALS):
        assert turns.due("b", now)
        assert turns.failed("b", False, now) == (count == MOST_REFUSALS - 1)
        assert not turns.due("b", now + 59)
        now += 1800
    assert not turns.due("b", now + 10**6)
    # Faults of the archive in between are no strikes.
    for passing in (True, False, True, False, True):
        assert not turns.failed("c", passing, now)
        now += 1800
    assert turns.due("c", now)
    turns.done("c")
    assert not turns.failed("c", False, now)


def done_while(archive, tmp_path, answer):
    """What a worker says of a series whose archive answers so."""
    fill(archive, tmp_path / "in", 1)
    with open_archive(web_address(archive.url)) as one:
        found = one.find({"Modality": "CT"})
    settings = Settings(DEFAULT_BUNDLE, find_bundle(DEFAULT_BUNDLE).sha256, figures=False)
    output = BatchFolder(tmp_path / "out")
    with output.opened() as run, answering(answer) as port:
        address = web_address(f"http://127.0.0.1:{port}/x", patience=Patience(timeout_s=5, tries=1))
        (entry,) = plan_series(found, output, settings, [])
        outcome = do_series(entry.study, settings, address, str(output.path), run, endure=True)
        assert output.names() == set()  # neither is written down
    return outcome


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "waiting"),
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "waiting"),
        (b"", "waiting"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "failed"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "failed"),
    ],
)
def test_a_worker_tells_faults_that_pass_from_refusals(archive, tmp_path, answer, state):
    """Three restarts of the archive would otherwise set a series aside, and three refusals be repeated for ever."""
    assert done_while(archive, tmp_path, answer).record.state == state


def test_days_are_dates_of_dicom():
    """A watch that asks for the wrong days sees no new study, or the whole archive."""
    assert last_days(1, date(2026, 3, 1)) == "20260301-"
    assert last_days(3, date(2026, 3, 1)) == "20260227-"


def test_days_without_a_look_are_asked_for_afterwards(tmp_path):
    """After a long weekend in which the archive, or this program, was away, its studies would never be scored."""
    output = BatchFolder(tmp_path / "out")
    with output.opened():
        assert output.looked is None
        output.note_look(date(2026, 2, 20))
    with output.opened():
        assert output.looked == date(2026, 2, 20), "a restart forgets it"
        assert last_days(2, date(2026, 3, 1), output.looked) == "20260219-"
        assert last_days(2, date(2026, 2, 10), output.looked) == "20260209-", "a clock that went back"


def test_new_series_are_scored_once_until_it_is_ended(archive, tmp_path):
    """It runs for months beside the archive: it must miss nothing, also after a restart of the archive, report nothing
    twice, and end when the computer is shut down."""
    today = f"{date.today():%Y%m%d}"
    store(archive, write_series(tmp_path / "first", body(2, 48, 48), StudyDate=today))
    # Of a study of its own: an archive takes the date of a study from the first image that it gets of it.
    elsewhere = {"StudyDate": "20010304", "StudyInstanceUID": generate_uid()}
    store(archive, write_series(tmp_path / "old", body(2, 48, 48) + 1, **elsewhere))
    out = tmp_path / "out"
    options = ("--every", 1, "--quiet", 1, "--tries", 1, "--send", "report", "--no-figures")
    command = Command("--url", archive.url, "--out", out, *options, command=("pacs", "watch"))
    until(lambda: counted(archive).get("SR") == 1)
    archive.stop()
    archive.start()
    store(archive, write_series(tmp_path / "second", body(2, 48, 48) + 2, StudyDate=today))
    until(lambda: counted(archive).get("SR") == 2)
    os.kill(command.process.pid, signal.SIGTERM)
    told = command.finish(0)
    assert "Watching." in told and "Ended." in told and told.count(": scored: mean") == 2
    assert counted(archive) == {"CT": 6, "SR": 2}
    assert (out / "index.html").exists() and not list(out.rglob("outbox"))
