"""If these fail, a reader is shown a difference between two scans that is not there, or misses one that is."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment.difference import NOT_COVERED, NoOverlapError, volume_difference
from CTQualityAssessmentLib.volume import Volume

from Testing.assessment_factory import affine

SPACING = np.diag([2.0, 2.0, 5.0, 1.0])


def patient(shift_hu: float = 0.0, noise: float = 0.0, slices: int = 6) -> np.ndarray:
    """A cylinder of soft tissue in air, ``[k, j, i]``."""
    rows, columns = np.mgrid[-1:1:96j, -1:1:96j]
    hu = np.where(np.hypot(rows, columns) < 0.7, 40.0 + shift_hu, -1000.0)
    hu = np.broadcast_to(hu, (slices, *hu.shape)) + np.random.default_rng(1).normal(0, noise, (slices, *hu.shape))
    return np.rint(hu).astype(np.int16)


def test_the_difference_is_second_minus_first_and_its_figures_are_those_inside_the_patient():
    first, second = Volume(patient(), SPACING), Volume(patient(shift_hu=25, noise=12), SPACING)
    found = volume_difference(first, second)
    assert found.hu.dtype == np.int16 and not found.resampled and found.covered == 1.0
    assert np.array_equal(found.hu, second.hu.astype(int) - first.hu)
    assert found.mean_hu == pytest.approx(25, abs=0.5) and found.sd_hu == pytest.approx(12, abs=0.5)
    assert len(found.slices) == 6 and all(sd == pytest.approx(12, abs=1) for _, sd in found.slices)


def test_the_same_anatomy_stored_otherwise_is_no_difference_and_is_not_smoothed():
    """Turned, mirrored, cropped: every voxel still meets its own, so the noise stays what it is."""
    hu = patient(noise=30)
    first = Volume(hu, SPACING)
    turned = np.zeros((4, 4))
    turned[:, :3], turned[3, 3] = SPACING[:, [1, 0, 2]], 1.0
    turned[:3, 3] = SPACING[:3, :3] @ (0, 0, 5)
    turned[:3, 2] *= -1
    other = Volume(np.ascontiguousarray(hu.transpose(0, 2, 1)[::-1]), turned)
    found = volume_difference(first, other)
    assert not found.resampled and found.covered == 1.0 and not found.hu.any()
    moved = SPACING.copy()
    moved[2, 3] = 10.0
    cropped = volume_difference(first, Volume(hu[2:5] + np.int16(7), moved))
    assert not cropped.resampled and cropped.covered == pytest.approx(0.5)
    assert (cropped.hu[2:5] == 7).all() and (cropped.hu[[0, 1, 5]] == NOT_COVERED).all()
    assert cropped.slices[0] is None and cropped.slices[2] == (7.0, 0.0) and cropped.mean_hu == pytest.approx(7)


def test_another_grid_is_resampled_to_the_right_place_and_says_so():
    """A ramp is what linear interpolation gets exactly: any error of half a voxel would show."""
    j, i = np.mgrid[:40, :40]
    first = Volume(np.broadcast_to((10.0 * i + 4.0 * j).astype(np.float32), (5, 40, 40)), SPACING)
    finer = np.diag([1.3, 1.7, 4.0, 1.0])
    finer[:3, 3] = (1.1, 2.3, 0.5)
    j, i = np.mgrid[:40, :50]
    ras = (1.3 * i + 1.1, 1.7 * j + 2.3)
    second = Volume(np.broadcast_to((5.0 * ras[0] + 2.0 * ras[1] + 3.0).astype(np.float32), (5, 40, 50)), finer)
    found = volume_difference(first, second)
    reached = found.hu != NOT_COVERED
    assert found.resampled and 0.2 < found.covered < 0.8 and found.covered == pytest.approx(reached.mean(), abs=0.01)
    np.testing.assert_allclose(found.hu[reached], 3.0, atol=1e-3)


def ramp(ijk_to_ras, shape=(10, 30, 30)):
    """A volume whose HU is a linear function of the place, which linear interpolation reproduces exactly."""
    k, j, i = np.indices(shape)
    points = np.stack([i, j, k, np.ones(shape)], axis=-1) @ ijk_to_ras.T
    return Volume((points[..., :3] @ [1.0, -0.5, 0.7]).astype(np.float32), ijk_to_ras)


@pytest.mark.parametrize(
    "other",
    [
        affine(spacing=(1.0, 1.0, 3.0)),
        affine(rotation_deg=(10.0, 4.0, -6.0)),
        affine(flip=(1, -1, -1), origin=(20.0, -75.0, 140.0)),
        affine(permutation=(2, 0, 1)),
    ],
)
def test_another_grid_is_met_at_the_same_place_in_the_patient(other):
    """Subtracting voxel k from voxel k of another grid shows anatomy as a difference."""
    found = volume_difference(ramp(affine(), (6, 20, 24)), ramp(other))
    there = found.hu != NOT_COVERED
    assert found.resampled and 0.02 < found.covered <= 1.0
    assert found.covered == pytest.approx(there.mean())
    assert np.abs(found.hu[there]).max() < 0.01


def test_volumes_in_different_places_are_refused():
    far = SPACING.copy()
    far[2, 3] = 4000.0
    with pytest.raises(NoOverlapError, match="in common"):
        volume_difference(Volume(patient(), SPACING), Volume(patient(), far))


def test_values_beyond_the_range_of_the_file_type_do_not_turn_over():
    first, second = patient(), patient()
    first[0, 0, 0], second[0, 0, 0] = -32768, 32767
    assert volume_difference(Volume(first, SPACING), Volume(second, SPACING)).hu[0, 0, 0] == 32767
