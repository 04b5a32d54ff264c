"""A whole assessment in the scene: complete, findable, and gone without a trace when it is removed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import slicer
import slicer.util
from CTQualityAssessmentLib.calls import finished
from CTQualityAssessmentLib.mrml.assessment_nodes import (
    add_assessment,
    assessment_from_scene,
    assessment_steps,
    find_assessments,
    remove_assessment,
)
from CTQualityAssessmentLib.mrml.errors import AssessmentMismatchError
from CTQualityAssessmentLib.mrml.quality_image import quality_image
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import save_scene
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume

from Testing.assessment_factory import make_assessment, make_attention, make_body, make_volume


def census(scene) -> Counter:
    return Counter((node.GetClassName(), node.GetName()) for node in nodes_of_class(scene, "vtkMRMLNode"))


@pytest.fixture
def volume():
    return make_volume()


@pytest.fixture
def assessment(volume):
    maps = [make_attention(volume, temperature, 3) for temperature in ("scan", "focus")]
    return make_assessment(volume, attention=maps)


@pytest.fixture
def add(scene, volume, assessment):
    """A volume node (a new one unless given) with the assessment on it."""

    def add_(node=None):
        node = node or add_volume(scene, volume)
        return node, add_assessment(scene, node, assessment, make_body(volume))

    return add_


def test_the_result_read_back_is_equal_to_the_last_digit(scene, add, assessment):
    node, _ = add()
    assert assessment_from_scene(scene, node) == replace(assessment, attention=())


def test_a_volume_without_assessment_has_none(scene, volume):
    node = add_volume(scene, volume)
    assert assessment_from_scene(scene, node) is None
    assert find_assessments(scene, node) == []
    remove_assessment(scene, node)


def test_all_nodes_are_found_again_from_the_volume(scene, add):
    node, made = add()
    assert find_assessments(scene, node) == [made]


def test_parameters_say_which_weights_gave_the_scores(add, assessment):
    _, nodes = add()
    assert nodes.parameters.GetParameter("model.name") == assessment.model.name
    assert nodes.parameters.GetParameter("model.sha256") == assessment.model.sha256
    assert nodes.parameters.GetParameter("model.window") == "ldctiqa"
    assert nodes.parameters.GetParameter("model.simulatedLabels") == "true"
    assert nodes.parameters.GetParameter("partial") == "false"
    assert nodes.parameters.GetParameter("versions.ctqualityassessment") == "0.1.0"


def test_names_are_neutral_whatever_the_volume_is_called(scene, volume, add):
    """Scenes are mailed around; a patient's name in a volume must not spread to what we add."""
    node = add_volume(scene, volume, name="DOE^JANE 1.2.840.1")
    before = set(census(scene))
    add(node)
    added = [name for _, name in set(census(scene)) - before]
    assert "Attention focus stage 3" in added
    assert not [name for name in added if "DOE" in name or "840" in name]


def test_removal_leaves_the_scene_as_it_was(scene, volume, add):
    node = add_volume(scene, volume)
    user_table = scene.AddNewNodeByClass("vtkMRMLTableNode", "Quality of slices")
    before = census(scene)
    add(node)
    add(node)
    assert census(scene) != before
    remove_assessment(scene, node)
    assert census(scene) == before
    assert scene.GetNodeByID(user_table.GetID()) is user_table


def test_removal_after_saving_takes_the_storage_nodes_too(scene, volume, add, tmp_path):
    node = add_volume(scene, volume)
    save_scene(scene, tmp_path / "before.mrb")
    before = census(scene)
    add(node)
    save_scene(scene, tmp_path / "after.mrb")
    remove_assessment(scene, node)
    assert census(scene) == before


def test_removal_from_one_volume_leaves_the_other_volume_its_results_and_colours(scene, add):
    first, _ = add()
    second, kept = add()
    remove_assessment(scene, first)
    assert find_assessments(scene, first) == []
    assert find_assessments(scene, second) == [kept]
    assert kept.quality.GetDisplayNode().GetColorNode() is not None
    assert kept.chart.GetNthPlotSeriesNode(0) is kept.score_series


def test_colours_that_the_user_chose_for_another_volume_stay(scene, volume, add):
    node, nodes = add()
    colours = nodes.quality.GetDisplayNode().GetColorNode()
    add_volume(scene, volume, "other").GetDisplayNode().SetAndObserveColorNodeID(colours.GetID())
    remove_assessment(scene, node)
    assert scene.GetNodeByID(colours.GetID()) is colours


def test_views_are_emptied_so_that_they_do_not_pick_another_volume(scene, volume, add):
    node, nodes = add()
    composite = scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    composite.SetBackgroundVolumeID(node.GetID())
    composite.SetForegroundVolumeID(nodes.quality.GetID())
    composite.SetNthLayerVolumeID(3, nodes.attention[0].GetID())
    plot = scene.AddNewNodeByClass("vtkMRMLPlotViewNode")
    plot.SetPlotChartNodeID(nodes.chart.GetID())
    table = scene.AddNewNodeByClass("vtkMRMLTableViewNode")
    table.SetTableNodeID(nodes.slice_table.GetID())
    remove_assessment(scene, node)
    assert composite.GetBackgroundVolumeID() == node.GetID()
    assert not composite.GetForegroundVolumeID()
    assert not composite.GetNthLayerVolumeID(3)
    assert not plot.GetPlotChartNodeID()
    assert not table.GetTableNodeID()


def test_nodes_that_the_user_deleted_do_not_stop_finding_or_removing_the_rest(scene, volume, add, assessment):
    node = add_volume(scene, volume)
    before = census(scene)
    _, nodes = add(node)
    scene.RemoveNode(nodes.chart)
    scene.RemoveNode(nodes.attention[0])
    (found,) = find_assessments(scene, node)
    assert found.chart is None
    assert len(found.attention) == 1
    assert assessment_from_scene(scene, node).summary == assessment.summary
    scene.RemoveNode(found.result)
    assert assessment_from_scene(scene, node) is None
    remove_assessment(scene, node)
    assert census(scene) == before


def test_results_of_a_deleted_volume_can_still_be_removed(scene, add):
    before = census(scene)
    node, _ = add()
    for helper in (node.GetDisplayNode(), node.GetStorageNode(), node):
        scene.RemoveNode(helper)
    remove_assessment(scene, None)
    assert census(scene) == before


def test_a_mismatch_adds_nothing(scene, volume, assessment):
    node = add_volume(scene, make_volume((3, 4, 5)))
    before = census(scene)
    with pytest.raises(AssessmentMismatchError):
        add_assessment(scene, node, assessment, make_body(volume))
    assert census(scene) == before


def test_results_lie_beside_the_input_in_the_subject_hierarchy(scene, volume, assessment):
    """The application makes items as nodes arrive; an observer stands in for that plugin here."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    study = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "study")
    node = add_volume(scene, volume)
    hierarchy.CreateItem(study, node)

    def make_items(caller, event):
        for added in nodes_of_class(scene, "vtkMRMLScalarVolumeNode"):
            if not hierarchy.GetItemByDataNode(added):
                hierarchy.CreateItem(hierarchy.GetSceneItemID(), added)

    tag = scene.AddObserver(scene.EndBatchProcessEvent, make_items)
    nodes = add_assessment(scene, node, assessment, make_body(volume))
    scene.RemoveObserver(tag)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(nodes.quality)) == study


def test_nothing_is_refused_when_no_slice_was_scored(scene, volume):
    node = add_volume(scene, volume)
    nothing = make_assessment(volume, [None] * volume.slice_count)
    nodes = add_assessment(scene, node, nothing, make_body(volume))
    assert (slicer.util.arrayFromVolume(nodes.quality) < 0).all()
    assert np.isnan(assessment_from_scene(scene, node).scores()).all()


def test_steps_leave_the_scene_alone_until_the_last_and_give_the_same(scene, volume, assessment):
    """A window answers in between: half a result there would look like a whole one."""
    node = add_volume(scene, volume)
    before = census(scene)
    quality = quality_image(assessment, make_body(volume))
    steps, seen = assessment_steps(scene, node, assessment, quality), []
    while True:
        try:
            next(steps)
        except StopIteration as last:
            nodes = last.value
            break
        seen.append(census(scene) == before)
    assert len(seen) >= 4 and all(seen)
    assert find_assessments(scene, node) == [nodes]
    whole = add_assessment(scene, node, assessment, make_body(volume))
    for one, other in zip((nodes.quality, *nodes.attention), (whole.quality, *whole.attention), strict=True):
        assert np.array_equal(slicer.util.arrayFromVolume(one), slicer.util.arrayFromVolume(other))
    assert nodes.result.GetText() == whole.result.GetText()


def test_a_slice_whose_score_changed_since_it_was_drawn_shows_the_last_one(volume):
    """What came slice by slice and what the run ended with must not stand side by side."""
    first = make_assessment(volume, [1.0] * volume.slice_count)
    last = make_assessment(volume, [3.0, None, *[1.0] * (volume.slice_count - 2)])
    image = quality_image(first, make_body(volume))
    finished(image.settle(last.slices))
    expected = quality_image(last, make_body(volume))
    assert np.array_equal(image.values, expected.values)
