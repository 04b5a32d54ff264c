"""If these fail, slices are shown or scored mirrored, in the wrong direction, or at the wrong place in the patient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from CTQualityAssessmentLib.volume import Volume, acquisition_axis_from_affine


def affine(spacing: tuple[float, float, float]) -> np.ndarray:
    return np.diag([*spacing, 1.0])


@pytest.mark.parametrize(
    ("size_ijk", "spacing", "axis"),
    [
        ((512, 512, 300), (0.8, 0.8, 1.0), 2),
        ((512, 512, 512), (0.8, 0.8, 0.8), 2),
        ((400, 350, 120), (0.8, 0.8, 3.0), 2),  # axial, cropped
        ((120, 350, 120), (0.8, 0.8, 3.0), 2),
        ((512, 60, 512), (0.8, 3.0, 0.8), 1),
        ((400, 60, 512), (0.8, 3.0, 0.8), 1),  # coronal, cropped
        ((60, 400, 512), (3.0, 0.8, 0.8), 0),  # sagittal, cropped
    ],
)
def test_the_acquisition_axis_is_guessed_also_where_a_volume_was_cropped(size_ijk, spacing, axis):
    """Scored along the wrong axis, a network reads reformatted slices that it never saw."""
    assert acquisition_axis_from_affine(affine(spacing), tuple(reversed(size_ijk))) == axis


@pytest.mark.parametrize("shear", [0.0, 0.4], ids=["straight", "gantry tilt"])
def test_every_storage_order_shows_the_same_place_in_the_radiological_view(shear):
    """All 48 orders and directions of the axes, left-handed ones too: voxels stay where they are in the patient."""
    turn = np.array([[0.98, -0.17, 0.1], [0.17, 0.98, 0.05], [-0.1, -0.03, 0.99]])
    for order, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1.0, -1.0), repeat=3)):
        matrix = np.eye(4)
        matrix[:3, :3] = (turn * (0.7, 0.9, 3.0))[:, order] * signs
        acquisition = order.index(2)
        matrix[:3, acquisition] += shear * turn[:, 1]
        k, j, i = np.indices((5, 6, 7), dtype=np.float64)
        world = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ matrix.T
        volume = Volume(world[..., :3] @ (1.0, 10.0, 100.0), matrix, acquisition)
        slices = volume.canonical_slices()
        n, row, column = np.indices(slices.hu.shape, dtype=np.float64)
        shown = np.stack([column, row, n, np.ones_like(n)], axis=-1) @ slices.ijk_to_ras.T
        assert np.allclose(shown[..., :3] @ (1.0, 10.0, 100.0), slices.hu)
        assert slices.ijk_to_ras[0, 0] < 0 and slices.ijk_to_ras[1, 1] < 0  # to the patient's left, to posterior
        assert np.shares_memory(slices.hu, volume.hu)


def test_a_volume_cannot_hold_what_is_no_number():
    """One NaN would turn the score of its slice into NaN, and the mean of the volume with it."""
    hu = np.zeros((2, 3, 3), dtype=np.float32)
    hu[1, 1, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        Volume(hu, np.eye(4))
