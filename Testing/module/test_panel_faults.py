"""A fault that nobody foresaw, and what a user does while a result is put into the scene: nothing half made stays.

If these fail, the panel is busy until the application ends, or parts of a result lie in the scene for ever.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from CTQualityAssessmentLib.mrml.assessment_nodes import find_assessments
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.panel.assess_job import AssessJob, RunRequest
from CTQualityAssessmentLib.volume import Volume

from Testing.assessment_factory import affine, make_assessment, make_volume
from Testing.denoiser_factory import noisy_patient

FAULT = "unexpected fault ended this (ZeroDivisionError)"


def census(scene):
    return Counter((node.GetClassName(), node.GetName()) for node in nodes_of_class(scene, "vtkMRMLNode"))


def fail(*args, **named):
    return 1 / 0


def conclude(window, node, volume):
    """The run at the moment when the worker has done its part."""
    run, assessment = window.panel.assess.run, make_assessment(volume)
    job = AssessJob(RunRequest(node, "", "cpu", ()))
    run._job = job
    job.open()
    while not job.transfers[0].step():
        pass
    job.message()
    job.asked, job.begun = True, assessment
    job.found.update(enumerate(assessment.slices))

    def result():
        yield
        return assessment, None

    run._conclude(job, result())
    return run, job


def between_the_steps(window, node, volume):
    """The run once the result is in the scene and the panel has not shown it yet."""
    run, job = conclude(window, node, volume)
    run._timer.stop()
    while not find_assessments(window.scene, node):
        next(job.ending)
    return run


def test_a_fault_while_the_result_is_made_ends_the_run_and_leaves_nothing(window, monkeypatch):
    volume = make_volume()
    node = window.add_volume(volume)
    before = census(window.scene)
    with monkeypatch.context() as broken:
        broken.setattr("CTQualityAssessmentLib.mrml.assessment_nodes.add_chart", fail)
        run, _ = conclude(window, node, volume)
        window.wait(lambda: not run.busy, seconds=30)
    assert FAULT in window.ui.statusLabel.text and "Try again" in window.ui.statusLabel.text
    assert census(window.scene) == before
    assert "going on" not in window.panel.assess.why_not() and window.ui.cancelButton.isHidden()
    run, _ = conclude(window, node, volume)  # and the next one works
    window.wait(lambda: not run.busy, seconds=30)
    assert window.ui.statusLabel.text == "Done." and len(find_assessments(window.scene, node)) == 1


def test_a_message_that_cannot_be_understood_ends_the_run(window):
    volume = make_volume()
    node = window.add_volume(volume)
    before = census(window.scene)
    run, job = conclude(window, node, volume)
    run._on_message({"t": "progress", "id": job.id})
    assert not run.busy and "(KeyError)" in window.ui.statusLabel.text
    assert census(window.scene) == before


def test_a_fault_while_voxels_are_handed_over_ends_the_run(window, monkeypatch):
    window.add_volume(make_volume())
    monkeypatch.setattr("CTQualityAssessmentLib.panel.assess_job.acquisition_facts", fail)
    window.ui.assessButton.click()
    window.wait(lambda: not window.panel.assess.run.busy, seconds=30)
    assert FAULT in window.ui.statusLabel.text


@pytest.mark.skipif(os.name != "posix", reason="the worker's tests run on POSIX")
def test_a_fault_while_a_difference_is_made_leaves_no_nodes(window, monkeypatch):
    """Without an end each tick would add another one."""
    volume = make_volume()
    second = window.add_volume(volume, "second")
    window.add_volume(volume)
    window.ui.compareSelector.setCurrentNode(second)
    before = census(window.scene)
    monkeypatch.setattr("CTQualityAssessmentLib.mrml.difference.set_half_width", fail)
    run = window.panel.compare.run
    run.start(window.panel.results.input, second)
    window.wait(lambda: not run.busy)
    assert census(window.scene) == before
    assert FAULT in window.ui.compareLabel.text


@pytest.mark.skipif(os.name != "posix", reason="the worker's tests run on POSIX")
@pytest.mark.parametrize("where", ["mrml.denoised_nodes.place_beside", "panel.denoising_run.before_after_rows"])
def test_a_fault_while_a_denoised_volume_is_put_there_ends_the_run(window, monkeypatch, where):
    window.add_volume(Volume(noisy_patient(4, 96), affine(spacing=(3.5, 3.5, 5.0))))
    before = census(window.scene)
    monkeypatch.setattr(f"CTQualityAssessmentLib.{where}", fail)
    window.ui.denoiseButton.click()
    run = window.panel.denoise.run
    window.wait(lambda: not run.busy)
    assert FAULT in window.ui.denoiseStatusLabel.text
    if where.startswith("mrml"):
        assert census(window.scene) == before


@pytest.mark.parametrize("what", ["delete the volume", "close the scene", "remove the results"])
def test_what_a_user_does_while_the_result_is_put_there(window, what):
    """Between two steps the window answers: whoever clicks then must not be left with half a result or "Done."."""
    volume = make_volume()
    node = window.add_volume(volume)
    before = census(window.scene)
    run = between_the_steps(window, node, volume)
    assert run.busy and census(window.scene) != before
    if what == "delete the volume":
        window.scene.RemoveNode(node)
        message = "The volume was removed"
    elif what == "close the scene":
        window.scene.Clear(False)
        message = "The scene was closed"
    else:
        window.panel.refresh()
        window.ui.removeResultsButton.click()
        run._timer.start(5)
        window.wait(lambda: not run.busy, seconds=30)
        message = "The result was removed before it was shown."
    assert not run.busy and window.ui.statusLabel.text.startswith(message)
    ours = ("Table", "Plot", "ScriptedModule", "Text", "Color", "ScalarVolume")
    left = {kind: n for kind, n in (census(window.scene) - before).items() if any(one in kind[0] for one in ours)}
    assert left == {} and find_assessments(window.scene, None) == []
    assert not window.ui.verdictLabel.text and window.ui.cancelButton.isHidden()


@pytest.mark.skipif(os.name != "posix", reason="the worker's tests run on POSIX")
def test_boxes_lie_on_the_grid_that_was_denoised(window, monkeypatch):
    """The user may put other voxels into the node while the worker still looks at the old ones."""
    node = window.add_volume(Volume(noisy_patient(4, 96), affine(spacing=(3.5, 3.5, 5.0))))
    run, grids = window.panel.denoise.run, []
    examined = run._examined

    def later(job):
        node.SetAndObserveImageData(None)
        grids.append(job.grid())
        examined(job)

    monkeypatch.setattr(run, "_examined", later)
    window.ui.denoiseButton.click()
    window.wait(lambda: not run.busy)
    assert grids[0].hu.shape == (4, 96, 96)
    assert "fault" not in window.ui.denoiseStatusLabel.text
