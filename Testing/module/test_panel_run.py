"""Assess in a real worker process: progress, live rows, result, cancel, and everything that can go wrong."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import qt
import slicer
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE
from CTQualityAssessmentLib.mrml.assessment_nodes import assessment_from_scene, find_assessments
from CTQualityAssessmentLib.mrml.scene import nodes_of_class

from Testing.assessment_factory import make_volume

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes by POSIX signals")


def census(scene):
    return Counter((node.GetClassName(), node.GetName()) for node in nodes_of_class(scene, "vtkMRMLNode"))


def slices(count):
    """A volume of slices of 64 x 64, each with a body that is large enough to be scored."""
    volume = make_volume((count, 64, 64))
    volume.hu[:, 12:43, 12:43] = 40
    return volume


@pytest.fixture
def ct():
    return slices(8)


@pytest.fixture
def long_ct():
    return slices(400)


def run(window):
    return window.panel.assess.run


def assess(window):
    window.ui.assessButton.click()
    assert run(window).busy, window.ui.statusLabel.text
    window.wait(lambda: not run(window).busy)


def test_a_run_ends_with_the_result_in_scene_and_panel(window, ct):
    node = window.add_volume(ct)
    assess(window)
    result = assessment_from_scene(window.scene, node)
    assert result.summary.scored == 8 and not result.partial
    (nodes,) = find_assessments(window.scene, node)
    assert {map_.GetName() for map_ in nodes.attention} == {
        f"Attention {temperature} stage 3" for temperature in ("scan", "read", "focus")
    }
    assert window.ui.verdictLabel.text.startswith(f"{result.summary.mean:.1f} of 4")
    assert window.ui.tableView.mrmlTableNode() is nodes.slice_table
    assert window.ui.plotWidget.mrmlPlotViewNode().GetPlotChartNodeID() == nodes.chart.GetID()
    assert window.ui.statusLabel.text == "Done."
    assert window.ui.assessButton.enabled


def test_the_scores_are_those_of_the_run_without_a_window(window, ct, module):
    """The same volume must not score differently by button and by script."""
    node = window.add_volume(ct)
    assess(window)
    by_script = module.CTQualityAssessmentLogic().assess(node)
    assert assessment_from_scene(window.scene, node).scores() == pytest.approx(by_script.scores(), abs=1e-5)


def test_rows_curve_and_time_left_come_while_it_runs(window, long_ct):
    node = window.add_volume(long_ct)
    window.ui.assessButton.click()
    table = run(window).live.table
    window.wait(lambda: window.ui.tableView.mrmlTableNode() is table and window.ui.tableView.model().rowCount() > 3)
    assert run(window).busy
    assert window.ui.plotWidget.mrmlPlotViewNode().GetPlotChartNode().GetNumberOfPlotSeriesNodes() == 1
    window.wait(lambda: "left" in window.ui.statusLabel.text)
    assert window.ui.progressBar.maximum == 400
    assert not window.ui.assessButton.enabled
    assert "going on" in window.ui.assessButton.toolTip
    window.panel.assess.run.abandon()
    assert find_assessments(window.scene, node) == []


def test_cancel_keeps_what_is_there_and_marks_it(window, long_ct):
    node = window.add_volume(long_ct)
    window.ui.assessButton.click()
    window.wait(lambda: run(window).live.table.GetNumberOfRows() > 3)
    window.ui.cancelButton.click()
    window.wait(lambda: not run(window).busy, seconds=30)
    result = assessment_from_scene(window.scene, node)
    assert result.partial and 3 < result.summary.scored < 400
    assert "Cancelled" in window.ui.statusLabel.text
    assert "Incomplete" in window.ui.verdictDetailLabel.text


def test_cancel_before_the_first_slice_leaves_the_scene_as_it_was(window, long_ct):
    window.add_volume(long_ct)
    before = census(window.scene)
    window.ui.assessButton.click()
    window.ui.cancelButton.click()
    window.wait(lambda: not run(window).busy, seconds=30)
    assert census(window.scene) == before
    assert "Cancelled" in window.ui.statusLabel.text


def test_a_killed_worker_is_told_of_leaves_nothing_and_the_next_run_works(window, ct, long_ct):
    window.add_volume(long_ct)
    before = census(window.scene)
    window.ui.assessButton.click()
    window.wait(lambda: run(window).live.table.GetNumberOfRows() > 3)
    os.kill(run(window).worker.process_id, signal.SIGKILL)
    window.wait(lambda: not run(window).busy, seconds=30)
    assert "ended unexpectedly" in window.ui.statusLabel.text
    assert census(window.scene) == before
    small = window.add_volume(ct, "small")
    assess(window)
    assert assessment_from_scene(window.scene, small) is not None


@pytest.mark.parametrize("stage", ["at the start", "while torch loads", "while it is warm"])
def test_a_worker_killed_at_any_stage_is_no_end(window, ct, stage):
    node = window.add_volume(ct)
    before = census(window.scene)
    if stage == "while it is warm":
        assess(window)
        window.ui.removeResultsButton.click()
        os.kill(run(window).worker.process_id, signal.SIGKILL)
        window.wait(lambda: not run(window).worker.running, seconds=30)
    else:
        window.ui.assessButton.click()
        if stage == "while torch loads":
            window.wait(lambda: run(window).worker.python_id)
        os.kill(run(window).worker.process_id, signal.SIGKILL)
        window.wait(lambda: not run(window).busy, seconds=30)
        assert "ended unexpectedly" in window.ui.statusLabel.text
    assert census(window.scene) == before
    assess(window)
    assert assessment_from_scene(window.scene, node).summary.scored == 8


def test_a_python_that_hangs_under_a_launcher_ends_too(window, long_ct, monkeypatch, tmp_path):
    """PythonSlicer may be a launcher: a signal ends it and leaves the Python, which holds memory for ever."""
    launcher = tmp_path / "PythonSlicer"
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@" <&0\nexit $?\n')
    launcher.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    window.add_volume(long_ct)
    window.ui.assessButton.click()
    window.wait(lambda: run(window).live.table.GetNumberOfRows() > 3)
    worker = run(window).worker
    python = worker.python_id
    assert python != worker.process_id
    os.kill(python, signal.SIGSTOP)  # it does not notice that its input closes
    window.close()
    end = time.monotonic() + 10
    while time.monotonic() < end and Path(f"/proc/{python}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{python}").exists()


def test_a_worker_that_does_not_answer_a_cancel_is_let_go_without_waiting(window, long_ct):
    """Also then the window must go on: half a second without an answer is what users call frozen."""
    window.add_volume(long_ct)
    window.ui.assessButton.click()
    window.wait(lambda: run(window).worker.python_id)
    python = run(window).worker.python_id
    os.kill(python, signal.SIGSTOP)
    window.ui.cancelButton.click()
    begun = time.thread_time()
    run(window)._job.cancelled_at -= 60
    run(window)._tick()
    assert time.thread_time() - begun < 0.05
    assert not run(window).busy
    window.wait(lambda: not Path(f"/proc/{python}").exists(), seconds=30)


def test_slices_of_a_worker_that_does_not_answer_a_cancel_are_kept(window, long_ct):
    """A card that is stuck in one slice: an hour of scored slices must not go with it."""
    node = window.add_volume(long_ct)
    window.ui.assessButton.click()
    window.wait(lambda: run(window).live.table.GetNumberOfRows() > 3)
    os.kill(run(window).worker.python_id, signal.SIGSTOP)
    window.ui.cancelButton.click()
    rows = len(run(window)._job.found)
    run(window)._job.cancelled_at -= 60
    window.wait(lambda: not run(window).busy)
    result = assessment_from_scene(window.scene, node)
    assert result.partial and 3 < rows <= result.summary.scored < 400
    assert result.model.name and result.device == "cpu" and result.versions["torch"]
    assert f"Cancelled: {result.summary.scored} of 400" in window.ui.statusLabel.text
    assert "Incomplete" in window.ui.verdictDetailLabel.text
    assert len(find_assessments(window.scene, node)) == 1


def test_closing_slicer_during_a_run_leaves_no_process_and_no_folder(window, long_ct, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    window.add_volume(long_ct)
    window.ui.assessButton.click()
    window.wait(lambda: run(window).live.table.GetNumberOfRows() > 3)
    process = run(window).worker.process_id
    assert [p for p in tmp_path.iterdir() if p.name.startswith("ctqa-")]
    window.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert [p for p in tmp_path.iterdir() if p.name.startswith("ctqa-")] == []


def test_a_lack_of_memory_is_got_over_and_told(window, ct, monkeypatch):
    """A user whose card is small must not have to know what a batch is."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([short_of_memory(window.tmp), os.environ.get("PYTHONPATH", "")]))
    node = window.add_volume(ct)
    window.ui.assessButton.click()
    window.wait(lambda: not run(window).busy)
    result = assessment_from_scene(window.scene, node)
    assert result.summary.scored == 8
    assert any("memory was short" in warning for warning in result.warnings)
    assert "memory was short" in window.ui.verdictDetailLabel.text


def short_of_memory(folder):
    """Makes the first forward pass in the worker fail as torch does on the CPU; two slices at a time to begin with."""
    (folder / "sitecustomize.py").write_text(
        "import CTQualityAssessmentLib.worker.loop as loop\n"
        "import CTQualityAssessmentLib.assessment as assessment\n"
        "real = assessment.assess_volume\n"
        "def assess(volume, model, *, batch_size, **more):\n"
        '    if batch_size > 1: raise RuntimeError("DefaultCPUAllocator: can\'t allocate memory")\n'
        "    return real(volume, model, batch_size=batch_size, **more)\n"
        "assessment.assess_volume = assess\n"
        "from dataclasses import replace\n"
        "score = loop.Worker._score\n"
        "loop.Worker._score = lambda self, request, *rest: score(self, replace(request, batch=2), *rest)\n"
    )
    return str(folder)


def test_the_worker_stays_warm_and_ends_with_the_module(window, ct):
    """Loading torch takes seconds, each time; but a process that nobody needs any more is an orphan."""
    window.add_volume(ct)
    assess(window)
    first = run(window).worker.process_id
    assess(window)
    assert run(window).worker.process_id == first
    window.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_closing_the_scene_during_a_run_stops_it(window, long_ct):
    window.add_volume(long_ct)
    window.ui.assessButton.click()
    window.wait(lambda: run(window).live.table.GetNumberOfRows() > 3)
    window.scene.Clear(False)
    assert not run(window).busy
    qt.QApplication.processEvents()
    assert nodes_of_class(window.scene, "vtkMRMLTableNode") == []
    assert not window.ui.assessButton.enabled


def test_removing_the_volume_during_a_run_stops_it(window, long_ct):
    node = window.add_volume(long_ct)
    window.ui.assessButton.click()
    window.wait(lambda: run(window).live.table.GetNumberOfRows() > 3)
    window.scene.RemoveNode(node)
    assert not run(window).busy
    assert "removed" in window.ui.statusLabel.text
    assert nodes_of_class(window.scene, "vtkMRMLTableNode") == []


def test_voxels_that_changed_during_a_run_get_no_result(window, ct):
    """A score beside an image that it was not made from would be a lie."""
    node = window.add_volume(ct)
    window.ui.assessButton.click()
    slicer.util.updateVolumeFromArray(node, slicer.util.arrayFromVolume(node) + 100)
    window.wait(lambda: not run(window).busy)
    assert find_assessments(window.scene, node) == []
    assert "changed" in window.ui.statusLabel.text


def test_a_damaged_model_is_told_in_one_sentence_and_advice(window, ct, models, monkeypatch, tmp_path):
    import shutil

    shutil.copytree(models, tmp_path / "models")
    (weights,) = (tmp_path / "models" / DEFAULT_BUNDLE).rglob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    monkeypatch.setenv("CTQA_MODELS", str(tmp_path / "models"))
    node = window.add_volume(ct)
    window.ui.assessButton.click()
    window.wait(lambda: not run(window).busy)
    assert "differ from their checksum" in window.ui.statusLabel.text
    assert find_assessments(window.scene, node) == []
    window.ui.verifyModelsButton.click()
    assert "UNUSABLE" in window.ui.modelsLabel.text
