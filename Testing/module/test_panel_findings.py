"""Lesion boxes and scores before and after denoising: asked for, shown over the right image, reached, taken away."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import slicer
from CTQualityAssessmentLib.denoising import SCORER_WARNING, DenoisingReport, Finding, Findings, Strength
from CTQualityAssessmentLib.mrml.denoised_nodes import find_denoised, keep_examination, put_denoised, report_from_scene
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.volume_nodes import image_of
from CTQualityAssessmentLib.panel.before_after import before_after_rows
from CTQualityAssessmentLib.volume import Volume

from Testing.assessment_factory import MODEL, affine, make_volume
from Testing.denoiser_factory import noisy_patient

BOX = Finding(1, 2, 2.0, 3.0, 6.0, 7.0, 0.62)


def place(window, node, volume, findings):
    """A result in the scene, as a run would have put it there."""
    report = DenoisingReport(MODEL, Strength(), 6, 6, False, "cpu", 1.0, {})
    put_denoised(window.scene, node, image_of((volume.hu - 3).astype(np.int16)), volume.acquisition_axis, report)
    report = replace(report, findings=findings)
    nodes = keep_examination(window.scene, node, report, before_after_rows(report), volume)
    window.panel.refresh()
    return nodes


def seen_in(box):
    """Names of the views in which a box is drawn."""
    display = box.GetDisplayNode()
    if not display.GetVisibility():
        return set()
    ids = [display.GetNthViewNodeID(n) for n in range(display.GetNumberOfViewNodeIDs())]
    return {slicer.mrmlScene.GetNodeByID(one).GetLayoutName() for one in ids}


@pytest.mark.skipif(os.name != "posix", reason="the worker's tests run on POSIX")
def test_what_was_ticked_later_is_looked_at_without_denoising_again(window):
    """With the real worker, detector and scorer; what each of them found comes with its warning."""
    matrix = affine(spacing=(3.5, 3.5, 5.0), rotation_deg=(10.0, 5.0, 0.0))
    node = window.add_volume(Volume(noisy_patient(4, 96), matrix))
    ui, run = window.ui, window.panel.denoise.run
    assert not ui.findingsCombo.enabled and "Nobody looked" in ui.findingsCombo.toolTip
    ui.denoiseButton.click()
    window.wait(lambda: not run.busy)
    report = report_from_scene(find_denoised(window.scene, node))
    assert report.findings is None and report.scores is None and not ui.denoiseButton.enabled
    ui.findingsCheck.checked = ui.scoresCheck.checked = True
    assert ui.denoiseButton.enabled and ui.denoiseButton.text == "Examine"
    told = []
    window.panel.assess.worker.listen(told.append, lambda: None)
    ui.denoiseButton.click()
    window.wait(lambda: not run.busy)
    assert not [one for one in told if one.get("message") == "Denoising slices"]
    nodes = find_denoised(window.scene, node)
    report = report_from_scene(nodes)
    assert report.scores.before is not None and report.scores.after is not None
    assert SCORER_WARNING in report.warnings and "no proof of a better image" in ui.guardLabel.text
    assert len(nodes.boxes) == len(report.findings.before) + len(report.findings.after)
    measures = nodes.table.GetTable().GetColumnByName("measure")
    rows = [measures.GetValue(n) for n in range(measures.GetNumberOfValues())]
    assert {"Mean score", "Boxes of the lesion detector (no diagnosis)"} <= set(rows)
    assert not ui.denoiseButton.enabled and "shown already" in ui.denoiseButton.toolTip


def test_each_box_lies_over_the_image_that_it_was_found_in(window):
    """A box of the original over the denoised image would claim that the lesion is still seen."""
    volume = make_volume()
    node = window.add_volume(volume)
    nodes = place(window, node, volume, Findings((BOX,), (BOX,)))
    before, after = nodes.boxes
    slicer.util.setSliceViewerLayers(background=node)
    assert seen_in(before) == {"Red", "Yellow", "Green"} and seen_in(after) == set()
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    red.SetBackgroundVolumeID(nodes.volume.GetID())
    assert seen_in(before) == {"Yellow", "Green"} and seen_in(after) == {"Red"}
    window.ui.compareSelector.setCurrentNode(nodes.volume)
    window.ui.sideBySideButton.click()
    assert "CTQAInput" in seen_in(before) and "CTQACompared" in seen_in(after)
    assert "CTQACompared" not in seen_in(before)
    window.ui.boxesCheck.click()
    assert seen_in(before) == seen_in(after) == set()
    window.ui.boxesCheck.click()
    window.widget.exit()
    red.SetBackgroundVolumeID(node.GetID())  # nobody watches any more
    window.widget.enter()
    assert "Red" in seen_in(before)


def test_a_box_is_reached_by_its_name_and_goes_with_the_results(window):
    volume = make_volume()
    node = window.add_volume(volume)
    nodes = place(window, node, volume, Findings((BOX,), ()))
    combo = window.ui.findingsCombo
    assert [combo.itemText(n) for n in range(combo.count)] == ["Choose a box", "before 1 (62%)"]
    combo.currentIndex = 1
    centre = np.array(nodes.boxes[0].GetCenterWorld())
    manager = slicer.app.layoutManager()
    for name in ("Red", "Yellow", "Green"):
        matrix = slicer.util.arrayFromVTKMatrix(manager.sliceWidget(name).mrmlSliceNode().GetSliceToRAS())
        assert abs((centre - matrix[:3, 3]) @ matrix[:3, 2]) < 1e-6
    other = window.scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "of the user")
    window.ui.removeResultsButton.click()
    assert nodes_of_class(window.scene, "vtkMRMLMarkupsROINode") == [other]
    assert not combo.enabled and combo.count == 1


def test_another_strength_has_no_boxes_of_the_one_before(window):
    """They would lie where the new image was never looked at."""
    volume = make_volume()
    node = window.add_volume(volume)
    place(window, node, volume, Findings((BOX,), (BOX,)))
    report = DenoisingReport(MODEL, Strength(0.5, 0.5, 0.5), 6, 6, False, "cpu", 1.0, {})
    put_denoised(window.scene, node, image_of(volume.hu.copy()), volume.acquisition_axis, report)
    window.panel.refresh()
    assert nodes_of_class(window.scene, "vtkMRMLMarkupsROINode") == []
    assert not window.ui.boxesCheck.enabled


def test_a_denoiser_without_a_detector_says_so(window, monkeypatch):
    """Nothing found by nobody must not read as nothing there."""
    window.add_volume(make_volume())
    assert window.ui.findingsCheck.enabled
    for info in window.panel.denoise.choice.bundles.values():
        monkeypatch.delitem(info.metadata["ctqa"], "detector_config")
    window.panel.parameters.findLesions = True
    window.panel.refresh()
    assert not window.ui.findingsCheck.enabled and "without a lesion detector" in window.ui.findingsCheck.toolTip
    assert not window.panel.denoise._wants_findings()


def test_the_list_leads_to_the_boxes_of_the_chosen_volume(window):
    """Boxes of two patients often have the same names: a jump would go to a place in the other one."""
    volume, combo = make_volume(), window.ui.findingsCombo
    boxes = {}
    for name in ("A", "B"):
        node = window.add_volume(volume, name)
        (boxes[name],) = place(window, node, volume, Findings((BOX,), ())).boxes
    boxes["B"].SetName(boxes["A"].GetName())
    for name in ("A", "B", "A"):
        window.ui.inputSelector.setCurrentNode(window.scene.GetFirstNodeByName(name))
        assert [combo.itemData(n) for n in range(combo.count)] == ["", boxes[name].GetID()]


def test_a_jump_that_fails_is_told(window, monkeypatch):
    volume = make_volume()
    node = window.add_volume(volume)
    place(window, node, volume, Findings((BOX,), ()))
    monkeypatch.setattr("CTQualityAssessmentLib.panel.findings_section.box_centre_world", lambda box: 1 / 0)
    window.ui.findingsCombo.currentIndex = 1
    assert "ZeroDivisionError" in window.ui.statusLabel.text
