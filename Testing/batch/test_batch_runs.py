"""``ctqa batch`` as a user runs it: real processes, killed, resumed, with studies that fail."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
from pathlib import Path

import psutil
import pytest
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE

from Testing.batch.running import Command, done, until, write_studies
from Testing.dicom_factory import PATIENT, body, write_series
from Testing.small_disk import small_disk

REPORT = {"study.json", "assessment.json", "slices.csv", "measures.json", "measures.csv", "index.html"}


def table(out):
    with (out / "studies.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def recorded(out):
    """What the record of an output folder holds, past our own code: every row without its number and time."""
    with contextlib.closing(sqlite3.connect(out / "record.sqlite")) as record:
        return sorted(record.execute("SELECT series_key, state, mean, month, digest, figures FROM results"))


def listening(command):
    """Where the command and its workers wait for connections."""
    family = [psutil.Process(command.process.pid), *psutil.Process(command.process.pid).children(recursive=True)]
    connections = [one for process in family for one in process.net_connections("inet")]
    return {one.laddr for one in connections if one.status == psutil.CONN_LISTEN}


def test_two_hundred_studies_survive_a_kill(tmp_path, monkeypatch):
    """A power cut in the middle of a night must cost the studies that were running, not the night; and a study that is
    assessed twice, or lost, makes every figure of the group wrong. The second run loses a worker, as the kernel ends a
    process when memory is short: its study must come again. All of it is nobody's business but this computer's."""
    root, out, temporary = tmp_path / "in", tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    write_studies(root, 200)
    arguments = (root, "--out", out, "--workers", 2, "--no-figures")
    first = Command(*arguments)
    until(lambda: len(done(out)) >= 60)
    workers, doors = first.workers(), listening(first)
    assert len(doors) >= 3 and {door.ip for door in doors} == {"127.0.0.1"}
    for door in doors:  # nothing answers without the certificate of this run, and there is no page with paths
        with socket.create_connection(door, timeout=60) as visitor, contextlib.suppress(OSError):
            visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: visitor.recv(4096), b""))
            assert not answer.startswith(b"HTTP/1.1 2") and b"Zweistein" not in answer
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.communicate()
    assert len(workers) == 2
    psutil.wait_procs(workers, timeout=60)
    assert not [worker.pid for worker in workers if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE]

    before = done(out)
    assert 60 <= len(before) < 200 and not (out / "index.html").exists()
    stamps = {name: (out / "studies" / name).stat() for name in before}

    second = Command(*arguments)
    until(lambda: len(done(out)) >= len(before) + 20)
    second.workers()[0].kill()
    second.finish(0)
    after = done(out)
    assert len(after) == 200 and {name: after[name] for name in before} == before
    for name, stat in stamps.items():
        now = (out / "studies" / name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    runs = [json.loads(text)["run"] for text in after.values()]
    assert sorted(runs.count(run) for run in set(runs)) == sorted((len(before), 200 - len(before)))
    for folder in (out / "studies").iterdir():
        assert {path.name for path in folder.iterdir()} == REPORT, folder.name
    # Neither run left unpacked or half-done images of a patient, here or in the computer's temporary folder.
    assert {path.name for path in (out / ".ctqa-batch").iterdir()} <= {"key", "run", "lock"}
    assert not any(temporary.iterdir())

    # The record has each once, also those that the killed run did not enter.
    entered = recorded(out)
    assert [row[0] for row in entered] == sorted(after) and {row[3] for row in entered} == {"2001-03"}
    assert {row[0]: json.loads(row[5]) for row in entered} == {n: json.loads(t)["values"] for n, t in after.items()}

    rows = table(out)
    assert {row["study"] for row in rows} == set(after) and len(rows) == 200
    assert {row["state"] for row in rows} == {"scored"}
    for row in rows[::20]:
        document = json.loads((out / "studies" / row["study"] / "assessment.json").read_text())
        assert float(row["mean"]) == pytest.approx(document["summary"]["mean"], rel=1e-5)
        assert row["kernel"] == document["facts"]["kernel"]
    everything = "".join(path.read_text() for path in (out / "index.html", out / "studies.csv"))
    assert not [v for v in (*map(str, PATIENT.values()), "Zweistein", str(tmp_path)) if v in everything]


def test_a_study_that_fails_is_a_row_and_the_second_run_does_nothing(tmp_path):
    """One damaged export must not stop the other studies nor vanish, and a run that is repeated costs seconds."""
    root, out = tmp_path / "in", tmp_path / "out"
    write_studies(root, 3)
    cut = write_series(root / "Zweistein cut", body(3, 48, 48))[1]
    os.truncate(cut, cut.stat().st_size - 3000)
    os.truncate(write_series(root / "Zweistein headless", body(1, 48, 48))[0], 200)
    write_series(root / "Zweistein scout", body(1, 48, 48), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_series(root / "Zweistein air", body(2, 48, 48) * 0 - 1000)
    shutil.make_archive(str(tmp_path / "zipped"), "zip", root / "Zweistein^Ada 0")
    shutil.move(tmp_path / "zipped.zip", root / "Zweistein.zip")
    arguments = (root, "--out", out, "--workers", 1, "--no-figures")

    told = Command(*arguments, "--dry-run").finish(0)
    assert "5 to do, 1 failed, 2 skipped. Nothing was written." in told and not out.exists()

    Command(*arguments).finish(4)
    rows = table(out)
    states = sorted((row["state"], row["reason"]) for row in rows)
    assert [state for state, _ in states] == ["failed"] * 2 + ["no score"] + ["scored"] * 3 + ["skipped"] * 2
    reasons = " ".join(reason for _, reason in states)
    for sentence in ("cut short or damaged", "headers are damaged", "The slice is empty", "scout images", "a copy"):
        assert sentence in reasons
    page = (out / "index.html").read_text()
    for row in rows:
        link = f"studies/{row['study']}/index.html"
        assert row["report"] == (link if row["state"] in ("scored", "no score") else "")
        if "copy" not in row["reason"]:
            assert (f'href="{link}"' in page) == bool(row["report"]) == (out / link).exists()

    before = {path: path.stat().st_mtime_ns for path in (out / "studies").rglob("*")}
    entered = recorded(out)
    assert sorted(row[1] for row in entered) == ["failed"] * 2 + ["no score"] + ["scored"] * 3
    again = Command(*arguments)
    again.finish(4)
    assert recorded(out) == entered
    assert {path: path.stat().st_mtime_ns for path in (out / "studies").rglob("*")} == before

    told = Command(*arguments, "--dry-run", "--identify").process.communicate(timeout=900)[0]
    assert "Zweistein cut: CT, 3 slices" in told and "done, failed: The pixel data are cut short" in told
    write_series(root / "Zweistein cut", body(3, 48, 48))
    assert "1 to do" in Command(*arguments, "--dry-run").finish(0)


def test_a_study_that_always_kills_its_worker_is_given_up_after_three_tries(tmp_path):
    """A study too large for the memory would otherwise kill workers for ever, or take its neighbours with it."""
    root, out = tmp_path / "in", tmp_path / "out"
    write_studies(root, 1, slices=150)
    command = Command(root, "--out", out, "--workers", 1, "--no-figures")
    for _ in range(3):
        # The scratch folder tells that the study is being done.
        worker = until(lambda: list((out / "studies").glob(".ctqa-*")) and command.workers())[0]
        worker.kill()
        shutil.rmtree(until(lambda: list((out / "studies").glob(".ctqa-*")))[0], ignore_errors=True)
    command.finish(4)
    (row,) = table(out)
    assert row["state"] == "failed" and "ended unexpectedly three times" in row["reason"]


def test_ctrl_c_finishes_what_runs_and_the_same_command_goes_on(tmp_path):
    """Who presses Ctrl-C wants the computer back, not to lose the study that is nearly done; the terminal sends it to
    the workers too."""
    root, out = tmp_path / "in", tmp_path / "out"
    write_studies(root, 12)
    arguments = (root, "--out", out, "--workers", 1, "--no-figures")
    command = Command(*arguments)
    until(lambda: len(done(out)) >= 2)
    os.killpg(command.process.pid, signal.SIGINT)
    told = command.finish(130)
    kept = done(out)
    assert "not reached" in told and 2 <= len(kept) < 12 and len(table(out)) == len(kept)
    assert not list((out / "studies").glob(".ctqa-*"))
    Command(*arguments).finish(0)
    assert {name: text for name, text in done(out).items() if name in kept} == kept and len(done(out)) == 12


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    """Who presses it twice does not wait for a study of minutes; what it leaves half done must not pass for done."""
    root, out = tmp_path / "in", tmp_path / "out"
    write_studies(root, 2, slices=200)
    command = Command(root, "--out", out, "--workers", 2, "--no-figures")
    until(lambda: list((out / "studies").glob(".ctqa-*")))
    workers = command.workers()
    os.kill(command.process.pid, signal.SIGINT)
    assert "will be finished" in command.process.stderr.readline()
    os.kill(command.process.pid, signal.SIGINT)
    assert "finished studies are kept" in command.finish(130)
    psutil.wait_procs(workers, timeout=60)
    assert len(workers) == 2 and not any(worker.is_running() for worker in workers)
    assert not done(out)


def test_a_full_disk_stops_the_batch_and_its_studies_are_done_when_there_is_room(tmp_path):
    """A disk that is full at night must not stand in the table as a failure of the studies that met it, nor cost those
    that were done."""
    root = tmp_path / "in"
    write_studies(root, 4)
    with small_disk(tmp_path / "disk") as disk:
        out, ballast = disk / "out", disk / "ballast"
        arguments = (root, "--out", out, "--workers", 1, "--no-figures")
        out.mkdir()
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - 330 * 1024))  # a study takes 100 KiB
        told = Command(*arguments).finish(1)
        assert "No space left" in told
        kept = done(out)
        assert 1 <= len(kept) < 4 and all(json.loads(text)["state"] == "scored" for text in kept.values())
        assert not list((out / "studies").glob(".ctqa-*"))
        ballast.unlink()
        Command(*arguments).finish(0)
        now = done(out)
        assert len(now) == 4 and {name: now[name] for name in kept} == kept
        assert {row["state"] for row in table(out)} == {"scored"} and len(recorded(out)) == 4


def test_two_runs_never_write_into_one_folder(tmp_path):
    """They would do every study twice and overwrite each other's table."""
    from CTQualityAssessmentLib.batch.output import BatchFolder

    write_studies(tmp_path / "in", 1)
    with BatchFolder(tmp_path / "out").opened():
        told = Command(tmp_path / "in", "--out", tmp_path / "out").finish(1)
    assert re.fullmatch(r"Error: Another run is writing [^\n]+\n", told)


def test_a_scheduler_elsewhere_does_the_same(tmp_path, monkeypatch):
    """A department with a cluster gives its address and certificates, and nothing else changes."""
    from distributed import LocalCluster
    from distributed.security import Security

    root, out, models = tmp_path / "in", tmp_path / "out", os.environ["CTQA_MODELS"]
    write_studies(root, 3)
    security = Security.temporary()
    for name, pem in security.get_tls_config_for_role("client").items():
        if name in ("ca_file", "cert", "key"):
            (tmp_path / name).write_text(pem)
    cluster_of = {"n_workers": 1, "host": "127.0.0.1", "dashboard_address": None, "security": security}
    with LocalCluster(threads_per_worker=2, **cluster_of) as cluster:
        arguments = (root, "--out", out, "--no-figures", "--scheduler", cluster.scheduler_address)
        assert cluster.scheduler_address.startswith("tls://127.0.0.1")
        monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CA_FILE", str(tmp_path / "ca_file"))
        assert "No dask scheduler answers" in Command(*arguments).finish(1)
        monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT", str(tmp_path / "cert"))
        monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY", str(tmp_path / "key"))
        command = Command(*arguments)
        command.finish(0)
        assert not command.workers() and len(cluster.workers) == 1
        assert len(done(out)) == 3 and {row["state"] for row in table(out)} == {"scored"}
        # A worker without the model says so, instead of failing every study.
        shutil.copytree(Path(models) / DEFAULT_BUNDLE, tmp_path / "more" / "only-here")
        monkeypatch.setenv("CTQA_MODELS", str(tmp_path / "more"))
        told = Command(root, *arguments[1:2], tmp_path / "second", *arguments[3:], "--model", "only-here").finish(1)
    assert told.startswith("Error: The studies cannot be done on a worker: There is no model of that name")
    assert not done(tmp_path / "second") and not (tmp_path / "second" / "studies.csv").exists()


def test_a_scheduler_that_is_not_there_or_open_to_all_is_refused(tmp_path):
    """Nobody waits for a wrong address, and paths of patients go over no open line unasked."""
    write_studies(tmp_path / "in", 1)
    arguments = (tmp_path / "in", "--out", tmp_path / "out", "--scheduler")
    assert "No dask scheduler answers" in Command(*arguments, "tcp://127.0.0.1:9").finish(1)
    assert "is not encrypted" in Command(*arguments, "tcp://192.0.2.1:8786").finish(1)
