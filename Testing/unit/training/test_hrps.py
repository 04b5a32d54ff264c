"""HRPS: zero only for the exact answer, larger the further off, and safe to train with."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from Training.losses.hrps import HRPSLoss, coarsening, ranked_probability_score, two_hot

HRPS_ONLY = {"cross_entropy": 0.0}


def logits_of(probabilities: torch.Tensor) -> torch.Tensor:
    return probabilities.clamp_min(1e-30).log()


@given(st.floats(0, 4))
def test_two_hot_targets_mean_their_score(score):
    target = two_hot(torch.tensor([score]), 21)
    assert target.sum().item() == pytest.approx(1, abs=1e-5)
    assert (target > 0).sum() <= 2 and target.min() >= 0
    assert (target @ torch.linspace(0, 4, 21)).item() == pytest.approx(score, abs=1e-4)


def test_labels_in_steps_of_a_fifth_are_one_hot():
    """0.6 is no binary fraction; a label must not leak into the grade beside it."""
    labels = torch.tensor([k / 5 for k in range(21)])
    assert torch.equal(two_hot(labels, 21), torch.eye(21))


@given(st.floats(0, 4))
def test_coarsened_fine_target_is_the_coarse_target(score):
    """Otherwise a perfect prediction would still be pushed away."""
    y = torch.tensor([score])
    torch.testing.assert_close(two_hot(y, 21) @ coarsening(21, 5).T, two_hot(y, 5), rtol=0, atol=1e-5)


def test_coarsening_keeps_all_mass_and_hard_bins_follow_the_published_bands():
    assert torch.allclose(coarsening(21, 5).sum(0), torch.ones(21))
    bands = coarsening(21, 5, hard=True).argmax(0).tolist()
    assert bands == [0] * 3 + [1] * 5 + [2] * 5 + [3] * 5 + [4] * 3  # 0-.4 | .6-1.4 | 1.6-2.4 | 2.6-3.4 | 3.6-4


@pytest.mark.parametrize("hard_bins", [False, True])
@given(st.floats(0, 4))
def test_exact_prediction_costs_nothing(hard_bins, score):
    y = torch.tensor([score])
    loss = HRPSLoss(**HRPS_ONLY, hard_bins=hard_bins)
    assert loss(logits_of(two_hot(y, 21)), logits_of(two_hot(y, 5)), y).item() == pytest.approx(0, abs=1e-8)


@given(st.integers(0, 20), st.integers(0, 20), st.floats(1e-3, 1))
def test_any_other_prediction_costs_something(truth, wrong, share):
    """Zero loss short of the truth would stop the training too early."""
    y = torch.tensor([truth / 5])
    target = two_hot(y, 21)
    prediction = (1 - share) * target + share * torch.eye(21)[[wrong]]
    cost = ranked_probability_score(prediction, target).item()
    assert (cost > 1e-9) == (wrong != truth)


@pytest.mark.parametrize("levels", [5, 21])
def test_a_certain_grade_costs_its_distance(levels):
    grades = torch.eye(levels)
    for truth in (0, levels // 2, levels - 1):
        cost = ranked_probability_score(grades, grades[[truth]].expand(levels, -1))
        expected = (torch.arange(levels) - truth).abs() / (levels - 1)
        torch.testing.assert_close(cost, expected)


def test_the_whole_loss_grows_with_the_distance_between_grades():
    """What separates this loss from cross-entropy: near misses are cheap."""
    y = torch.tensor([0.8])
    losses = []
    for guess in torch.linspace(0.8, 4, 17):
        g = guess[None]
        losses.append(HRPSLoss(**HRPS_ONLY)(logits_of(two_hot(g, 21)), logits_of(two_hot(g, 5)), y).item())
    assert all(a < b for a, b in pairwise(losses))


def test_gradients_are_finite_for_extreme_logits_and_point_to_the_truth():
    fine = torch.tensor([[300.0] + [-300.0] * 20, [0.0] * 21], requires_grad=True)
    coarse = torch.zeros(2, 5, requires_grad=True)
    HRPSLoss()(fine, coarse, torch.tensor([4.0, 2.0])).backward()
    assert fine.grad.isfinite().all() and coarse.grad.isfinite().all()
    assert fine.grad[1].argmin() == 10 and coarse.grad[1].argmin() == 2


def test_a_constant_added_to_the_logits_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    fine, coarse = torch.randn(4, 21, generator=generator), torch.randn(4, 5, generator=generator)
    y = torch.tensor([0.0, 1.2, 2.9, 4.0])
    torch.testing.assert_close(HRPSLoss()(fine + 9, coarse - 5, y), HRPSLoss()(fine, coarse, y))


def test_default_loss_is_the_weighted_sum_of_its_terms():
    generator = torch.Generator().manual_seed(1)
    fine, coarse = torch.randn(4, 21, generator=generator), torch.randn(4, 5, generator=generator)
    y = torch.tensor([0.1, 1.2, 2.9, 4.0])
    t = HRPSLoss().terms(fine, coarse, y)
    torch.testing.assert_close(t.loss, 10 * t.fine + 5 * t.coarse + t.agreement + t.cross_entropy)
    p = fine.softmax(-1)
    torch.testing.assert_close(t.fine, (p - two_hot(y, 21)).cumsum(-1)[:, :-1].square().mean())
    torch.testing.assert_close(
        t.agreement, (p @ coarsening(21, 5).T - two_hot(y, 5)).cumsum(-1)[:, :-1].square().mean()
    )
    cross_entropy = torch.nn.functional.cross_entropy
    torch.testing.assert_close(
        t.cross_entropy, cross_entropy(fine, two_hot(y, 21)) + 0.5 * cross_entropy(coarse, two_hot(y, 5))
    )


def test_cross_entropy_alone_is_an_ablation():
    generator = torch.Generator().manual_seed(1)
    fine, coarse = torch.randn(3, 21, generator=generator), torch.randn(3, 5, generator=generator)
    y = torch.tensor([0.4, 2.0, 3.8])
    loss = HRPSLoss(fine=0, coarse=0, agreement=0)
    torch.testing.assert_close(loss(fine, coarse, y), loss.terms(fine, coarse, y).cross_entropy)


def test_mixed_precision_computes_the_loss_in_float32():
    fine, coarse, y = torch.randn(2, 21).bfloat16(), torch.randn(2, 5).bfloat16(), torch.tensor([1.0, 3.0])
    with torch.autocast("cpu", torch.bfloat16):
        loss = HRPSLoss()(fine, coarse, y)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, HRPSLoss()(fine.float(), coarse.float(), y))


@pytest.mark.parametrize("score", [-0.2, 4.2, float("nan")])
def test_scores_off_the_scale_are_refused(score):
    """A label file on another scale, 1 to 5 say, must not train a network in silence."""
    with pytest.raises(ValueError, match="0, 4"):
        two_hot(torch.tensor([score]), 21)


def test_negative_weights_are_refused():
    with pytest.raises(ValueError, match="negative"):
        HRPSLoss(fine=-1.0)
