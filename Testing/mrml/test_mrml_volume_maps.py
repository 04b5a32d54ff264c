"""Results of a network that reads whole volumes, in the scene: maps on their own affine, score and prompt in tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer.util
from CTQualityAssessmentLib.mrml.assessment_nodes import (
    add_assessment,
    assessment_from_scene,
    find_assessments,
    overlay_ids,
    remove_assessment,
)
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume, volume_from_node
from CTQualityAssessmentLib.results import UsedPrompt, VolumeMap
from CTQualityAssessmentLib.volume import AcquisitionFacts

from Testing.assessment_factory import make_assessment, make_body
from Testing.mrml.grids import every_grid, linear_transform, to_world, volume_on


def with_maps(volume):
    """An assessment whose maps have a token at every other slice and every third pixel of the radiological view."""
    view = volume.canonical_slices().ijk_to_ras
    affine = view @ np.diag([3.0, 3.0, 2.0, 1.0])
    shape = (4, 3, 3)
    values = np.linspace(0.1, 3.9, np.prod(shape)).astype(np.float32).reshape(shape)
    maps = (VolumeMap("score", values, affine), VolumeMap("weight", values / 4, affine))
    prompt = UsedPrompt("MR", "brain", "the user", "BodyPartExamined")
    return replace(make_assessment(volume), volume_score=2.3, prompt=prompt, volume_maps=maps)


@every_grid
def test_maps_lie_on_the_anatomy_whatever_the_grid(scene, grid):
    """A map beside the patient shows the defect in another organ."""
    volume = volume_on(grid)
    node, assessment = add_volume(scene, volume), with_maps(volume)
    nodes = add_assessment(scene, node, assessment, make_body(volume))
    assert [one.GetName() for one in nodes.volume_maps] == ["Score map", "Weights of the score"]
    for shown, found in zip(nodes.volume_maps, assessment.volume_maps, strict=True):
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(shown), found.values)
        for token in ((0, 0, 0), (2, 1, 3)):
            truth = (found.ijk_to_ras @ [*token, 1.0])[:3]
            np.testing.assert_allclose(to_world(shown, np.array([token]))[0], truth, atol=1e-4)


def test_maps_follow_a_volume_under_a_transform(scene):
    """The transform must move them once, not twice."""
    node = add_volume(scene, volume_on("oblique"))
    node.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    volume = volume_from_node(node)
    assessment = with_maps(volume)
    shown = add_assessment(scene, node, assessment, make_body(volume)).volume_maps[1]
    truth = (assessment.volume_maps[1].ijk_to_ras @ [1, 2, 3, 1.0])[:3]
    np.testing.assert_allclose(to_world(shown, np.array([[1, 2, 3]]))[0], truth, atol=1e-4)


def test_score_and_prompt_stand_in_the_summary(scene):
    """A score without what the network was told cannot be repeated."""
    volume = volume_on("axial")
    node = add_volume(scene, volume)
    nodes = add_assessment(scene, node, with_maps(volume), make_body(volume))
    table = nodes.summary_table
    rows = {table.GetCellText(row, 0): table.GetCellText(row, 1) for row in range(table.GetNumberOfRows())}
    assert rows["Score of the volume"] == "2.30"
    assert rows["The network was told"] == "MR (from the user), brain (from BodyPartExamined)"
    kept = assessment_from_scene(scene, node)
    assert kept.volume_score == 2.3 and kept.prompt.organ == "brain"


def test_maps_are_found_again_and_taken_away(scene):
    """They would stay behind as volumes to assess."""
    volume = volume_on("axial")
    node = add_volume(scene, volume)
    before = len(nodes_of_class(scene, "vtkMRMLNode"))
    nodes = add_assessment(scene, node, with_maps(volume), make_body(volume))
    assert {one.GetID() for one in nodes.volume_maps} <= overlay_ids(scene)
    assert [one.GetID() for one in find_assessments(scene, node)[0].volume_maps] == [
        one.GetID() for one in nodes.volume_maps
    ]
    remove_assessment(scene, node)
    left = [one.GetName() for one in nodes_of_class(scene, "vtkMRMLScalarVolumeNode")]
    assert left == [node.GetName()] and len(nodes_of_class(scene, "vtkMRMLNode")) <= before + 1


def test_mr_is_shown_by_its_own_signal_and_without_hounsfield_units(scene):
    """The window of soft tissue shows MR white."""
    volume = volume_on("axial")
    mr = replace(volume, hu=volume.hu + 2000, units="signal", facts=AcquisitionFacts(modality="MR"))
    node = add_volume(scene, mr)
    assert node.GetVoxelValueUnits() is None
    display = node.GetDisplayNode()
    low, high = np.percentile(mr.hu[::2, ::2, ::2], (0.5, 99.5))
    assert abs(display.GetWindowLevelMin() - low) < 1 and abs(display.GetWindowLevelMax() - high) < 1
