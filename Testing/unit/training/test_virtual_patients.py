"""Virtual patients: without them the network answers from the anatomy of the few patients that it was trained on."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment.body import body_mask

from Training.data.sources import SourceSlice, noise_sd
from Training.data.virtual import _with_arms, iterative_like, virtual_patient


@pytest.fixture(scope="module")
def source() -> SourceSlice:
    down, right = np.mgrid[:256, :256]
    hu = np.full((256, 256), -1000, np.float32)
    hu[np.hypot((down - 128) / 60, (right - 128) / 80) < 1] = 50
    hu[np.hypot(down - 160, right - 128) < 10] = 600
    return SourceSlice("somebody", 7, hu, 1.5)


def test_a_seed_gives_the_same_patient_and_another_seed_another(source: SourceSlice) -> None:
    first, again, other = (virtual_patient(source, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.hu, again.hu)
    assert not np.array_equal(first.hu, other.hu)


def test_every_virtual_patient_is_a_patient_in_air(source: SourceSlice) -> None:
    for seed in range(20):
        made = virtual_patient(source, np.random.default_rng(seed))
        body = body_mask(made.hu, (made.spacing_mm, made.spacing_mm))
        assert 0.03 < body.mean() < 0.6
        assert made.patient == "somebody"  # the split by patient hangs on it
        assert -1005 < np.median(made.hu[~body]) < -900


def test_arms_hold_bone_and_leave_the_body_as_it_is(source: SourceSlice) -> None:
    armed = _with_arms(source.hu, source.spacing_mm, np.random.default_rng(0))
    added = armed != source.hu
    assert (armed[added] > 600).any()
    assert added[:, :128].any() and added[:, 128:].any()
    assert not added[source.hu > -500].any()


def test_iterative_texture_lowers_noise_and_keeps_hu(source: SourceSlice) -> None:
    noisy = source.hu + np.random.default_rng(0).normal(0, 40, source.hu.shape).astype(np.float32)
    smooth = iterative_like(noisy, 0.6)
    organ = source.hu == 50
    assert noise_sd(smooth) < 0.7 * noise_sd(noisy)
    assert abs(float(smooth[organ].mean() - noisy[organ].mean())) < 2
    assert np.array_equal(iterative_like(noisy, 0.0), noisy)
