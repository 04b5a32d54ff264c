"""The worker for a caller that waits; if these fail, a script in 3D Slicer hangs or ends without a reason."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment.difference import volume_difference
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker import client
from CTQualityAssessmentLib.worker.client import WorkerEndedError, run_in_worker
from CTQualityAssessmentLib.worker.exchange import read_difference, read_measured, write_volume
from CTQualityAssessmentLib.worker.protocol import (
    AssessRequest,
    BadRequestError,
    MeasureRequest,
    RunCancelledError,
    SubtractRequest,
)

from Testing.denoiser_factory import noisy_patient


@pytest.fixture
def volume():
    return Volume(noisy_patient(6, 96), np.diag([-3.5, -3.5, 3.0, 1.0]), 2)


def ask(tmp_path, volume, kind=MeasureRequest, **more):
    (tmp_path / "out").mkdir(exist_ok=True)
    return kind(id="1", folder=str(tmp_path / "out"), **write_volume(tmp_path / "hu.npy", volume), **more)


def test_a_request_is_done_with_progress_and_its_result_is_in_the_folder(tmp_path, volume):
    told = []
    done = run_in_worker(ask(tmp_path, volume), progress=lambda *step: told.append(step))
    assert done["t"] == "done" and done["partial"] is False
    assert read_measured(tmp_path / "out").volume == measure_volume(volume).volume
    assert told[-1][:2] == (6, 6)


def test_the_difference_is_that_of_the_library(tmp_path, volume):
    other = Volume((volume.hu + 7).astype(np.int16), volume.ijk_to_ras, 2)
    second = write_volume(tmp_path / "second.npy", other)
    request = ask(
        tmp_path,
        volume,
        SubtractRequest,
        second=second["array"],
        second_ijk_to_ras=second["ijk_to_ras"],
        second_acquisition_axis=2,
    )
    run_in_worker(request)
    found, expected = read_difference(tmp_path / "out"), volume_difference(volume, other)
    assert np.array_equal(found.hu, expected.hu) and (found.hu == 7).all()
    assert (found.mean_hu, found.sd_hu, found.slices) == (expected.mean_hu, expected.sd_hu, expected.slices)
    with pytest.raises(BadRequestError):
        ask(tmp_path, volume, SubtractRequest)


def test_what_the_worker_refuses_is_raised_with_its_advice(tmp_path, volume):
    with pytest.raises(CTQAError, match="There is no model of that name"):
        run_in_worker(ask(tmp_path, volume, AssessRequest, model="nowhere", device="cpu"))


def test_a_cancel_ends_it_before_there_is_anything_to_keep(tmp_path, volume):
    with pytest.raises(RunCancelledError):
        run_in_worker(ask(tmp_path, volume), cancelled=lambda: True)


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a POSIX signal")
def test_a_worker_that_dies_is_an_error_and_no_wait_for_ever(tmp_path, volume, monkeypatch):
    started = []
    real = client.subprocess.Popen
    monkeypatch.setattr(client.subprocess, "Popen", lambda *a, **k: started.append(real(*a, **k)) or started[-1])

    def kill(*step):
        os.kill(started[0].pid, signal.SIGKILL)
        time.sleep(0.05)

    many = Volume(noisy_patient(60, 96), volume.ijk_to_ras, 2)
    with pytest.raises(WorkerEndedError):
        run_in_worker(ask(tmp_path, many), progress=kill)
    assert not Path(f"/proc/{started[0].pid}").exists()
