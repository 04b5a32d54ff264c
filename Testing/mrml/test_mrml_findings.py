"""If these fail, a box of the lesion detector lies beside what it marks."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
from CTQualityAssessmentLib.denoising import Finding, Findings
from CTQualityAssessmentLib.mrml.finding_nodes import FOUND_IN_ROLE, SIDE, add_findings
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume, ijk_to_world, volume_from_node
from CTQualityAssessmentLib.volume import Volume

from Testing.mrml.grids import every_grid, volume_on


@every_grid
def test_a_box_holds_the_voxels_that_it_marks_and_no_others(scene, grid):
    volume = volume_on(grid)
    marked = volume.canonical_slices()
    inside = np.zeros(volume.hu.shape, dtype=bool)
    view = Volume(inside, volume.ijk_to_ras, volume.acquisition_axis).canonical_slices().hu
    view[1:3, 2:5, 1:4] = True
    finding = Finding(1, 2, left=1, top=2, right=4, bottom=5, probability=0.62)
    assert view.shape == marked.hu.shape
    node = add_volume(scene, volume, "Chest")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    turned = np.array([[0, -1, 0, 10], [1, 0, 0, -20], [0, 0, 1, 35], [0, 0, 0, 1.0]])
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turned))
    # The findings are of the volume before it was turned: pixels of the radiological view of that moment.
    before = volume_from_node(node)
    (roi,) = add_findings(scene, node, before, Findings((finding,), ()))
    for one in (node, roi):
        one.SetAndObserveTransformNodeID(transform.GetID())
    k, j, i = np.indices(volume.hu.shape)
    world = (ijk_to_world(node) @ np.stack([i, j, k, np.ones_like(i)]).reshape(4, -1))[:3]
    local = np.linalg.inv(turned[:3, :3]) @ (world - turned[:3, 3:])
    frame = slicer.util.arrayFromVTKMatrix(roi.GetObjectToNodeMatrix())
    offsets = np.linalg.inv(frame) @ np.vstack([local, np.ones(local.shape[1])])
    held = (np.abs(offsets[:3]) <= np.array(roi.GetSize())[:, None] / 2).all(axis=0)
    assert np.array_equal(held.reshape(volume.hu.shape), inside)


def test_findings_before_and_after_are_told_apart_and_come_and_go_as_one(scene):
    node = add_volume(scene, volume_on("oblique"), "Chest")
    one = Finding(0, 0, 1, 1, 3, 3, 0.62)
    first, second = add_findings(scene, node, volume_from_node(node), Findings((one,), (one,)))
    assert (first.GetAttribute(SIDE), second.GetAttribute(SIDE)) == ("before", "after")
    assert first.GetName() == "before 1 (62%)" and first.GetNodeReference(FOUND_IN_ROLE) is node
    colours = [roi.GetDisplayNode().GetSelectedColor() for roi in (first, second)]
    assert colours[0] != colours[1] and first.GetLocked()


def test_a_box_stays_on_the_anatomy_where_the_volume_was_moved_since(scene):
    """Findings come minutes later, and a user may have centred the volume by then."""
    volume = volume_on("oblique")
    node = add_volume(scene, volume, "Chest")
    as_denoised = volume_from_node(node)
    found = Findings((Finding(0, 1, 1, 1, 3, 3, 0.62),), ())
    (at_once,) = add_findings(scene, node, as_denoised, found)
    moved = np.add(node.GetOrigin(), (5.0, -7.0, 11.0))
    node.SetOrigin(*moved)
    (later,) = add_findings(scene, node, as_denoised, found)
    assert np.allclose(np.array(later.GetCenterWorld()) - at_once.GetCenterWorld(), (5.0, -7.0, 11.0))
