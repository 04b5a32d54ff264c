"""Grad-CAM (Selvaraju et al., ICCV 2017): which places of a slice raised its score, and which lowered it.

Taken on the last convolutional features of TFKT. Its Swin part reads an image that a fully connected layer made of the
slice's *mean* features: that image's places are none of the slice's, so a map of it would show anatomy where there is
none. From the mean follows also that the gradient is the same at every place: the map is a sum of features, each with
its one weight, and tells what was found where, not how places act together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from CTQualityAssessmentLib.networks.ordinal_scores import TOP_SCORE
from CTQualityAssessmentLib.networks.slice_scorer import MapKey, SliceReading
from CTQualityAssessmentLib.networks.tfkt import Tfkt

#: In the order in which :func:`score_evidence` returns them.
NAMES = ("raises", "lowers")


def score_evidence(features: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """What raised and what lowered each score, ``(B, h, w)`` each, relative to an even spread.

    Args:
        features: ``(B, C, h, w)``.
        gradient: of the scores with respect to them.

    Returns:
        the positive and the negative part of ``sum_c mean(gradient_c) features_c``, over the mean of its absolute
        value in the slice; zeros where that is zero.
    """
    evidence = (gradient.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1)
    even = evidence.abs().mean(dim=(1, 2), keepdim=True)
    relative = torch.where(even > 0, evidence / even.clamp_min(torch.finfo(even.dtype).tiny), 0.0)
    return relative.clamp_min(0), (-relative).clamp_min(0)


class TfktScorer:
    """TFKT as a :class:`~CTQualityAssessmentLib.networks.slice_scorer.SliceScorer`; its maps are Grad-CAM.

    It was trained to give a score and gives no distribution. Scores outside [0, 4] are cut off at the ends.
    """

    def __init__(self, network: Tfkt) -> None:
        self.network = network

    @torch.no_grad()
    def __call__(self, x: Tensor, map_stages: Sequence[int] = ()) -> SliceReading:
        """See :class:`~CTQualityAssessmentLib.networks.slice_scorer.SliceScorer`."""
        features = self.network.convolved(x)
        maps: dict[MapKey, Tensor] = {}
        if map_stages:
            with torch.enable_grad():
                features.requires_grad_()
                scores = self.network.judged(features)
                (gradient,) = torch.autograd.grad(scores.sum(), features)
            scores, features = scores.detach(), features.detach()
            parts = score_evidence(features.float(), gradient.float())
            # A 3 x 3 convolution of stride 2 centres its first output on the first pixel of its input.
            maps = {
                MapKey("grad-cam", name, None, self.network.stride, 0.0): part
                for name, part in zip(NAMES, parts, strict=True)
            }
        else:
            scores = self.network.judged(features)
        return SliceReading(scores.float().clamp(0.0, TOP_SCORE), None, None, features.float().mean(dim=(2, 3)), maps)
