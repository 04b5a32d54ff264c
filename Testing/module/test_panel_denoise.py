"""Denoise in a real worker process: a volume beside the input, what it may have cost, and never half of one."""

from __future__ import annotations

import html
import json
import os
import signal
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import slicer
import slicer.util
from CTQualityAssessmentLib.assessment.denoising import blend, denoise_volume
from CTQualityAssessmentLib.denoising import BeforeAfter, DenoisingReport, Retention, Strength
from CTQualityAssessmentLib.models import load_denoiser
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment
from CTQualityAssessmentLib.mrml.denoised_nodes import (
    find_denoised,
    keep_examination,
    put_denoised,
    report_from_scene,
)
from CTQualityAssessmentLib.mrml.difference import find_differences
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import load_scene, save_scene
from CTQualityAssessmentLib.mrml.volume_nodes import ijk_to_world, volume_from_node
from CTQualityAssessmentLib.panel.before_after import before_after_rows
from CTQualityAssessmentLib.volume import Volume

from Testing.assessment_factory import MODEL, affine, make_assessment, make_body
from Testing.denoiser_factory import noisy_patient

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes by POSIX signals")
KEPT = Retention(8, 10, "soft tissue", 48, 8, 0.97, (0.95, 0.99), 0.9)
LOST = Retention(4, 20, "soft tissue", 48, 8, 0.731, (0.7, 0.76), 0.6)


def patient(slices=4, seed=0):
    """Oblique, so that a result on another grid would be noticed."""
    matrix = affine(spacing=(3.5, 3.5, 5.0), rotation_deg=(10.0, 5.0, 0.0))
    return Volume(noisy_patient(slices, 96, seed=seed), matrix)


def run(window):
    return window.panel.denoise.run


def census(scene):
    return Counter((node.GetClassName(), node.GetName()) for node in nodes_of_class(scene, "vtkMRMLNode"))


def place(window, node, *retention, strength=None):
    """A result in the scene, as a run would have put it there, 3 HU under its source."""
    volume = volume_from_node(node)
    image = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(image, (volume.hu - 3).astype(np.int16))
    report = DenoisingReport(MODEL, strength or Strength(), 4, 4, False, "cpu", 1.0, {})
    put_denoised(window.scene, node, image.GetImageData(), volume.acquisition_axis, report)
    report = replace(report, retention=retention, measures={"noise_hu": BeforeAfter(18.42, 9.71)})
    nodes = keep_examination(window.scene, node, report, before_after_rows(report))
    window.panel.refresh()
    return nodes


def cells(table, column):
    array = table.GetTable().GetColumnByName(column)
    return [array.GetValue(row) for row in range(array.GetNumberOfValues())]


def test_a_denoised_volume_stands_beside_the_input_and_follows_the_sliders(window, models, measures):
    """The whole way: button, guard, table, difference, another strength without the network, several volumes."""
    other = window.add_volume(patient(seed=5), "other")
    node = window.add_volume(patient())
    before = slicer.util.arrayFromVolume(node).copy()
    ui = window.ui
    assert ui.denoiseButton.enabled and ui.denoiseButton.text == "Denoise"
    ui.denoiseButton.click()
    assert not ui.assessButton.enabled and not ui.denoiseButton.enabled
    assert not ui.denoiseProgressBar.isHidden() and not ui.denoiseCancelButton.isHidden()
    window.wait(lambda: not run(window).busy)
    assert ui.denoiseStatusLabel.text == "Done." and ui.denoiseProgressBar.isHidden()
    nodes = find_denoised(window.scene, node)
    volume = volume_from_node(node)
    expected = denoise_volume(volume, load_denoiser(models / "lidnet-light-simulated", "cpu")).volume
    assert np.array_equal(slicer.util.arrayFromVolume(nodes.volume), expected.hu)
    assert np.allclose(ijk_to_world(nodes.volume), ijk_to_world(node))
    assert np.array_equal(slicer.util.arrayFromVolume(node), before)
    assert nodes.volume.GetName() == "CT denoised"
    assert window.panel.parameters.compareVolume is nodes.volume
    report = report_from_scene(nodes)
    assert report.retention and report.measures and report.slices_denoised == 4
    assert ui.denoisingTable.mrmlTableNode() is nodes.table
    assert "Global noise level" in cells(nodes.table, "measure") and "100 %" in cells(nodes.table, "before")
    assert "Lesion signal" in ui.guardLabel.text

    assert not ui.denoiseButton.enabled and "shown already" in ui.denoiseButton.toolTip
    ui.differenceButton.click()
    window.wait(lambda: not window.panel.compare.run.busy)
    ui.softTissueSlider.value = 0.25
    assert ui.denoiseButton.enabled and ui.denoiseButton.text == "Apply strength"
    told = []
    window.panel.assess.worker.listen(told.append, lambda: None)
    ui.denoiseButton.click()
    window.wait(lambda: not run(window).busy and not window.panel.compare.run.busy)
    assert not [one for one in told if one.get("message") == "Denoising slices"]
    weaker = find_denoised(window.scene, node)
    assert weaker.volume is nodes.volume  # views that show it show the new strength
    half = blend(volume, expected, Strength(soft_tissue=0.25)).hu
    assert np.array_equal(slicer.util.arrayFromVolume(weaker.volume), half)
    assert report_from_scene(weaker).strength == Strength(soft_tissue=0.25)
    assert len(nodes_of_class(window.scene, "vtkMRMLTableNode")) == 1
    (difference,) = find_differences(window.scene, node)  # of the strength that is shown
    assert np.array_equal(slicer.util.arrayFromVolume(difference).astype(int), half.astype(int) - volume.hu)

    ui.inputSelector.setCurrentNode(other)
    assert ui.denoiseButton.text == "Denoise" and ui.guardLabel.isHidden() and ui.denoiseStatusLabel.text == ""
    ui.inputSelector.setCurrentNode(node)
    assert not ui.guardLabel.isHidden()
    ui.removeResultsButton.click()
    assert find_denoised(window.scene, node) is None
    assert {n.GetName() for n in nodes_of_class(window.scene, "vtkMRMLScalarVolumeNode")} == {"CT", "other"}
    assert ui.denoiseButton.text == "Denoise" and ui.guardLabel.isHidden()


def test_a_cancel_before_the_volume_is_whole_and_a_killed_worker_leave_nothing(window, monkeypatch, tmp_path):
    """Half a denoised volume would pass for a denoised one."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    window.add_volume(patient(400))
    before = census(window.scene)
    window.ui.denoiseButton.click()
    window.wait(lambda: "Denoising slices" in window.ui.denoiseStatusLabel.text)
    window.ui.denoiseCancelButton.click()
    window.wait(lambda: not run(window).busy, seconds=60)
    assert "nothing was kept" in window.ui.denoiseStatusLabel.text
    assert census(window.scene) == before
    window.ui.denoiseButton.click()
    window.wait(lambda: "Denoising slices" in window.ui.denoiseStatusLabel.text)
    os.kill(run(window).worker.process_id, signal.SIGKILL)
    window.wait(lambda: not run(window).busy, seconds=60)
    assert "ended unexpectedly" in window.ui.denoiseStatusLabel.text
    assert census(window.scene) == before
    window.ui.denoiseButton.click()
    window.ui.denoiseCancelButton.click()  # at once, while the voxels are being written
    window.wait(lambda: not run(window).busy, seconds=60)
    assert census(window.scene) == before
    window.ui.denoiseButton.click()
    window.scene.Clear(False)
    assert not run(window).busy
    window.close()
    assert [p for p in tmp_path.iterdir() if p.name.startswith("ctqa-")] == []


def test_a_cancel_after_the_volume_is_whole_keeps_it_and_says_what_is_missing(window):
    node = window.add_volume(patient(40))
    window.ui.denoiseButton.click()
    window.wait(lambda: find_denoised(window.scene, node) is not None)
    assert "Nobody has looked yet" in window.ui.guardLabel.text
    window.ui.denoiseCancelButton.click()
    window.wait(lambda: not run(window).busy, seconds=60)
    assert "the volume is whole" in window.ui.denoiseStatusLabel.text
    assert find_denoised(window.scene, node).volume is not None


def test_a_lost_lesion_cannot_be_overlooked(window):
    """The one sentence that keeps a user from a denoised volume without the lesion in it."""
    node = window.add_volume(patient())
    place(window, node, KEPT, LOST)
    lines = window.ui.guardLabel.text.split("<br>")
    assert "background-color" in lines[0] and "RED FLAG" in lines[0] and "73 %" in lines[0]
    assert "background-color" not in lines[1] and "97 %" in lines[1]


def test_the_report_tells_what_denoising_did_unless_the_denoised_volume_was_deleted(window, tmp_path, monkeypatch):
    """A report of the original alone would be filed beside a denoised volume that has lost a lesion."""
    monkeypatch.setattr(
        "CTQualityAssessmentLib.panel.report_section.ask_for_folder", lambda _: str(tmp_path / "report")
    )
    volume = patient()
    node = window.add_volume(volume)
    nodes = place(window, node, LOST)
    add_assessment(window.scene, node, make_assessment(volume, (1.0, 2.0, 3.0, 2.0)), make_body(volume))
    window.panel.refresh()
    window.ui.exportButton.click()
    assert LOST.sentence() in html.unescape((tmp_path / "report" / "index.html").read_text())
    assert json.loads((tmp_path / "report" / "denoising.json").read_text())["retention"][0]["flagged"]
    window.scene.RemoveNode(nodes.volume)
    window.ui.exportButton.click()
    assert LOST.sentence() not in html.unescape((tmp_path / "report" / "index.html").read_text())


def test_a_saved_scene_brings_the_denoised_volume_back_with_all_that_was_said_of_it(window, tmp_path):
    node = window.add_volume(patient())
    window.ui.boneSlider.value = 0.5
    nodes = place(window, node, KEPT, LOST, strength=Strength(bone=0.5))
    voxels = slicer.util.arrayFromVolume(nodes.volume).copy()
    text, rows = window.ui.guardLabel.text, cells(nodes.table, "after")
    window.panel.parameters.compareVolume = nodes.volume
    save_scene(window.scene, tmp_path / "scene.mrb")
    window.scene.Clear(False)
    assert window.ui.guardLabel.isHidden() and window.ui.denoisingTable.mrmlTableNode() is None
    load_scene(window.scene, tmp_path / "scene.mrb")
    restored = window.panel.denoise.nodes
    assert np.array_equal(slicer.util.arrayFromVolume(restored.volume), voxels)
    assert window.ui.guardLabel.text == text
    assert cells(window.ui.denoisingTable.mrmlTableNode(), "after") == rows
    assert window.panel.parameters.compareVolume is restored.volume
    assert window.ui.boneSlider.value == 0.5
    assert window.ui.denoiseButton.text == "Denoise"  # the network's own answer is not in the scene


def test_parts_that_a_user_deletes_are_noticed_and_copies_that_a_user_makes_stay(window):
    node = window.add_volume(patient())
    nodes = place(window, node, KEPT)
    copy = window.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "mine")
    copy.Copy(nodes.volume)
    window.scene.RemoveNode(nodes.volume)
    assert window.ui.denoiseButton.enabled and window.ui.denoiseButton.text == "Denoise"
    window.ui.removeResultsButton.click()
    assert copy.GetScene() is window.scene
    assert find_denoised(window.scene, node) is None
    assert nodes_of_class(window.scene, "vtkMRMLTableNode") == []


def test_a_denoised_volume_is_not_denoised_again_and_its_score_comes_with_a_warning(window):
    """The scorer rewards what takes noise away: a score without this sentence would praise a blur."""
    node = window.add_volume(patient())
    nodes = place(window, node, KEPT)
    window.ui.inputSelector.setCurrentNode(nodes.volume)
    assert not window.ui.denoiseButton.enabled and "denoised already" in window.ui.denoiseButton.toolTip
    assert "no proof of a better image" in window.ui.volumeWarningLabel.text
    assert window.ui.assessButton.enabled


def test_without_a_denoiser_the_button_says_so(window, monkeypatch, tmp_path):
    monkeypatch.setattr("CTQualityAssessmentLib.models.bundles.bundle_folders", lambda: (tmp_path,))
    window.add_volume(patient())
    window.ui.verifyModelsButton.click()
    assert not window.ui.denoiseButton.enabled
    assert "No denoiser is installed" in window.ui.denoiseButton.toolTip


def test_the_card_of_the_denoiser_tells_its_statement_and_on_request_the_rest(window):
    ui = window.ui
    assert "this is no denoising" in ui.denoiserStatementLabel.text
    assert ui.denoiserCardLabel.isHidden()
    ui.denoiserCardButton.click()
    assert not ui.denoiserCardLabel.isHidden() and "Licence" in ui.denoiserCardLabel.text


def test_a_report_of_another_version_asks_for_a_new_run(window):
    node = window.add_volume(patient())
    nodes = place(window, node, KEPT)
    nodes.report.SetText(json.dumps({"schema_version": "9.0"}))
    window.panel.refresh()
    assert "another version" in window.ui.guardLabel.text
