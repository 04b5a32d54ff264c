"""What the panel says of a volume before anybody presses a button: a wrong input that nobody warns of gets a score."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume, value_range
from CTQualityAssessmentLib.volume import Volume

from Testing.assessment_factory import affine, make_volume

DATA = Path(os.environ.get("CTQA_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


@pytest.fixture
def facts(window):
    """The facts of a volume, or of a node made of it and then changed."""
    from CTQualityAssessmentLib.panel.volume_facts import volume_facts

    def facts_(volume, change=lambda node: None):
        node = add_volume(window.scene, volume)
        change(node)
        return volume_facts(node)

    return facts_


def warned(found):
    return " ".join(found.warnings)


def test_a_plain_ct_is_described_without_a_warning(facts):
    found = facts(make_volume((6, 20, 24)))
    assert found.warnings == () and found.refusal == ""
    assert found.lines[0] == "24 × 20 × 6 voxels of 1.5 × 1.5 × 4 mm"
    assert found.lines[1].startswith("6 slices along k, -1000 to")


@pytest.mark.parametrize("slices", [1, 2])
def test_a_scout_or_a_single_image_is_told(facts, slices):
    assert f"Only {slices} slice(s): this may be a scout" in warned(facts(make_volume((slices, 20, 24))))


@pytest.mark.parametrize(("turn", "words"), [((90.0, 0.0, 0.0), "not axial"), ((0.0, 90.0, 0.0), "not axial")])
def test_a_coronal_or_sagittal_reformat_is_told(facts, turn, words):
    assert words in warned(facts(make_volume((6, 20, 24), affine(rotation_deg=turn))))


def test_an_oblique_stack_is_axial_enough(facts):
    assert facts(make_volume((6, 20, 24), affine(rotation_deg=(20.0, 10.0, 0.0)))).warnings == ()


def test_a_tilted_gantry_is_told(facts):
    assert "sheared" in warned(facts(make_volume((6, 20, 24), affine(shear=0.3))))


def test_values_that_are_no_hounsfield_units_are_told(facts):
    """An MR, a PET or a CT without its rescale looks like grey values, too."""
    bright = make_volume((6, 20, 24))
    bright.hu[:] = np.abs(bright.hu)
    assert "cannot be Hounsfield units: none lies below water" in warned(facts(bright))
    tissue = make_volume((6, 20, 24))
    tissue.hu[:] = np.where(tissue.hu < -500, -300, tissue.hu)
    assert "no air near -1000 HU" in warned(facts(tissue))

    def say(node):
        unit = slicer.vtkCodedEntry()
        unit.SetValueSchemeMeaning("{SUVbw}g/ml", "UCUM", "Standardized Uptake Value body weight")
        node.SetVoxelValueUnits(unit)

    assert "not in Hounsfield units" in warned(facts(make_volume((6, 20, 24)), say))


def test_real_mr_is_told(facts):
    files = sorted((DATA / "mr").glob("*.nii.gz"))
    if not files:
        pytest.skip("the development data are not here")
    nibabel = pytest.importorskip("nibabel")
    stored = np.asarray(nibabel.load(files[0]).dataobj).T
    found = facts(Volume(stored.astype(np.float32), affine((1.0, 1.0, 5.0))))
    assert "cannot be Hounsfield units" in warned(found)


def test_voxels_without_a_value_are_told_and_not_shown_as_nan(facts):
    def spoil(node):
        hu = slicer.util.arrayFromVolume(node).astype(np.float32)
        hu[0, 0, :3] = np.nan, np.inf, -np.inf
        slicer.util.updateVolumeFromArray(node, hu)

    found = facts(make_volume((6, 20, 24)), spoil)
    assert "without a value" in warned(found)
    assert "nan" not in found.lines[1] and "inf" not in found.lines[1]


def test_padding_is_shown_as_the_air_that_it_is_taken_for(facts):
    def pad(node):
        slicer.util.arrayFromVolume(node)[0, 0, 0] = -3024

    assert "-1024 to" in facts(make_volume((6, 20, 24)), pad).lines[1]


def test_what_cannot_be_read_is_refused_with_a_reason(facts, window):
    from CTQualityAssessmentLib.panel.volume_facts import volume_facts

    assert "no voxels" in volume_facts(window.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")).refusal
    assert "grey-value" in volume_facts(window.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")).refusal


@pytest.mark.parametrize("shape", [(1, 4, 5), (7, 300, 400), (3, 700, 700)])
def test_the_range_is_that_of_all_voxels(shape):
    values = np.random.default_rng(0).integers(-1000, 3000, shape).astype(np.int16)
    assert value_range(values) == (values.min(), values.max())
    spoiled = values.astype(np.float32)
    spoiled[-1, -1, -1] = np.nan
    assert np.isnan(value_range(spoiled)).all()
