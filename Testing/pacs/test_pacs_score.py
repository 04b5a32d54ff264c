"""``ctqa pacs score`` as a department runs it, against a real Orthanc."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
from dataclasses import replace
from datetime import date

import pytest
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import Settings
from CTQualityAssessmentLib.batch.table import table_text
from CTQualityAssessmentLib.cli import app
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle
from CTQualityAssessmentLib.pacs.address import Patience, web_address
from CTQualityAssessmentLib.pacs.archive import open_archive
from CTQualityAssessmentLib.pacs.plan import plan_series
from CTQualityAssessmentLib.pacs.series import do_series
from pydicom import dcmread
from typer.testing import CliRunner

from Testing.batch.running import Command, done, until
from Testing.pacs.doors import door
from Testing.pacs.filling import counted, everything, fill, store
from Testing.pacs.orthanc import PASSWORD, USER
from Testing.sentinels import leaks, plant_series, secrets_of, written_in

pytestmark = pytest.mark.xdist_group("orthanc")
#: The login, which nothing may print or write either.
LOGIN = {PASSWORD.encode()}


def score(archive, out, *more, query="StudyDate=20000101-20201231"):
    arguments = ("--url", archive.url, "--query", query, "--out", out, "--no-figures", "--tries", 2, *more)
    return Command(*arguments, command=("pacs", "score"))


def here(out, *arguments, code):
    """The same command in this process, where no worker is needed."""
    done_here = CliRunner().invoke(app, ["pacs", "score", "--out", str(out), *map(str, arguments)])
    assert done_here.exit_code == code, done_here.output
    return done_here.output


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

    asked = ("--url", archive.url, "--query", "StudyDate=20000101-20201231", "--send", "report,maps", "--no-figures")
    told = {"dry": here(out, *asked, "--dry-run", code=0).encode()}
    assert b"CT, 4 object(s): to do" in told["dry"] and not out.exists()
    assert counted(archive) == {"CT": 4}

    told["run"] = score(archive, out, "--send", "report,maps", "--workers", 1).finish(0).encode()
    assert b"1 scored." in told["run"] and b"Nothing was sent back" not in told["run"]
    before = stored_files(archive)
    told["again"] = here(out, *asked, code=0).encode()
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
    fill(archive, tmp_path, 3)
    out = tmp_path / "out"
    first = score(archive, out, "--send", "report,maps", "--workers", 1)
    until(lambda: len(done(out)) >= 1)
    archive.stop(signal.SIGKILL)
    try:
        told = first.finish(1)
    finally:
        archive.start()
    assert "The archive does not answer (2 tries)." in told
    before = done(out)
    assert 1 <= len(before) < 3
    assert "3 scored." in score(archive, out, "--send", "report,maps", "--workers", 1).finish(0)
    after = done(out)
    assert len(after) == 3 and {name: after[name] for name in before} == before
    assert counted(archive) == {"CT": 6, "SR": 3, "OT": 9}
    reported = [
        one.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].SeriesInstanceUID
        for one in everything(archive)
        if one.Modality == "SR"
    ]
    assert len(set(reported)) == 3 == len(reported)
    assert not list(out.rglob("*.dcm")) and not list(out.rglob("outbox"))


def test_a_damaged_series_is_a_row_with_its_reason(archive, tmp_path):
    """One broken file in the archive must not stop the night, nor vanish; it is not tried for ever."""
    fill(archive, tmp_path / "good", 1)
    fill(
        archive, tmp_path / "cut", 1, 3, change=lambda k, one: setattr(one, "PixelData", one.PixelData[: 2000 - 2 * k])
    )
    fill(archive, tmp_path / "lost", 1, 5)
    for path in stored_files(archive):
        if path.read_bytes()[128:132] == b"DICM" and dcmread(path).InstanceNumber == 5:
            os.truncate(path, 0)  # a disk error in the archive
    address = web_address(archive.url, patience=Patience(tries=2))
    settings = Settings(DEFAULT_BUNDLE, find_bundle(DEFAULT_BUNDLE).sha256, figures=False)
    output = BatchFolder(tmp_path / "out")
    with open_archive(address) as one:
        found = one.find({"Modality": "CT"})
    with output.opened() as run:
        plan = plan_series(found, output, settings, ["report"])
        done_now = [do_series(entry.study, settings, address, str(output.path), run).record for entry in plan]
        after = plan_series(found, output, settings, ["report"])
    rows = table_text([replace(e, record=r) for e, r in zip(plan, done_now, strict=True)], {}, False)
    states = {row["input"]: (row["state"], row["reason"]) for row in csv.DictReader(rows.splitlines())}
    assert states["CT, 2 object(s)"] == ("scored", "")
    assert states["CT, 3 object(s)"] == ("failed", "The pixel data are cut short or damaged.")
    assert states["CT, 5 object(s)"] == ("failed", "4 of 5 images of the series arrived whole.")
    assert counted(archive)["SR"] == 1
    # The transfer is tried again next time, the damaged images are not.
    assert {e.label: e.record.state if e.record else e.left for e in after} == {
        "CT, 2 object(s)": "scored",
        "CT, 3 object(s)": "failed",
        "CT, 5 object(s)": "to do",
    }


def test_wrong_use_is_refused_in_a_sentence(archive, tmp_path, monkeypatch):
    """A wrong password, a query with a slip, or an open line end at once, before anything is fetched or written."""
    fill(archive, tmp_path, 1)
    out = tmp_path / "out"
    url = ("--url", archive.url)
    assert "no keyword of DICOM" in here(out, *url, "--query", "Modalty=CT", code=2)
    assert "no CT series that matches" in here(out, *url, "--query", "StudyDate=19990101", code=3)
    assert "not encrypted" in here(out, "--url", "http://pacs.example.org/x", "--query", "Modality=CT", code=2)
    assert "Either --url or --dimse" in here(out, "--query", "Modality=CT", code=2)
    assert "--send takes report, maps, denoised" in here(
        out, *url, "--query", "Modality=CT", "--send", "images", code=2
    )
    assert "belong to --send denoised" in here(out, *url, "--query", "Modality=CT", "--strength", 0.5, code=2)
    monkeypatch.setenv("CTQA_PACS_PASSWORD", "wrong-4711")
    told = here(out, *url, "--query", "Modality=CT", code=1)
    assert "refuses the login" in told and "wrong-4711" not in told and USER not in told
    assert not out.exists()


def test_what_could_not_be_sent_goes_out_when_no_query_finds_its_series_any_more(archive, tmp_path):
    """Reports of a night in which the archive was full would lie on a disk for ever, naming their patients."""
    fill(archive, tmp_path / "in", 1)
    out = tmp_path / "out"
    send = ("--send", "report", "--workers", 1, "--no-figures", "--tries", 1)
    with door(archive.http, stores=False) as port:
        url = archive.url.replace(str(archive.http), str(port))
        told = Command("--url", url, "--query", "Modality=CT", "--out", out, *send, command=("pacs", "score")).finish(4)
    assert "1 series: Not sent back yet: " in told and "SR" not in counted(archive)

    old = ("--url", archive.url, "--query", "StudyDate=19990101")
    assert "no CT series that matches" in here(out, *old, code=3), "without --send nothing is to be done"
    told = here(out, "--url", archive.url, "--query", "Modality=CT", code=0)
    assert "Results of 1 series wait to be sent since an earlier run." in told

    archive.clear()
    told = Command(*old, "--out", out, *send, command=("pacs", "score")).finish(4)
    assert "The archive does not have the study." in told and not counted(archive), "another archive got the report"

    store(archive, sorted((tmp_path / "in" / "series 0").iterdir()))
    options = ("--every", 1, "--quiet", 1, "--tries", 1, "--send", "report", "--no-figures")
    watching = Command("--url", archive.url, "--out", out, *options, command=("pacs", "watch"))
    until(lambda: counted(archive).get("SR") == 1)
    os.kill(watching.process.pid, signal.SIGTERM)
    watching.finish(0)
    assert not list(out.rglob("outbox")) and counted(archive) == {"CT": 2, "SR": 1}
    assert BatchFolder(out).looked == date.today()
