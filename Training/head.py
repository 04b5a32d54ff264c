"""The last step of a training run: the head alone, to convergence, on features that are computed once.

The backbone takes nearly all of the time and hands the head a few hundred numbers an image, of very different size. On
those numbers the head trains for thousands of steps in seconds. They are standardised first, and the scale is folded
into the layers that read them, so the network stays what it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from Training.data.folds import Item, Rated
from Training.losses.hrps import HRPSLoss


@dataclass(frozen=True)
class HeadFit:
    """How the head is fitted: AdamW with a cosine from ``lr`` to zero on random batches of images.

    ``images`` limits how many training images it sees, drawn at random; None takes all.
    """

    steps: int = 2000
    batch: int = 64
    lr: float = 2e-3
    weight_decay: float = 0.2
    images: int | None = None

    def choose(self, training: list[Item]) -> list[Item]:
        """The images that the head is fitted on, in their order."""
        if self.images is None or self.images >= len(training):
            return training
        drawn = np.random.default_rng(0).choice(len(training), self.images, replace=False)
        return [training[n] for n in sorted(drawn)]


@torch.no_grad()
def pooled_features(network: torch.nn.Module, images: Sequence[Rated], device: str, batch: int = 4) -> Tensor:
    """Pooled features of each image, ``(N, F)`` float32 on the CPU, in float32 arithmetic as in an assessment."""
    network = network.eval().to(device)
    found: Tensor | None = None
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.stack([image.read() for image in images[start : start + batch]]))[:, None]
        features = network(pixels.to(device)).features
        # One array from the start: small pieces kept between large ones would hold the heap open, gigabytes of it.
        found = torch.empty(len(images), features.shape[1]) if found is None else found
        found[start : start + batch] = features
    return torch.empty(0, 0) if found is None else found


def fit_head(
    head: torch.nn.Module,
    features: Tensor,
    scores: Tensor,
    loss: HRPSLoss,
    fit: HeadFit,
    seed: int,
    fresh: bool = True,
) -> None:
    """Trains ``head`` in place.

    Args:
        head: with ``readers``, the linear layers that read the features.
        features: ``(N, F)``; scores: ``(N,)`` in 0 ... 4.
        loss: as in the training of the backbone.
        fit: schedule.
        seed: of order and dropout.
        fresh: whether the layers that read the features begin anew, or go on from what they are.
    """
    torch.manual_seed(seed)
    head = head.cpu().float().requires_grad_(True)
    mean, sd = features.mean(dim=0), features.std(dim=0) + 1e-3
    standardised = (features - mean) / sd
    with torch.no_grad():
        for layer in head.readers:
            if fresh:
                layer.reset_parameters()
            else:  # the same function, of standardised features
                layer.bias += layer.weight @ mean
                layer.weight *= sd
    optimiser = torch.optim.AdamW(head.parameters(), fit.lr, weight_decay=fit.weight_decay)
    head.train()
    for step in range(fit.steps):
        for group in optimiser.param_groups:
            group["lr"] = fit.lr * 0.5 * (1 + math.cos(math.pi * step / fit.steps))
        chosen = torch.randint(0, len(features), (fit.batch,))
        fine, coarse = head(standardised[chosen])
        value = loss(fine, coarse, scores[chosen])
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()
    with torch.no_grad():
        for layer in head.readers:
            layer.bias -= layer.weight @ (mean / sd)
            layer.weight /= sd
    head.eval()
