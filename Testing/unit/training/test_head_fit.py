"""If these fail, the shipped head answers to other numbers than the ones it was fitted on."""

from __future__ import annotations

import pytest
import torch
from CTQualityAssessmentLib.networks.ordinal_scores import expected_score
from CTQualityAssessmentLib.networks.sobel_ordinal import DistributionHead, MeanHead

from Training.head import HeadFit, fit_head
from Training.losses.hrps import HRPSLoss


@pytest.mark.parametrize("head", [DistributionHead(4, 0, 16, 0.0, 21, 5), MeanHead(8, 0.0, 21, 5)])
def test_a_fitted_head_reads_raw_features_of_very_different_size(head):
    """The scale is folded into the weights: features go in as the backbone gives them."""
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([1e-2, 1.0, 50.0, 1e-2, 1.0, 3.0, 1.0, 10.0])
    features = torch.randn(400, 8, generator=generator) * scale + 5 * scale
    scores = ((features[:, 2] - 250) / 100 + 2).clamp(0, 4)
    fit_head(head, features, scores, HRPSLoss(), HeadFit(steps=400, lr=1e-2), seed=1)
    assert not head.training
    with torch.no_grad():
        error = (expected_score(head(features)[0]) - scores).abs().mean()
    assert error < 0.25


def test_the_same_seed_fits_the_same_head():
    features, scores = torch.randn(50, 8), torch.rand(50) * 4
    heads = [MeanHead(8, 0.1, 21, 5) for _ in range(2)]
    heads[1].load_state_dict(heads[0].state_dict())
    for head in heads:
        fit_head(head, features, scores, HRPSLoss(), HeadFit(steps=20), seed=3)
    assert torch.equal(heads[0].fine.weight, heads[1].fine.weight)


def test_a_limited_fit_sees_images_of_the_whole_set_each_once():
    training = list(range(100))
    chosen = HeadFit(images=30).choose(training)
    assert len(set(chosen)) == 30 and chosen == sorted(chosen)
    assert min(chosen) < 20 and max(chosen) > 80  # files are sorted by patient: the first 30 would be one patient
    assert HeadFit().choose(training) == training
