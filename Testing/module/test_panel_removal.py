"""If these fail, results stay in the scene for ever, or somebody loses more than was asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import slicer.util
from CTQualityAssessmentLib.assessment.difference import volume_difference
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment, find_assessments
from CTQualityAssessmentLib.mrml.denoised_nodes import find_all_denoised, find_denoised, put_denoised
from CTQualityAssessmentLib.mrml.difference import add_difference
from CTQualityAssessmentLib.mrml.measure_nodes import add_measures
from CTQualityAssessmentLib.mrml.results_of_volume import has_results
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume, image_of

from Testing.assessment_factory import MODEL, make_assessment, make_body, make_volume


def census(scene):
    return Counter((node.GetClassName(), node.GetName()) for node in nodes_of_class(scene, "vtkMRMLNode"))


def delete(scene, node):
    """As the Data module does it."""
    for helper in (node.GetDisplayNode(), node.GetStorageNode(), node):
        scene.RemoveNode(helper)


def fill(window, name):
    """A volume with a score, physical measures and a denoised copy that was scored itself."""
    return fill_node(window, add_volume(window.scene, make_volume(), name))


def fill_node(window, node):
    volume = make_volume()
    add_assessment(window.scene, node, make_assessment(volume), make_body(volume))
    add_measures(window.scene, node, measure_volume(volume))
    report = DenoisingReport(MODEL, Strength(), 6, 6, False, "cpu", 1.0, {})
    copy = image_of((volume.hu - 3).astype(np.int16))
    denoised = put_denoised(window.scene, node, copy, volume.acquisition_axis, report).volume
    add_assessment(window.scene, denoised, make_assessment(volume), make_body(volume))
    return node


def test_results_of_a_deleted_volume_go_and_those_of_others_stay(window, monkeypatch):
    asked = []
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: asked.append(text) or True, raising=False)
    other = fill(window, "other")
    window.ui.inputSelector.setCurrentNode(other)
    before = census(window.scene)
    node = fill(window, "CT")
    window.panel.refresh()
    assert window.ui.removeLeftoversButton.isHidden()
    delete(window.scene, node)
    assert not window.ui.removeLeftoversButton.isHidden()  # without a click elsewhere
    window.ui.removeLeftoversButton.click()
    assert "CT denoised" in asked[0] and "other" not in asked[0]
    assert census(window.scene) == before
    assert window.ui.removeLeftoversButton.isHidden()
    assert len(find_assessments(window.scene, other)) == 1 and window.ui.verdictLabel.text


def test_a_denoised_volume_is_kept_where_the_user_wants_it(window, monkeypatch):
    """Many delete the original to keep the denoised volume."""
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: False, raising=False)
    node = fill(window, "CT")
    window.panel.refresh()
    delete(window.scene, node)
    there = census(window.scene)
    window.ui.removeLeftoversButton.click()
    assert census(window.scene) == there


def test_nobody_is_asked_where_no_volume_would_go(window, monkeypatch):
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: 1 / 0, raising=False)
    before = census(window.scene)
    volume = make_volume()
    node = add_volume(window.scene, volume, "CT")
    add_assessment(window.scene, node, make_assessment(volume), make_body(volume))
    delete(window.scene, node)
    window.ui.removeLeftoversButton.click()
    assert census(window.scene) == before


def test_results_go_with_those_of_the_denoised_volume_while_the_volume_stays(window):
    """They would belong to no volume, and no button of the chosen volume would reach them."""
    node = add_volume(window.scene, make_volume(), "CT")
    window.ui.inputSelector.setCurrentNode(node)
    before = census(window.scene)
    fill_node(window, node)
    add_difference(window.scene, node, node, volume_difference(make_volume(), make_volume()))
    window.panel.refresh()
    window.ui.removeResultsButton.click()
    assert census(window.scene) == before
    assert window.ui.removeLeftoversButton.isHidden() and not window.ui.removeResultsButton.enabled


@pytest.mark.parametrize("chosen", ["source", "denoised"])
def test_another_strength_takes_what_was_found_in_the_one_before(window, chosen):
    """Scores of voxels that are gone would be read as those of the voxels in view."""
    volume = make_volume()
    node = add_volume(window.scene, volume, "CT")
    window.ui.inputSelector.setCurrentNode(node)
    fill_node(window, node)
    denoised = find_denoised(window.scene, node).volume
    add_measures(window.scene, denoised, measure_volume(volume))
    add_difference(window.scene, denoised, node, volume_difference(volume, volume))
    if chosen == "denoised":
        window.ui.inputSelector.setCurrentNode(denoised)
        assert window.ui.verdictLabel.text
    weaker = DenoisingReport(MODEL, Strength(0.2, 0.2, 0.2), 6, 6, False, "cpu", 1.0, {})
    nodes = put_denoised(window.scene, node, image_of(volume.hu.copy()), volume.acquisition_axis, weaker)
    window.panel.refresh()
    assert nodes.volume is denoised and not has_results(window.scene, denoised)
    assert len(find_all_denoised(window.scene, node)) == 1
    assert np.array_equal(slicer.util.arrayFromVolume(denoised), volume.hu)
    assert len(find_assessments(window.scene, node)) == 1  # of the original, whose voxels are the same
    if chosen == "denoised":
        assert not window.ui.verdictLabel.text
