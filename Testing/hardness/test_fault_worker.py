"""The worker on a failing machine: if these fail, a window waits for ever or shows half a result."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.worker import client
from CTQualityAssessmentLib.worker.client import WorkerEndedError, run_in_worker
from CTQualityAssessmentLib.worker.exchange import read_result, write_volume
from CTQualityAssessmentLib.worker.faults import describe
from CTQualityAssessmentLib.worker.protocol import AssessRequest, RunCancelledError, decode, encode

from Testing.bundle_factory import write_bundle

pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and signals of Linux"),
]


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "tiny")


def ask(folder, id_, ct, bundle, **changes) -> AssessRequest:
    (folder / id_).mkdir()
    fields = write_volume(folder / f"{id_}.npy", read_volume(ct)) | {"attention_stages": [3]} | changes
    return AssessRequest(id=id_, folder=str(folder / id_), model=str(bundle), device="cpu", **fields)


@pytest.fixture
def started(monkeypatch):
    """The processes that are started, so that a test can do them harm."""
    found: list[subprocess.Popen] = []
    real = client.subprocess.Popen
    monkeypatch.setattr(client.subprocess, "Popen", lambda *a, **k: found.append(real(*a, **k)) or found[-1])
    return found


@pytest.mark.parametrize("stage", ["Assessing slices"])
def test_a_worker_that_is_killed_at_any_stage_leaves_no_result(tmp_path, ct, bundle, started, stage):
    request = ask(tmp_path, "a", ct, bundle)

    def kill(done, total, message):
        if message == stage:
            os.kill(started[0].pid, signal.SIGKILL)

    with pytest.raises(WorkerEndedError):
        run_in_worker(request, progress=kill)
    # The masks of the slices so far are no result: they are read with the messages that announce them.
    assert {path.name for path in Path(request.folder).iterdir()} <= {"worker.log", "bodies.npy"}


def test_a_worker_that_was_stopped_can_be_cancelled(tmp_path, ct, bundle, started, monkeypatch):
    """A paused container, a disk that does not answer: nothing comes, and Cancel must still work."""
    monkeypatch.setattr(client, "_PATIENCE_S", 0.5)
    monkeypatch.setattr(client, "CLOSING_SECONDS", 0)
    stopped = []

    def stop(done, total, message):
        os.kill(started[0].pid, signal.SIGSTOP)
        stopped.append(message)

    with pytest.raises(RunCancelledError):
        run_in_worker(ask(tmp_path, "a", ct, bundle), progress=stop, cancelled=lambda: bool(stopped))
    assert stopped and started[0].returncode == -signal.SIGKILL


def test_a_worker_outlives_a_full_disk_a_hostile_model_and_nonsense(tmp_path, disk, ct, bundle):
    """Each ends with its sentence, and the next request is served by the model that was loaded before."""
    full = ask(disk, "full", ct, bundle)
    (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free))
    hostile = shutil.copytree(bundle, tmp_path / "a hostile bundle")
    (hostile / "models" / "model.safetensors").write_bytes(b"\x80\x04")
    good = [ask(tmp_path, name, ct, bundle) for name in ("before", "after")]
    wrong = ask(tmp_path, "wrong", ct, bundle).to_message() | {"array": str(tmp_path / "nothing.npy")}
    lines = [good[0].to_message(), full.to_message(), ask(tmp_path, "hostile", ct, hostile).to_message(), wrong]
    sent = "".join(map(encode, [*lines, good[1].to_message()])) + '{"t":"quit"\n[]\n'
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-m", "CTQualityAssessmentLib.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    ends = {}
    process.stdin.write(sent.encode())
    process.stdin.flush()
    for line in process.stdout:
        message = decode(line)
        if message["t"] in ("done", "error") and message["id"] is not None:
            ends[message["id"]] = message.get("kind", message["t"])
        if "after" in ends:
            break
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()
    assert ends == {"before": "done", "full": "disk", "hostile": "bad-model", "wrong": "bad-input", "after": "done"}
    assert read_result(tmp_path / "before").scores().tolist() == read_result(tmp_path / "after").scores().tolist()
    assert {path.name for path in (disk / "full").iterdir() if not path.name.startswith(".")} <= {"bodies.npy"}


def test_what_a_disk_answers_is_told_without_its_path():
    for number in (errno.ENOSPC, errno.EROFS, errno.EIO):
        told = describe(OSError(number, os.strerror(number), "/home/Zweistein"))
        assert told["kind"] == "disk" and "Zweistein" not in json.dumps(told) and "Free space" in told["advice"]
