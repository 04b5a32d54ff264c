"""If these fail, a denoised volume lies elsewhere than its source, or took the source's place."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from CTQualityAssessmentLib.assessment.denoising import residual
from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
from CTQualityAssessmentLib.mrml.denoised_nodes import MODEL, SOURCE_ROLE, STRENGTH, WEIGHTS, add_denoised
from CTQualityAssessmentLib.mrml.errors import UnsuitableNodeError
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume, ijk_to_world, volume_from_node
from CTQualityAssessmentLib.volume import Volume

from Testing.assessment_factory import MODEL as IDENTITY
from Testing.assessment_factory import make_volume

REPORT = DenoisingReport(IDENTITY, Strength(lung=0.5), 4, 4, False, "cpu", 1.0, {})


@pytest.fixture
def case(scene):
    """A node under a transform, its volume in world coordinates, and that volume with 3 HU less."""
    node = add_volume(scene, make_volume(), "Chest")
    node.GetDisplayNode().SetWindowLevel(1500, -600)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    matrix = np.eye(4)
    matrix[:3, 3] = (10, -20, 35)
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    volume = volume_from_node(node)
    return node, volume, Volume((volume.hu - 3).astype(np.int16), volume.ijk_to_ras, volume.acquisition_axis)


def test_the_new_nodes_lie_where_the_source_lies_and_the_source_keeps_its_voxels(scene, case):
    node, volume, denoised = case
    before = slicer.util.arrayFromVolume(node).copy()
    new, taken = add_denoised(scene, node, denoised, REPORT, residual=residual(volume, denoised))
    assert np.array_equal(slicer.util.arrayFromVolume(node), before)
    assert np.array_equal(slicer.util.arrayFromVolume(new), denoised.hu)
    assert (slicer.util.arrayFromVolume(taken) == 3).all()
    for one in (new, taken):
        np.testing.assert_allclose(ijk_to_world(one), ijk_to_world(node))
        assert one.GetTransformNodeID() == node.GetTransformNodeID()
    assert volume_from_node(new).acquisition_axis == volume.acquisition_axis


def test_a_node_says_what_made_it_and_is_shown_as_its_source(scene, case):
    node, _, denoised = case
    new, none = add_denoised(scene, node, denoised, REPORT)
    assert none is None and new.GetName() == "Chest denoised"
    assert new.GetNodeReference(SOURCE_ROLE) is node and new.GetAttribute(WEIGHTS) == IDENTITY.sha256
    assert IDENTITY.name in new.GetAttribute(MODEL) and "lung 50 %" in new.GetAttribute(STRENGTH)
    assert (new.GetDisplayNode().GetWindow(), new.GetDisplayNode().GetLevel()) == (1500, -600)


def test_it_stands_beside_its_source_in_the_subject_hierarchy(scene, case):
    node, _, denoised = case
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is None or not hierarchy.GetItemByDataNode(node):
        pytest.skip("this host keeps no subject hierarchy")
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), study)
    new, _ = add_denoised(scene, node, denoised, REPORT)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(new)) == study


def test_a_source_that_changed_meanwhile_is_refused(scene, case):
    node, _, denoised = case
    smaller = Volume(denoised.hu[:, :-1], denoised.ijk_to_ras, denoised.acquisition_axis)
    count = scene.GetNumberOfNodes()
    with pytest.raises(UnsuitableNodeError, match="changed while"):
        add_denoised(scene, node, smaller, REPORT)
    assert scene.GetNumberOfNodes() == count
