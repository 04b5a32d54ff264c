"""Overlays: colour on the wrong anatomy is worse than none, so everything is looked up by world position."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from CTQualityAssessmentLib.calls import finished
from CTQualityAssessmentLib.colours import ATTENTION, QUALITY
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment
from CTQualityAssessmentLib.mrml.errors import AssessmentMismatchError
from CTQualityAssessmentLib.mrml.overlays import (
    add_attention_overlay,
    add_quality_overlay,
    attention_upper,
    map_image,
)
from CTQualityAssessmentLib.mrml.quality_image import NO_VALUE, quality_image
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume, volume_from_node
from vtk.util.numpy_support import vtk_to_numpy

from Testing.assessment_factory import affine, make_assessment, make_attention, make_body, make_volume
from Testing.mrml.grids import all_voxels, every_grid, linear_transform, to_ijk, to_world, values_at, volume_on


def shown_rgba(node) -> np.ndarray:
    """What the slice views draw for each voxel, ``[k, j, i, 4]`` in 0 ... 255, out of MRML's own display pipeline."""
    display = node.GetDisplayNode()
    display.SetInputImageDataConnection(node.GetImageDataConnection())
    producer = display.GetOutputImageDataConnection().GetProducer()
    producer.Update()
    rgba = vtk_to_numpy(producer.GetOutputDataObject(0).GetPointData().GetScalars())
    return rgba.reshape(*slicer.util.arrayFromVolume(node).shape, 4)


def expected_values(volume, assessment) -> np.ndarray:
    """Per voxel of the input grid, in the order of ``all_voxels``: its slice's score inside the body."""
    ijk = all_voxels(volume.hu.shape)
    scores = assessment.scores()[ijk[:, volume.acquisition_axis]]
    inside = volume.hu[tuple(ijk[:, ::-1].T)] > -500
    return np.where(inside & np.isfinite(scores), scores, NO_VALUE)


@every_grid
def test_each_voxel_of_the_body_has_the_score_of_its_own_slice(scene, grid):
    volume = volume_on(grid)
    node, assessment = add_volume(scene, volume), make_assessment(volume)
    overlay = add_quality_overlay(scene, node, assessment, quality_image(assessment, make_body(volume)))
    found = values_at(overlay, to_world(node, all_voxels(volume.hu.shape)))
    np.testing.assert_allclose(found, expected_values(volume, assessment), rtol=1e-6)
    assert len(np.unique(found)) > 3


@every_grid
def test_overlay_follows_a_transformed_input(scene, grid):
    """The assessment was made in world coordinates; the parent transform must not be applied twice."""
    node = add_volume(scene, volume_on(grid))
    node.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    volume = volume_from_node(node)
    assessment = make_assessment(volume)
    overlay = add_quality_overlay(scene, node, assessment, quality_image(assessment, make_body(volume)))
    assert overlay.GetParentTransformNode() is node.GetParentTransformNode()
    found = values_at(overlay, to_world(node, all_voxels(volume.hu.shape)))
    np.testing.assert_allclose(found, expected_values(volume, assessment), rtol=1e-6)


def test_overlay_lies_right_on_a_volume_that_was_moved_after_the_assessment(scene):
    """Results of a batch run are shown on a volume that the user has centred or registered since."""
    volume = volume_on("oblique")
    node, assessment = add_volume(scene, volume), make_assessment(volume)
    node.SetOrigin(0.0, 0.0, 0.0)
    node.SetAndObserveTransformNodeID(linear_transform(scene).GetID())
    overlay = add_quality_overlay(scene, node, assessment, quality_image(assessment, make_body(volume)))
    found = values_at(overlay, to_world(node, all_voxels(volume.hu.shape)))
    np.testing.assert_allclose(found, expected_values(volume, assessment), rtol=1e-6)


@pytest.mark.parametrize(
    ("rows", "columns", "grid"), [(512, 400, (256, 200)), (511, 300, (256, 150)), (256, 200, None)]
)
def test_large_slices_are_kept_on_a_grid_of_at_most_256(rows, columns, grid):
    volume = make_volume((2, rows, columns))
    body = make_body(volume)
    quality = quality_image(make_assessment(volume, [1.0, 3.0]), body)
    assert quality.values.shape == (2, *(grid or (rows, columns)))
    assert quality.values.dtype == np.float32


def test_a_large_slice_has_its_outline_exact_to_a_pixel(scene):
    volume = make_volume((2, 300, 260), affine((0.8, 0.7, 3.0), rotation_deg=(10, 20, 30)))
    node, assessment = add_volume(scene, volume), make_assessment(volume, [1.5, 3.0])
    overlay = add_quality_overlay(scene, node, assessment, quality_image(assessment, make_body(volume)))
    ijk = all_voxels(volume.hu.shape)
    found = values_at(overlay, to_world(node, ijk)).reshape(volume.hu.shape)
    expected = expected_values(volume, assessment).reshape(volume.hu.shape)
    wrong = np.argwhere(~np.isclose(found, expected))
    rows, columns = np.nonzero((expected != NO_VALUE).any(axis=0))
    for _, row, column in wrong:
        distance = min(
            abs(row - rows.min()), abs(row - rows.max()), abs(column - columns.min()), abs(column - columns.max())
        )
        assert distance <= 1
    assert len(wrong) < 0.01 * len(ijk)


@every_grid
def test_attention_blocks_are_centred_on_the_voxels_they_stand_for(scene, grid):
    """Blocks of 3 x 2 pixels; the voxels nearest to a block's centre in the world are gathered and averaged."""
    volume = volume_on(grid, shape=(4, 12, 12))
    node, assessment = add_volume(scene, volume), make_assessment(volume)
    attention = make_attention(volume, grid=(4, 6))
    overlay = add_attention_overlay(scene, node, assessment, attention, 3.0, finished(map_image(attention.values)))
    world = to_world(node, all_voxels(volume.hu.shape))
    block = np.floor(to_ijk(overlay, world) + 0.5 + 1e-6).astype(int)
    assert block.min() == 0
    assert (block.max(axis=0) == (5, 3, 3)).all()
    centres = to_world(overlay, all_voxels((4, 4, 6)))
    for (i, j, k), centre in zip(all_voxels((4, 4, 6)), centres, strict=True):
        members = (block == (i, j, k)).all(axis=1)
        assert members.sum() == 6
        np.testing.assert_allclose(world[members].mean(axis=0), centre, atol=1e-6)


@every_grid
def test_attention_of_a_slice_lies_on_that_slice_and_reads_as_it_was_measured(scene, grid):
    volume = volume_on(grid, shape=(4, 12, 12))
    node, assessment = add_volume(scene, volume), make_assessment(volume)
    attention = make_attention(volume, grid=(4, 6), refused=(1,))
    overlay = add_attention_overlay(scene, node, assessment, attention, 3.0, finished(map_image(attention.values)))
    array = slicer.util.arrayFromVolume(overlay)
    np.testing.assert_array_equal(array[[0, 2, 3]], attention.values[[0, 2, 3]])
    assert (array[1] == NO_VALUE).all()
    ijk = all_voxels(volume.hu.shape)
    slice_of_block = np.round(to_ijk(overlay, to_world(node, ijk))[:, 2]).astype(int)
    np.testing.assert_array_equal(slice_of_block, ijk[:, volume.acquisition_axis])


def test_colours_are_those_of_the_map_and_the_worst_score_is_not_taken_for_nothing(scene):
    volume = make_volume((5, 6, 6))
    body = np.zeros((5, 6, 6), bool)
    body[:, 2:4, 2:4] = True
    assessment = make_assessment(volume, [None, 0.0, 1.0, 2.0, 4.0])
    rgba = shown_rgba(
        add_quality_overlay(scene, add_volume(scene, volume), assessment, quality_image(assessment, body))
    )
    assert (rgba[0, ..., 3] == 0).all(), "a refused slice shows colour"
    assert (rgba[:, 0, 0, 3] == 0).all(), "colour outside the patient"
    assert (rgba[1:, 2, 2, 3] == 255).all(), "a scored slice shows nothing"
    expected = 255 * QUALITY.rgb(5)[[0, 1, 2, 4]]
    np.testing.assert_allclose(rgba[1:, 2, 2, :3], expected, atol=2.5)


def test_attention_is_clear_near_neutral_and_coloured_above(scene):
    volume = make_volume((1, 4, 4))
    attention = make_attention(volume, grid=(2, 2), refused=())
    attention.values[0] = [[1.1, 1.5], [2.0, 3.0]]
    node = add_attention_overlay(
        scene,
        add_volume(scene, volume),
        make_assessment(volume, [2.0]),
        attention,
        3.0,
        finished(map_image(attention.values)),
    )
    rgba = shown_rgba(node)[0]
    assert rgba[..., 3].tolist() == [[0, 255], [255, 255]]
    np.testing.assert_allclose(rgba[[0, 1, 1], [1, 0, 1], :3], 255 * ATTENTION.rgb(5)[[1, 2, 4]], atol=2.5)


def test_all_attention_maps_share_one_scale():
    volume = make_volume()
    weak, strong = make_attention(volume, "scan"), make_attention(volume, "focus")
    strong.values[1] = 7.0
    weak.values[1] = 2.34
    assert attention_upper([weak]) == 2.4
    assert attention_upper([weak, strong]) == 7.0
    strong.values[:] = np.nan
    assert attention_upper([strong]) == 2.0
    assert attention_upper([]) == 2.0


def test_the_legend_follows_the_overlay_and_stays_out_of_3d(scene):
    volume = make_volume()
    assessment = make_assessment(volume)
    node = add_quality_overlay(
        scene, add_volume(scene, volume), assessment, quality_image(assessment, make_body(volume))
    )
    legend = node.GetNthDisplayNode(1)
    assert legend.IsA("vtkMRMLColorLegendDisplayNode")
    assert legend.GetPrimaryDisplayNode() is node.GetDisplayNode()
    assert (legend.GetTitleText(), legend.GetNumberOfLabels(), legend.GetVisibility3D()) == ("Quality", 5, False)


def test_colour_nodes_are_made_once_for_all_overlays(scene):
    volume = make_volume()
    node, assessment = add_volume(scene, volume), make_assessment(volume)
    first = add_quality_overlay(scene, node, assessment, quality_image(assessment, make_body(volume)))
    second = add_quality_overlay(scene, node, assessment, quality_image(assessment, make_body(volume)))
    assert first.GetDisplayNode().GetColorNode() is second.GetDisplayNode().GetColorNode()
    assert not first.GetDisplayNode().GetColorNode().GetHideFromEditors()


def test_an_assessment_of_another_volume_is_refused(scene):
    volume, other = make_volume((6, 20, 24)), make_volume((6, 20, 25))
    node = add_volume(scene, other)
    with pytest.raises(AssessmentMismatchError):
        add_assessment(scene, node, make_assessment(volume), make_body(volume))
    with pytest.raises(AssessmentMismatchError):
        quality_image(make_assessment(volume), make_body(other))
