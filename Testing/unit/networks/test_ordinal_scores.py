"""Scores from logits: the range, the steps and what counts as sure."""

from __future__ import annotations

import pytest
import torch
from CTQualityAssessmentLib.networks.ordinal_scores import expected_score, grade_values, score_distribution


@pytest.mark.parametrize("grade", [0, 3, 10, 20])
def test_a_certain_grade_is_its_score_with_no_doubt(grade):
    logits = torch.full((1, 21), -50.0)
    logits[0, grade] = 50.0
    out = score_distribution(logits)
    assert out.expected.item() == pytest.approx(0.2 * grade, abs=1e-6)
    assert out.sd.item() == pytest.approx(0, abs=1e-3)


def test_an_even_spread_has_the_spread_of_the_scale():
    out = score_distribution(torch.zeros(2, 21))
    torch.testing.assert_close(out.expected, torch.full((2,), 2.0))
    torch.testing.assert_close(out.sd, grade_values(21).std(unbiased=False).expand(2))


def test_two_opposite_grades_have_the_largest_spread():
    logits = torch.full((1, 21), -50.0)
    logits[0, [0, 20]] = 50.0
    out = score_distribution(logits)
    assert out.expected.item() == pytest.approx(2.0) and out.sd.item() == pytest.approx(2.0)


def test_scores_never_leave_the_scale_and_ignore_a_constant():
    """Rounding above 4 would be refused by the results' schema."""
    logits = 30 * torch.randn(200, 21, generator=torch.Generator().manual_seed(0))
    scores = expected_score(logits)
    assert scores.min() >= 0 and scores.max() <= 4
    torch.testing.assert_close(expected_score(logits + 7), scores, rtol=0, atol=1e-4)
    assert expected_score(logits.bfloat16()).dtype == torch.float32
