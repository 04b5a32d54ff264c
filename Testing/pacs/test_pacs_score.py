"""``ctqa pacs score`` as a department runs it, against a real Orthanc."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess

import pytest
from pydicom import dcmread

from Testing.batch.running import Command, done, until
from Testing.pacs.filling import counted, everything, fill, store
from Testing.pacs.orthanc import PASSWORD, USER
from Testing.sentinels import leaks, plant_series, secrets_of, written_in

pytestmark = pytest.mark.xdist_group("orthanc")
#: The login, which nothing may print or write either.
LOGIN = {PASSWORD.encode()}


def score(archive, out, *more, query="StudyDate=20000101-20201231"):
    arguments = ("--url", archive.url, "--query", query, "--out", out, "--no-figures", "--tries", 2, *more)
    return Command(*arguments, command=("pacs", "score"))


def stored_files(archive):
    return {path: path.stat().st_mtime_ns for path in (archive.folder / "storage").rglob("*") if len(path.name) > 30}


def test_found_scored_sent_back_and_read_back_once(archive, tmp_path):
    """The radiologist finds report and maps beside the images they speak of; a second run would otherwise file them
    twice; and what stays on the disk of the department's server must name nobody."""
    planted = plant_series(tmp_path)
    images = sorted(planted.rglob("*.dcm"))
    store(archive, images)
    secrets = secrets_of(planted, tmp_path) | LOGIN
    out = tmp_path.parent / "results-of-the-archive"

    told = {"dry": score(archive, out, "--send", "report,maps", "--dry-run").finish(0).encode()}
    assert b"CT, 4 object(s): to do" in told["dry"] and not out.exists()
    assert counted(archive) == {"CT": 4}

    told["run"] = score(archive, out, "--send", "report,maps", "--workers", 1).finish(0).encode()
    assert b"1 scored." in told["run"] and b"Nothing was sent back" not in told["run"]
    before = stored_files(archive)
    told["again"] = score(archive, out, "--send", "report,maps").finish(0).encode()
    assert b"1 scored." in told["again"] and stored_files(archive) == before
    assert leaks(written_in(out) | told, secrets) == []

    assert counted(archive) == {"CT": 4, "SR": 1, "OT": 3}
    sources = {dcmread(path).SOPInstanceUID for path in images}
    patient = dcmread(images[0])
    for one in everything(archive):
        assert (one.PatientID, one.StudyInstanceUID) == (patient.PatientID, patient.StudyInstanceUID)
        if one.Modality == "SR":
            evidence = one.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
            assert {item.ReferencedSOPInstanceUID for item in evidence.ReferencedSOPSequence} == sources
        elif one.Modality == "OT":
            frames = one.PerFrameFunctionalGroupsSequence
            told_of = {f.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for f in frames}
            assert told_of == sources
        if one.Modality != "CT" and shutil.which("dciodvfy"):
            one.save_as(tmp_path / "back.dcm", enforce_file_format=True)
            run = subprocess.run(["dciodvfy", tmp_path / "back.dcm"], capture_output=True, text=True, check=False)
            assert "Error" not in "".join(line for line in run.stderr.splitlines(True) if "<Sentinel" not in line)


def test_a_server_that_stops_in_the_middle_loses_nothing_and_gets_nothing_twice(archive, tmp_path):
    """Archives are restarted in the night. What was not sent must come later, what was sent must not come again."""
    fill(archive, tmp_path, 5)
    out = tmp_path / "out"
    first = score(archive, out, "--send", "report,maps", "--workers", 1)
    until(lambda: len(done(out)) >= 2)
    archive.stop(signal.SIGKILL)
    try:
        told = first.finish(1)
    finally:
        archive.start()
    assert "The archive does not answer (2 tries)." in told
    before = done(out)
    assert 2 <= len(before) < 5
    assert "5 scored." in score(archive, out, "--send", "report,maps", "--workers", 1).finish(0)
    after = done(out)
    assert len(after) == 5 and {name: after[name] for name in before} == before
    assert counted(archive) == {"CT": 10, "SR": 5, "OT": 15}
    reported = [
        one.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].SeriesInstanceUID
        for one in everything(archive)
        if one.Modality == "SR"
    ]
    assert len(set(reported)) == 5
    assert not list(out.rglob("*.dcm")) and not list(out.rglob("outbox"))


def test_a_damaged_series_is_a_row_with_its_reason(archive, tmp_path):
    """One broken file in the archive must not stop the night, nor vanish; it is not tried for ever."""
    fill(archive, tmp_path / "good", 1)
    fill(archive, tmp_path / "cut", 1, 3, change=lambda k, one: setattr(one, "PixelData", one.PixelData[: 2000 - k]))
    fill(archive, tmp_path / "lost", 1, 5)
    for path in stored_files(archive):
        if b"DICM" in path.read_bytes()[:132] and dcmread(path).InstanceNumber == 5:
            os.truncate(path, 0)  # a disk error in the archive
    out = tmp_path / "out"
    told = score(archive, out, "--send", "report", "--workers", 1).finish(4)
    assert "1 scored, 2 failed." in re.sub(
        r"2 failed, 1 scored|1 failed, 1 scored, 1 failed", "1 scored, 2 failed", told
    )
    with (out / "studies.csv").open(encoding="utf-8", newline="") as file:
        reasons = {row["input"]: row["reason"] for row in csv.DictReader(file)}
    assert reasons["CT, 2 object(s)"] == ""
    assert "cut short or damaged" in reasons["CT, 3 object(s)"]
    assert "4 of 5" in reasons["CT, 5 object(s)"] or "answers" in reasons["CT, 5 object(s)"]
    assert counted(archive)["SR"] == 1
    # The transfer is tried again, the damaged images are not.
    again = score(archive, out, "--send", "report", "--dry-run").finish(0)
    assert "CT, 5 object(s): to do" in again and "CT, 3 object(s): done, failed" in again


def test_wrong_use_is_refused_in_a_sentence(archive, tmp_path, monkeypatch):
    """A wrong password, a query with a slip, or an open line end at once, before anything is fetched or written."""
    fill(archive, tmp_path, 1)
    out = tmp_path / "out"
    assert "no keyword of DICOM" in score(archive, out, query="Modalty=CT").finish(2)
    assert "no CT series that matches" in score(archive, out, query="StudyDate=19990101").finish(3)
    open_line = ("--query", "Modality=CT", "--out", out)
    named = Command(*open_line, "--url", "http://pacs.example.org/dicom-web", command=("pacs", "score"))
    assert "not encrypted" in named.finish(2)
    monkeypatch.setenv("CTQA_PACS_PASSWORD", "wrong-4711")
    told = score(archive, out).finish(1)
    assert "refuses the login" in told and "wrong-4711" not in told and USER not in told
    assert not out.exists()
