"""If these fail, results stay in the scene for ever, or somebody loses more than was asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import slicer.util
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment, find_assessments
from CTQualityAssessmentLib.mrml.denoised_nodes import put_denoised
from CTQualityAssessmentLib.mrml.measure_nodes import add_measures
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
    volume = make_volume()
    node = add_volume(window.scene, volume, name)
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
