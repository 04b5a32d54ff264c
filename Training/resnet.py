"""ResNet-18 (He et al., CVPR 2016) with one input channel: the baseline network of LDCTIQAC2023, for comparison only.

It answers as ClinReadNet does, in grades, so that the same recipe, loss and head fit train it. Random weights.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from CTQualityAssessmentLib.networks.clinreadnet import ClinReadNet, ClinReadNetOutput, clinreadnet
from CTQualityAssessmentLib.networks.sobel_ordinal import MeanHead
from torch import Tensor, nn

_WIDTHS = (64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm and a shortcut; stride 2 halves the grid."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels_in == channels
            else nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, channels, H / stride, W / stride)``."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet18(nn.Module):
    """Stem, four stages of two blocks, mean over the image, linear grades.

    Args:
        dropout: before the linear layers.
    """

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 64, 7, 2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, padding=1),
        )
        blocks: list[nn.Module] = []
        before = 64
        for n, width in enumerate(_WIDTHS):
            blocks += [BasicBlock(before, width, 1 if n == 0 else 2), BasicBlock(width, width, 1)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.head = MeanHead(before, dropout, 21, 5)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> ClinReadNetOutput:
        """Grades of images ``(B, 1, H, W)`` in [0, 1]."""
        tokens = self.blocks(self.stem(x)).permute(0, 2, 3, 1)
        features = self.head.pool(tokens, None, x)
        return ClinReadNetOutput(*self.head(features), features, {})


def build_network(settings: dict[str, Any]) -> ClinReadNet | ResNet18:
    """The network of a recipe: ``{"architecture": "resnet-18", ...}``, or settings of :func:`clinreadnet`."""
    if settings.get("architecture") == "resnet-18":
        return ResNet18(**{key: value for key, value in settings.items() if key != "architecture"})
    return clinreadnet(**settings)
