"""From the logits of ordered grades to a score and to how sure it is.

The fine grades are evenly spread over [0, 4], the range of the LDCTIQAC2023 ratings; 21 grades are steps of 0.2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

#: The best score.
TOP_SCORE = 4.0


class ScoreDistribution(NamedTuple):
    """A slice's distribution over the fine grades and its summary, all float32.

    Attributes:
        probabilities: ``(B, K)``, sum 1.
        expected: ``(B,)`` in [0, 4], the mean.
        sd: ``(B,)`` in [0, 2], the standard deviation, in units of the score.
    """

    probabilities: Tensor
    expected: Tensor
    sd: Tensor


def grade_values(levels: int, device: torch.device | None = None) -> Tensor:
    """The score of each of ``levels`` grades, ``(levels,)`` float32 from 0 to 4."""
    return torch.linspace(0.0, TOP_SCORE, levels, device=device)


def expected_score(fine_logits: Tensor) -> Tensor:
    """The mean score of each slice, ``(B,)`` float32 in [0, 4], from logits ``(B, K)``."""
    probabilities = fine_logits.float().softmax(dim=-1)
    # A sum, not a matrix product, which autocast would round to bfloat16.
    score = (probabilities * grade_values(fine_logits.shape[-1], fine_logits.device)).sum(dim=-1)
    return score.clamp(0.0, TOP_SCORE)


def score_distribution(fine_logits: Tensor) -> ScoreDistribution:
    """The distribution of each slice's score and its summary, from logits ``(B, K)``, K at least 2."""
    values = grade_values(fine_logits.shape[-1], fine_logits.device)
    probabilities = fine_logits.float().softmax(dim=-1)
    expected = expected_score(fine_logits)
    variance = (probabilities * (values - expected.unsqueeze(-1)).square()).sum(dim=-1)
    return ScoreDistribution(probabilities, expected, variance.sqrt())
