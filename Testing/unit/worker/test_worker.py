"""If these fail, a window freezes, loses results, or leaves processes behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment import assess_volume
from CTQualityAssessmentLib.assessment.volume_scoring import fill_assessment
from CTQualityAssessmentLib.models import load_bundle
from CTQualityAssessmentLib.results import SliceAssessment, VolumeAssessment
from CTQualityAssessmentLib.volume import AcquisitionFacts, SliceExposure, Volume
from CTQualityAssessmentLib.worker.exchange import (
    ExchangeError,
    read_measured,
    read_result,
    read_volume_file,
    write_result,
    write_volume,
)
from CTQualityAssessmentLib.worker.faults import describe
from CTQualityAssessmentLib.worker.protocol import (
    CLOSING_SECONDS,
    ERROR_KINDS,
    AssessRequest,
    BadRequestError,
    MeasureRequest,
    decode,
    encode,
)

from Testing.bundle_factory import INPUT_SIZE, write_bundle

ROOT = Path(__file__).resolve().parents[3]


def make_volume(slices: int = 5) -> Volume:
    """A noisy disc of tissue in air."""
    rng = np.random.default_rng(1)
    axis = np.linspace(-1, 1, INPUT_SIZE)
    disc = axis[:, None] ** 2 + axis**2 < 0.6
    hu = np.where(disc, 40.0, -1000.0) + rng.normal(0, 20, (slices, INPUT_SIZE, INPUT_SIZE))
    affine = np.diag([-5.0, -5.0, 3.0, 1.0])
    return Volume(hu.astype(np.int16), affine, 2, AcquisitionFacts(modality="CT", kvp=120.0), ("Told by the reader.",))


class Host:
    """What a window does: lines in, lines out."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "CTQualityAssessment"), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "CTQualityAssessmentLib.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        assert self.read()["t"] == "ready"

    def send(self, message: dict) -> None:
        self.process.stdin.write(encode(message).encode())
        self.process.stdin.flush()

    def read(self) -> dict:
        line = self.process.stdout.readline()
        assert line, "the worker ended"
        return decode(line)

    def until_end(self, id_: str) -> list[dict]:
        """All messages of a request, up to its ``done`` or ``error``."""
        found = []
        while not found or found[-1]["t"] not in ("done", "error") or found[-1]["id"] != id_:
            found.append(self.read())
        return found


@pytest.fixture(scope="module")
def host():
    host = Host()
    yield host
    host.process.stdin.close()
    assert host.process.wait(CLOSING_SECONDS + 2) == 0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("models") / "tiny")


def request(tmp_path: Path, bundle: Path, id_: str, volume: Volume, **changes) -> dict:
    folder = tmp_path / id_
    folder.mkdir()
    fields = write_volume(tmp_path / f"{id_}.npy", volume) | changes
    return AssessRequest(id=id_, folder=str(folder), model=str(bundle), device="cpu", **fields).to_message()


def test_the_worker_finds_what_the_library_finds_and_tells_it_slice_by_slice(host, bundle, tmp_path):
    volume = make_volume()
    host.send(request(tmp_path, bundle, "a", volume, attention_stages=[3]))
    messages = host.until_end("a")
    assert messages[-1] == {"t": "done", "id": "a", "partial": False, "folder": str(tmp_path / "a")}
    expected = assess_volume(volume, load_bundle(bundle, "cpu"), batch_size=1, attention_stages=(3,))
    result = read_result(tmp_path / "a")
    assert np.allclose(result.scores(), expected.scores(), atol=1e-5)
    assert (result.facts, result.warnings) == ({"modality": "CT", "kvp": 120.0}, expected.warnings)
    assert [(m.name, m.stage) for m in result.attention] == [("scan", 3), ("read", 3), ("focus", 3)]
    for found, wanted in zip(result.attention, expected.attention, strict=True):
        assert np.allclose(found.values, wanted.values, atol=1e-4) and np.allclose(found.ijk_to_ras, wanted.ijk_to_ras)
    rows = [m["slice"] for m in messages if m["t"] == "slice"]
    assert [row["index"] for row in rows] == list(range(5))
    assert np.allclose([row["score"] for row in rows], result.scores())
    counts = [m["done"] for m in messages if m["t"] == "progress" and m["message"] == "Assessing slices"]
    assert counts[-1] == 5 and counts == sorted(counts)


def test_a_cancelled_run_keeps_what_was_scored(host, bundle, tmp_path):
    """The user pressed Cancel: within a slice the run ends, and the slices before are not lost."""
    host.send(request(tmp_path, bundle, "b", make_volume(400)))
    while host.read()["t"] != "slice":
        pass
    asked = time.monotonic()
    host.send({"t": "cancel", "id": "b"})
    assert host.until_end("b")[-1]["partial"] is True
    assert time.monotonic() - asked < 1.0
    result = read_result(tmp_path / "b")
    assert 0 < result.summary.scored < 400 and result.partial


def test_a_cancelled_measurement_keeps_what_was_measured_and_a_preview_comes_where_asked(host, tmp_path):
    (tmp_path / "m").mkdir()
    fields = write_volume(tmp_path / "m.npy", make_volume(3000))
    host.send(MeasureRequest(id="m", folder=str(tmp_path / "m"), preview=True, **fields).to_message())
    told = [host.read()]
    while not (told[-1]["t"] == "progress" and told[-1]["done"]):
        told.append(host.read())
    (few,) = (one["slices"] for one in told if one["t"] == "measured")
    assert 6 <= few <= 8
    host.send({"t": "cancel", "id": "m"})
    told = host.until_end("m")
    assert told[-1]["partial"] is True and not any(one["t"] == "measured" for one in told)
    measures = read_measured(tmp_path / "m")
    reached = [one for one in measures.slices if "not-run" not in one.missing.values()]
    assert measures.partial and 0 < len(reached) < 3000 == len(measures.slices)


def test_what_was_told_slice_by_slice_is_the_result(host, bundle, tmp_path):
    """With it a host keeps the slices of a worker that does not answer any more."""
    volume = make_volume()
    host.send(request(tmp_path, bundle, "k", volume))
    told = host.until_end("k")
    (begun,) = (VolumeAssessment.from_dict(one["assessment"]) for one in told if one["t"] == "begun")
    found = [SliceAssessment(**one["slice"]) for one in told if one["t"] == "slice"]
    kept = fill_assessment(begun, volume, {one.index: one for one in found[:3]})
    result = read_result(tmp_path / "k")
    assert kept.partial and kept.summary.scored == 3 and np.isnan(kept.scores()[3:]).all()
    assert np.allclose(kept.scores()[:3], result.scores()[:3])
    assert (kept.model, kept.geometry, kept.device, kept.versions, kept.warnings, kept.facts) == (
        result.model,
        result.geometry,
        result.device,
        result.versions,
        result.warnings,
        result.facts,
    )
    whole = fill_assessment(begun, volume, {one.index: one for one in found})
    assert not whole.partial and whole.summary == result.summary


def test_a_waiting_request_is_dropped_and_errors_leave_the_worker_usable(host, bundle, tmp_path):
    host.send(request(tmp_path, bundle, "c", make_volume(60)))
    host.send(request(tmp_path, bundle, "d", make_volume(), batch=2))
    host.send({"t": "cancel", "id": "d"})
    assert host.until_end("c")[-1]["t"] == "done"
    assert host.until_end("d")[-1]["kind"] == "cancelled"
    missing = {"t": "assess", "id": "e", "path": str(tmp_path / "none"), "folder": str(tmp_path), "model": str(bundle)}
    host.send(missing)
    error = host.until_end("e")[-1]
    assert error["kind"] == "bad-input" and str(tmp_path) not in json.dumps(error)
    host.send(missing | {"id": "f", "path": str(write_something(tmp_path)), "model": "no-such-model"})
    assert host.until_end("f")[-1]["kind"] in ("bad-model", "bad-input")
    host.send({"t": "assess", "id": "g", "path": "x", "array": "y", "folder": "z"})
    assert host.until_end("g")[-1]["kind"] == "bad-request"
    host.process.stdin.write(b"\xff not json\n")
    host.process.stdin.flush()
    assert host.read()["kind"] == "bad-request"
    host.send(request(tmp_path, bundle, "h", make_volume()))
    assert host.until_end("h")[-1]["t"] == "done"


def write_something(folder: Path) -> Path:
    path = folder / "text.dcm"
    path.write_text("no image")
    return path


def test_the_worker_ends_when_its_host_is_gone_also_during_a_run(bundle, tmp_path):
    """Else every crash of a window leaves a process that eats the computer."""
    host = Host()
    host.send(request(tmp_path, bundle, "i", make_volume(2000)))
    while host.read()["t"] != "slice":
        pass
    host.process.stdin.close()
    assert host.process.wait(CLOSING_SECONDS + 2) == 0


def test_each_fault_has_its_kind_and_no_foreign_text():
    """A header value or path quoted by a library must not reach the screen."""
    kinds = {}
    for error in (
        MemoryError("/home/x"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory /home/x"),
        ModuleNotFoundError("No module named 'torch' /home/x", name="torch.nn"),
        ImportError("/home/x/libtorch.so: undefined symbol"),
        ValueError("/home/x"),
        ExchangeError(),
    ):
        told = describe(error)
        assert told["kind"] in ERROR_KINDS and told["problem"] and told["advice"] and "/home" not in json.dumps(told)
        kinds[type(error).__name__] = told["kind"]
    assert kinds == {
        "MemoryError": "oom",
        "RuntimeError": "oom",
        "ModuleNotFoundError": "missing-package",
        "ImportError": "broken-package",
        "ValueError": "internal",
        "ExchangeError": "bad-input",
    }


def test_requests_and_results_survive_their_files(tmp_path, bundle):
    volume = make_volume()
    sent = AssessRequest(id="1", folder="f", array="a.npy", ijk_to_ras=volume.ijk_to_ras.tolist())
    assert AssessRequest.from_message(decode(encode(sent.to_message()))) == sent
    with pytest.raises(BadRequestError):
        AssessRequest.from_message(sent.to_message() | {"surprise": 1})
    write_result(tmp_path, assess_volume(volume, load_bundle(bundle, "cpu"), attention_stages=(4,)))
    (tmp_path / "attention.npz").write_bytes(b"cut")
    with pytest.raises(ExchangeError):
        read_result(tmp_path)


def test_dose_of_the_slices_reaches_the_worker(tmp_path):
    """Otherwise the report of a viewer has no dose curve where that of the command line has one."""
    exposures = tuple(SliceExposure(100.0 + k, None, 5.0) for k in range(5))
    volume = replace(make_volume(), exposures=exposures)
    fields = write_volume(tmp_path / "v.npy", volume)
    request = AssessRequest.from_message(decode(encode(AssessRequest(id="1", folder="f", **fields).to_message())))
    assert read_volume_file(request).exposures == exposures
