"""HRPS: the hierarchical ranked probability score over fine and coarse quality grades.

Published: the ranked probability score as a loss for ordered grades (the LDCTIQAC2023 winner's form), and, in the
abstract of arXiv 2606.10372, that ClinReadNet joins coarse and fine grades with the distance between labels. The terms,
their weights, the two-hot targets and the interpolation from fine to coarse are this project's reconstruction::

    RPS_K(p, t) = 1 / (K - 1) * sum_{k=1}^{K-1} (cumsum(p)_k - cumsum(t)_k)^2                        in [0, 1]
    HRPS        = fine RPS_21(p_f, t_f) + coarse RPS_5(p_c, t_c) + agreement RPS_5(G p_f, t_c)
    loss        = HRPS + cross_entropy (CE(p_f, t_f) + 0.5 CE(p_c, t_c))
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

TOP_SCORE = 4.0


def two_hot(scores: Tensor, levels: int) -> Tensor:
    """Scores as distributions over evenly spread grades, whose mean is the score again.

    Args:
        scores: ``(B,)`` in [0, 4].
        levels: number of grades K, at least 2.

    Returns:
        ``(B, K)`` float32: the mass is split between the two nearest grades; all on one for a score on a grade.

    Raises:
        ValueError: a score outside [0, 4], or not a number.
    """
    scores = scores.float()
    if not bool(((scores >= 0) & (scores <= TOP_SCORE)).all()):
        raise ValueError("Scores must lie in [0, 4].")
    position = scores * ((levels - 1) / TOP_SCORE)
    # Labels such as 0.6 are no binary fractions; a grade reached within rounding is that grade alone.
    nearest = position.round()
    position = torch.where((position - nearest).abs() < 1e-5, nearest, position)
    grades = torch.arange(levels, device=scores.device, dtype=torch.float32)
    return (1 - (position.unsqueeze(-1) - grades).abs()).clamp_min(0)


def ranked_probability_score(probabilities: Tensor, targets: Tensor) -> Tensor:
    """The normalised RPS of each row, ``(B,)`` in [0, 1]; one grade certain at distance d from the truth: d / (K - 1).

    Args:
        probabilities: ``(B, K)``, rows sum to 1.
        targets: ``(B, K)``, rows sum to 1.
    """
    difference = (probabilities - targets).cumsum(dim=-1)[..., :-1]
    return difference.square().sum(dim=-1) / difference.shape[-1]


def coarsening(fine_levels: int, coarse_levels: int, hard: bool = False) -> Tensor:
    """G, which turns a distribution over fine grades into one over coarse grades: ``G @ p``.

    Args:
        fine_levels: fine grades, evenly spread over [0, 4].
        coarse_levels: coarse grades, evenly spread over [0, 4].
        hard: put each fine grade into the nearest coarse one, rather than splitting it between its two neighbours.

    Returns:
        ``(coarse_levels, fine_levels)`` float32, columns sum to 1.
    """
    scores = torch.linspace(0.0, TOP_SCORE, fine_levels)
    if hard:
        scores = (scores * ((coarse_levels - 1) / TOP_SCORE)).round() * (TOP_SCORE / (coarse_levels - 1))
    return two_hot(scores, coarse_levels).T.contiguous()


class HRPSTerms(NamedTuple):
    """The loss and its unweighted terms, scalars, means over the batch."""

    loss: Tensor
    fine: Tensor
    coarse: Tensor
    agreement: Tensor
    cross_entropy: Tensor


class HRPSLoss(nn.Module):
    """HRPS plus cross-entropy over fine and coarse grades; float32 also under autocast.

    A weight of 0 leaves its term out: ``fine=coarse=agreement=0`` is plain cross-entropy, ``cross_entropy=0`` plain
    HRPS. With ``hard_bins`` the agreement term's target is ``G t_f``, or it could not vanish.

    Args:
        fine: weight of the RPS over the fine grades.
        coarse: weight of the RPS over the coarse grades.
        agreement: weight of the RPS between the coarsened fine prediction and the coarse target.
        cross_entropy: weight of the two cross-entropies, the coarse one at half.
        hard_bins: coarsen by nearest grade instead of by linear interpolation.
        fine_levels: number of fine grades.
        coarse_levels: number of coarse grades.

    Raises:
        ValueError: a negative weight.
    """

    coarsening: Tensor

    def __init__(
        self,
        fine: float = 10.0,
        coarse: float = 5.0,
        agreement: float = 1.0,
        cross_entropy: float = 1.0,
        hard_bins: bool = False,
        fine_levels: int = 21,
        coarse_levels: int = 5,
    ) -> None:
        super().__init__()
        if min(fine, coarse, agreement, cross_entropy) < 0:
            raise ValueError("The weights of the loss must not be negative.")
        self.weights = (fine, coarse, agreement, cross_entropy)
        self.hard_bins = hard_bins
        self.register_buffer("coarsening", coarsening(fine_levels, coarse_levels, hard_bins), persistent=False)

    def terms(self, fine_logits: Tensor, coarse_logits: Tensor, scores: Tensor) -> HRPSTerms:
        """The loss and its terms.

        Args:
            fine_logits: ``(B, fine_levels)``.
            coarse_logits: ``(B, coarse_levels)``.
            scores: ``(B,)`` in [0, 4].
        """
        with torch.autocast(fine_logits.device.type, enabled=False):
            log_fine = fine_logits.float().log_softmax(dim=-1)
            log_coarse = coarse_logits.float().log_softmax(dim=-1)
            target_fine = two_hot(scores, log_fine.shape[-1])
            target_coarse = two_hot(scores, log_coarse.shape[-1])
            coarsened = log_fine.exp() @ self.coarsening.T
            coarsened_target = target_fine @ self.coarsening.T if self.hard_bins else target_coarse
            fine = ranked_probability_score(log_fine.exp(), target_fine).mean()
            coarse = ranked_probability_score(log_coarse.exp(), target_coarse).mean()
            agreement = ranked_probability_score(coarsened, coarsened_target).mean()
            cross_entropy = -(target_fine * log_fine).sum(dim=-1).mean()
            cross_entropy = cross_entropy - 0.5 * (target_coarse * log_coarse).sum(dim=-1).mean()
            terms = (fine, coarse, agreement, cross_entropy)
            loss = sum((w * t for w, t in zip(self.weights, terms, strict=True) if w), start=fine.new_zeros(()))
        return HRPSTerms(loss, *terms)

    def forward(self, fine_logits: Tensor, coarse_logits: Tensor, scores: Tensor) -> Tensor:
        """The loss, a scalar; see :meth:`terms`."""
        return self.terms(fine_logits, coarse_logits, scores).loss
