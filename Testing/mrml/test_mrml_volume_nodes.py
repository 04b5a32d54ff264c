"""Volumes in and out of the scene: a score must be about the anatomy that the user sees."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from CTQualityAssessmentLib.mrml.errors import NonLinearTransformError, UnsuitableNodeError
from CTQualityAssessmentLib.mrml.volume_nodes import ACQUISITION_AXIS, add_volume, volume_from_node

from Testing.assessment_factory import make_volume
from Testing.mrml.grids import all_voxels, every_grid, linear_transform, to_world, volume_on


@every_grid
def test_a_volume_survives_the_way_into_the_scene_and_back(scene, grid):
    volume = volume_on(grid)
    back = volume_from_node(add_volume(scene, volume))
    np.testing.assert_array_equal(back.hu, volume.hu)
    np.testing.assert_allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=1e-9)
    assert back.acquisition_axis == volume.acquisition_axis


@every_grid
def test_voxels_lie_in_the_world_where_the_affine_says(scene, grid):
    volume = volume_on(grid)
    ijk = all_voxels(volume.hu.shape)
    expected = ijk @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    np.testing.assert_allclose(to_world(add_volume(scene, volume), ijk), expected, atol=1e-9)


@every_grid
def test_parent_transforms_are_part_of_the_geometry(scene, grid):
    """Two nested transforms; positions compared with what MRML itself computes point by point."""
    node = add_volume(scene, volume_on(grid))
    inner, outer = linear_transform(scene), linear_transform(scene, -50.0, (0.0, 90.0, 3.0))
    inner.SetAndObserveTransformNodeID(outer.GetID())
    node.SetAndObserveTransformNodeID(inner.GetID())
    volume = volume_from_node(node)
    ijk = all_voxels(volume.hu.shape)
    expected = ijk @ volume.ijk_to_ras[:3, :3].T + volume.ijk_to_ras[:3, 3]
    np.testing.assert_allclose(to_world(node, ijk), expected, atol=1e-6)


def test_a_bent_grid_is_refused_instead_of_scored_on_slices_that_are_not_flat(scene):
    node = add_volume(scene, make_volume(), name="John Doe")
    bend = vtk.vtkThinPlateSplineTransform()
    points, moved = vtk.vtkPoints(), vtk.vtkPoints()
    for x, y, z in [(0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (50, 50, 50)]:
        points.InsertNextPoint(x, y, z)
        moved.InsertNextPoint(x, y, z + 0.01 * x * y)
    bend.SetSourceLandmarks(points)
    bend.SetTargetLandmarks(moved)
    bend.SetBasisToR()
    transform = scene.AddNewNodeByClass("vtkMRMLTransformNode", "bend")
    transform.SetAndObserveTransformToParent(bend)
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(NonLinearTransformError) as refused:
        volume_from_node(node)
    assert "John Doe" not in str(refused.value)
    assert refused.value.advice


@pytest.mark.parametrize("class_name", ["vtkMRMLLabelMapVolumeNode", "vtkMRMLVectorVolumeNode", "vtkMRMLModelNode"])
def test_nodes_that_are_no_grey_value_volume_are_refused(scene, class_name):
    with pytest.raises(UnsuitableNodeError, match="grey-value"):
        volume_from_node(scene.AddNewNodeByClass(class_name, "x"))


def test_no_node_and_a_volume_without_voxels_are_refused(scene):
    with pytest.raises(UnsuitableNodeError):
        volume_from_node(None)
    with pytest.raises(UnsuitableNodeError, match="no voxels"):
        volume_from_node(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "x"))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [("int16", "int16"), ("uint8", "int16"), ("int32", "int16"), ("uint16", "float32"), ("float64", "float32")],
)
def test_every_voxel_type_comes_out_as_int16_or_float32_with_the_same_values(scene, stored, expected):
    """uint16 holds 40000 here, which int16 cannot."""
    values = np.array([0, 40, 200, 40000 if stored == "uint16" else 255], stored).reshape(1, 2, 2)
    if stored != "int16":
        values = np.ascontiguousarray(values)
    node = add_volume(scene, make_volume((1, 2, 2)))
    slicer.util.updateVolumeFromArray(node, values)
    hu = volume_from_node(node).hu
    assert hu.dtype == expected
    np.testing.assert_array_equal(hu, values)


def test_a_plain_ct_is_not_copied(scene):
    """A 512 x 512 x 600 series would cost 300 MB more."""
    node = add_volume(scene, make_volume())
    assert np.shares_memory(volume_from_node(node).hu, slicer.util.arrayFromVolume(node))


def test_what_lies_below_air_becomes_air_in_the_volume_but_not_in_the_node(scene):
    """Padding and noise in air: the same voxels, and so the same scores, as our reader gives for that series."""
    node = add_volume(scene, make_volume())
    slicer.util.arrayFromVolume(node)[:, 0] = -3024
    slicer.util.arrayFromVolume(node)[:, 1] = -1040
    volume = volume_from_node(node)
    assert volume.hu.min() == -1024
    assert slicer.util.arrayFromVolume(node).min() == -3024


def test_voxels_without_a_value_become_air_and_a_warning(scene):
    values = np.full((2, 3, 4), 40, np.float32)
    values[0, 0, :3] = np.nan, np.inf, -np.inf
    node = add_volume(scene, make_volume((2, 3, 4)))
    slicer.util.updateVolumeFromArray(node, values)
    volume = volume_from_node(node)
    assert volume.hu[0, 0].tolist() == [-1024, -1024, -1024, 40]
    assert len(volume.warnings) == 1


def test_a_volume_in_other_units_is_read_with_a_warning(scene):
    node = add_volume(scene, make_volume())
    assert volume_from_node(node).warnings == ()
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("{SUVbw}g/ml", "UCUM", "SUV body weight")
    node.SetVoxelValueUnits(units)
    assert any("Hounsfield" in warning for warning in volume_from_node(node).warnings)


def test_the_acquisition_axis_is_guessed_only_where_nobody_knows_it(scene):
    """Isotropic cube: the guess would be k; a header said i."""
    node = add_volume(scene, make_volume((5, 5, 5), np.diag([1.0, 1.0, 1.0, 1.0]), acquisition_axis=0))
    assert volume_from_node(node).acquisition_axis == 0
    assert volume_from_node(node, acquisition_axis=1).acquisition_axis == 1
    node.RemoveAttribute(ACQUISITION_AXIS)
    assert volume_from_node(node).acquisition_axis == 2


def test_a_new_volume_is_shown_in_the_soft_tissue_window(scene):
    display = add_volume(scene, make_volume()).GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (350, 40, 0)
