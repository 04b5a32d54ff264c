"""How far a slice is from everything the network was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class NoveltyModel:
    """Mahalanobis distance in the leading principal components of the pooled features, plus what they leave over.

    Attributes:
        mean: ``(F,)`` mean feature of the training slices.
        components: ``(P, F)`` orthonormal principal directions.
        scale: ``(P,)`` standard deviation along each.
        residual_scale: root mean square of what the components leave over, on training slices.
        threshold: distance at which a slice counts as outside the training distribution.
    """

    mean: Tensor
    components: Tensor
    scale: Tensor
    residual_scale: Tensor
    threshold: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Distance relative to the threshold for ``(B, F)`` features, ``(B,)``: over 1 is out of distribution."""
        return self.distance(features) / self.threshold

    def distance(self, features: Tensor) -> Tensor:
        """Root mean square of the standardised coordinates and the standardised residual, ``(B,)``."""
        centred = features.float() - self.mean
        coordinates = centred @ self.components.T
        residual = (centred - coordinates @ self.components).square().mean(dim=1).sqrt() / self.residual_scale
        total = (coordinates / self.scale).square().sum(dim=1) + residual.square()
        return (total / (len(self.scale) + 1)).sqrt()

    @classmethod
    def fit(cls, features: Tensor, components: int = 24, quantile: float = 0.99, margin: float = 1.5) -> NoveltyModel:
        """From ``(N, F)`` training features.

        The threshold is ``margin`` times the ``quantile`` of the training distances: scanners that were not trained on
        lie further out than training slices, and a wrong refusal helps nobody.
        """
        features = features.float()
        mean = features.mean(dim=0)
        _, singular, directions = torch.linalg.svd(features - mean, full_matrices=False)
        kept = directions[:components]
        left_over = (features - mean) - (features - mean) @ kept.T @ kept
        model = cls(
            mean,
            kept,
            (singular[:components] / max(len(features) - 1, 1) ** 0.5).clamp_min(1e-6),
            left_over.square().mean().sqrt().clamp_min(1e-6),
            torch.tensor(1.0),
        )
        threshold = margin * model.distance(features).quantile(quantile)
        return cls(model.mean, model.components, model.scale, model.residual_scale, threshold)

    def tensors(self) -> dict[str, Tensor]:
        """By name, for storage in a bundle."""
        return {name: tensor.contiguous() for name, tensor in vars(self).items()}
