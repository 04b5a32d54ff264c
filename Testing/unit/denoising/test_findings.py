"""If these fail, boxes of the lesion detector lie elsewhere, or one lesion counts as many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from CTQualityAssessmentLib.assessment.denoising import find_lesions
from CTQualityAssessmentLib.assessment.denoising.findings import overlap
from CTQualityAssessmentLib.denoising import Finding
from CTQualityAssessmentLib.models import load_denoiser
from CTQualityAssessmentLib.networks.lesion_detector import DetectorOutput
from CTQualityAssessmentLib.volume import Volume

from Testing.denoiser_factory import noisy_patient, write_denoiser


class BrightSpots(torch.nn.Module):
    """A detector that marks what is very bright with boxes of 16 pixels: its answers are known."""

    def forward(self, x):
        bright = torch.nn.functional.max_pool2d((x > 0.75).float(), 4)
        heat = torch.where(bright > 0, 2.0, -9.0)
        return DetectorOutput(x, heat, torch.zeros_like(heat).repeat(1, 2, 1, 1), torch.full_like(heat, np.log(4.0)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    loaded = load_denoiser(write_denoiser(tmp_path_factory.mktemp("models") / "tiny"), "cpu")
    return replace(loaded, detector=BrightSpots())


def test_a_lesion_over_several_slices_is_one_finding_at_its_place(model):
    hu = noisy_patient(8, 96)
    hu[2:5, 40:44, 60:64] = 2900
    hu[6, 40:44, 60:64] = 2900
    found = find_lesions(Volume(hu, np.diag([-3.5, -3.5, 3.0, 1.0]), 2), model)
    assert [(one.first_slice, one.last_slice) for one in found] == [(2, 4), (6, 6)]
    for one in found:
        assert (one.left, one.top, one.right, one.bottom) == pytest.approx((54, 34, 70, 50))
        assert one.probability == pytest.approx(0.8808, abs=1e-3)


def test_the_most_probable_come_first_and_air_has_none(model):
    hu = noisy_patient(3, 96)
    hu[1, 40:44, 24:28] = hu[1, 40:44, 60:64] = 2900
    empty = np.full_like(hu, -1000)
    grid = np.diag([-3.5, -3.5, 3.0, 1.0])
    assert len(find_lesions(Volume(hu, grid, 2), model)) == 2
    assert len(find_lesions(Volume(hu, grid, 2), model, most=1)) == 1
    assert find_lesions(Volume(empty, grid, 2), model) == ()
    assert find_lesions(Volume(hu, grid, 2), replace(model, detector=None)) == ()


def test_overlap_is_intersection_over_union():
    one = Finding(0, 0, 0, 0, 10, 10, 0.5)
    assert overlap(one, one) == 1
    assert overlap(one, replace(one, left=5, right=15)) == pytest.approx(50 / 150)
    assert overlap(one, replace(one, left=20, right=30)) == 0
