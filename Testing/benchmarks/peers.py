"""What a user would take instead, with random weights: the same computation as with trained ones, none of theirs.

- LDCTIQA of ldct-benchmark (MIT): Swin-T (windows of 7) at 512 x 512, three equal channels, four heads of 21 classes,
  one slice at a time. It takes Swin-T from torchvision; here it is MONAI's, configured alike, because this project does
  without torchvision.
- ResNet-18, the baseline of LDCTIQAC2023's reference container, one channel.
- TFKT V2 as published, 209 million parameters, EfficientNetV2-L and SwinV2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class _Heads(nn.Module):
    """Mean over four softmaxes of 21 classes."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(features, 21) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([head(x) for head in self.heads], dim=-2).softmax(dim=-1).mean(dim=-2)


class SwinTOfMonai(nn.Module):
    """Swin-T's four stages, without the patch merging that MONAI puts behind the last one."""

    def __init__(self) -> None:
        super().__init__()
        from monai.networks.nets.swin_unetr import SwinTransformer

        self.swin = SwinTransformer(
            in_chans=3,
            embed_dim=96,
            window_size=(7, 7),
            patch_size=(4, 4),
            depths=(2, 2, 6, 2),
            num_heads=(3, 6, 12, 24),
            patch_norm=True,
            spatial_dims=2,
            downsample="mergingv2",
        )
        self.swin.layers4[0].downsample = None
        self.norm = nn.LayerNorm(768)
        self.heads = _Heads(768)

    def forward(self, x: Tensor) -> Tensor:
        x = self.swin.patch_embed(x.repeat(1, 3, 1, 1))
        for stage in (self.swin.layers1, self.swin.layers2, self.swin.layers3, self.swin.layers4):
            x = stage[0](x.contiguous())
        return self.heads(self.norm(x.permute(0, 2, 3, 1)).mean(dim=(1, 2)))


def _resnet18() -> nn.Module:
    from Training.resnet import ResNet18

    return ResNet18()


def _tfkt_v2() -> nn.Module:
    from CTQualityAssessmentLib.networks.tfkt import tfkt

    return tfkt("v2")


def peers() -> dict[str, Callable[[], nn.Module]]:
    """How to make each of them, by name; each takes ``(1, 1, 512, 512)`` in [0, 1]."""
    return {"LDCTIQA": SwinTOfMonai, "ResNet-18": _resnet18, "TFKT V2": _tfkt_v2}
