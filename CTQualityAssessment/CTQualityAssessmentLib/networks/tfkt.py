"""TFKT V2: convolutions read the slice, a bridge turns what they found into a small image, Swin reads that.

After JMI 12(5):051805, 2025, whose architecture is known from its authors' code; re-implemented in our own words::

    slice -> EfficientNetV2 features -> mean over the slice -> bridge (Linear) -> square "image" -> SwinV2 -> score

The bridge is fully connected and comes after a mean over the whole slice: its "image" has no place in the patient, so
attention or class activation of the Swin part mean nothing anatomically and are not offered. Maps come from the
convolutional features, see :mod:`grad_cam`.

Sizes: ``v2`` is the network that was published and evaluated, 209,383,449 parameters. ``v2-kan`` is what its text
describes: the published code looks for an attribute that its blocks do not have and so never puts the Kolmogorov-Arnold
layers in. ``compact`` has the same three parts and can be shipped. The published input is scaled to [0, 1] by its own
minimum and maximum, which changes nothing on the challenge's images; here the bundle's window does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from CTQualityAssessmentLib.networks.efficientnet_v2 import ConvStage, EfficientNetV2Features
from CTQualityAssessmentLib.networks.faster_kan import CrossPerceptron
from CTQualityAssessmentLib.networks.swin_v2 import SwinV2, plain_perceptron


@dataclass(frozen=True)
class TfktConfig:
    """Everything that decides the shape of a :class:`Tfkt`; the defaults are ``v2``.

    Attributes:
        stem, stages, last, conv_drop_path: see :class:`EfficientNetV2Features`.
        dropout: of the pooled features.
        bridge_side: side of the image that the bridge makes.
        swin_dim, swin_depths, swin_heads, window, patch, swin_drop_path: see :class:`SwinV2`.
        kan: whether the blocks have Kolmogorov-Arnold branches.
    """

    stem: int = 32
    stages: tuple[ConvStage, ...] = (
        ConvStage(True, 1, 1, 32, 4),
        ConvStage(True, 4, 2, 64, 7),
        ConvStage(True, 4, 2, 96, 7),
        ConvStage(False, 4, 2, 192, 10),
        ConvStage(False, 6, 1, 224, 19),
        ConvStage(False, 6, 2, 384, 25),
        ConvStage(False, 6, 1, 640, 7),
    )
    last: int = 1280
    conv_drop_path: float = 0.2
    dropout: float = 0.4
    bridge_side: int = 64
    swin_dim: int = 128
    swin_depths: tuple[int, ...] = (2, 2, 18, 2)
    swin_heads: tuple[int, ...] = (4, 8, 16, 32)
    window: int = 8
    patch: int = 4
    swin_drop_path: float = 0.5
    kan: bool = False

    def __post_init__(self) -> None:
        if len(self.swin_depths) != len(self.swin_heads) or not self.swin_depths or not self.stages:
            raise ValueError("A TFKT needs convolutional stages, and as many numbers of heads as of Swin depths.")
        if any(self.swin_dim * 2**n % heads for n, heads in enumerate(self.swin_heads)):
            raise ValueError("The channels of every Swin stage must be a multiple of its heads.")
        if self.bridge_side % self.patch:
            raise ValueError("The side of the bridge's image must be a multiple of the patch size.")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for a bundle's metadata."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TfktConfig:
        """The inverse of :meth:`to_dict`; what is missing takes its default.

        Raises:
            ValueError: a key that this version does not know.
            TypeError: a stage with other fields than :class:`ConvStage`.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"Unknown TFKT settings: {', '.join(map(str, unknown))}.")
        known = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        if "stages" in known:
            known["stages"] = tuple(ConvStage(**stage) for stage in known["stages"])
        return cls(**known)


_V2 = TfktConfig()
SIZES: dict[str, TfktConfig] = {
    "v2": _V2,
    "v2-kan": replace(_V2, kan=True),
    "compact": TfktConfig(
        stem=12,
        stages=(
            ConvStage(True, 1, 1, 12, 1),
            ConvStage(True, 2, 2, 32, 1),
            ConvStage(True, 2, 2, 64, 1),
            ConvStage(False, 4, 2, 96, 2),
            ConvStage(False, 4, 2, 160, 2),
        ),
        last=320,
        conv_drop_path=0.0,
        dropout=0.2,
        bridge_side=32,
        swin_dim=48,
        swin_depths=(2, 2),
        swin_heads=(3, 6),
        swin_drop_path=0.1,
    ),
}


class Tfkt(EfficientNetV2Features):
    """The three parts. ``features.*`` and ``swin.*`` have torchvision's names, see the two modules they come from.

    Args:
        config: see :class:`TfktConfig`.
    """

    def __init__(self, config: TfktConfig) -> None:
        super().__init__(config.stem, config.stages, config.last, config.conv_drop_path)
        self.config = config
        self.dropout = nn.Dropout(config.dropout)
        self.bridge = nn.Linear(config.last, config.bridge_side**2)
        self.swin = SwinV2(
            config.swin_dim,
            config.swin_depths,
            config.swin_heads,
            config.window,
            config.patch,
            config.swin_drop_path,
            CrossPerceptron if config.kan else plain_perceptron,
        )

    def convolved(self, x: Tensor) -> Tensor:
        """Convolutional features ``(B, last, ceil(H / stride), ceil(W / stride))`` of slices ``(B, 1, H, W)``.

        Raises:
            ValueError: another shape.
        """
        if x.dim() != 4 or x.shape[1] != 1:
            raise ValueError(f"TFKT takes images of shape (B, 1, H, W), not {tuple(x.shape)}.")
        return self.features(x)

    def judged(self, features: Tensor) -> Tensor:
        """Scores ``(B,)`` from convolutional features, without bounds."""
        side = self.config.bridge_side
        pooled = self.dropout(features.mean(dim=(2, 3)))
        return self.swin(self.bridge(pooled).view(-1, 1, side, side)).squeeze(1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(B,)`` of slices ``(B, 1, H, W)`` in [0, 1], without bounds; 0 is bad, 4 excellent."""
        return self.judged(self.convolved(x))


def tfkt(size: str = "compact", **overrides: Any) -> Tfkt:
    """A TFKT with random weights.

    Args:
        size: ``"v2"``, ``"v2-kan"`` or ``"compact"``.
        overrides: fields of :class:`TfktConfig` to change.

    Raises:
        ValueError: an unknown size.
        TypeError: an unknown field.
    """
    if size not in SIZES:
        raise ValueError(f"TFKT comes in the sizes {', '.join(SIZES)}, not {size!r}.")
    return Tfkt(replace(SIZES[size], **overrides))


def parameters_of(size: str) -> int:
    """How many numbers a size learns, without making them."""
    with torch.device("meta"):
        return sum(p.numel() for p in tfkt(size).parameters())
