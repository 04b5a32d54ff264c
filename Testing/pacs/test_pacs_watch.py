"""``ctqa pacs watch``: new series are scored when they are complete, once, until it is ended."""

from __future__ import annotations

import os
import signal
from datetime import date

import pytest
from CTQualityAssessmentLib.pacs.archive import FoundSeries
from CTQualityAssessmentLib.pacs.watch import Stillness, last_days
from pydicom.uid import generate_uid

from Testing.batch.running import Command, until
from Testing.dicom_factory import body, write_series
from Testing.pacs.filling import counted, store

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


def test_days_are_dates_of_dicom():
    """A watch that asks for the wrong days sees no new study, or the whole archive."""
    assert last_days(1, date(2026, 3, 1)) == "20260301-"
    assert last_days(3, date(2026, 3, 1)) == "20260227-"


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
