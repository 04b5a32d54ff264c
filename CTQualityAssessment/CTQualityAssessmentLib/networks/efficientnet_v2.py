"""EfficientNetV2's convolutional features (Tan and Le, ICML 2021), for grey images.

Written from the paper's table. The names of parameters and buffers are those of torchvision's ``efficientnet_v2_l``:
its published ``features.*`` fit :class:`EfficientNetV2Features` of the large size one to one, except for the stem
``features.0.0.weight``, whose three input channels become one by summing over ``dim=1``.
"""

from __future__ import annotations

from dataclasses import dataclass

from monai.networks.layers import DropPath
from torch import Tensor, nn

_EPS = 1e-3


@dataclass(frozen=True)
class ConvStage:
    """Blocks at one resolution.

    Attributes:
        fused: Fused-MBConv (one 3 x 3 convolution expands) in the place of MBConv (depthwise, squeeze and excite).
        expand: how many times wider a block is inside.
        stride: of the first block.
        channels: at the end of each block.
        depth: blocks.
    """

    fused: bool
    expand: int
    stride: int
    channels: int
    depth: int


def _conv(width: int, out: int, kernel: int, stride: int = 1, groups: int = 1, active: bool = True) -> nn.Sequential:
    """Convolution without bias, normalisation and, unless it ends a branch, SiLU."""
    layers = [
        nn.Conv2d(width, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out, eps=_EPS),
    ]
    return nn.Sequential(*layers, nn.SiLU(inplace=True)) if active else nn.Sequential(*layers)


class SqueezeExcitation(nn.Module):
    """Channels weighted by what the whole image says."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, h, w)`` in and out."""
        weight = self.fc2(nn.functional.silu(self.fc1(x.mean(dim=(2, 3), keepdim=True))))
        return x * weight.sigmoid()


class ConvBlock(nn.Module):
    """An MBConv or Fused-MBConv block, with the image added where its shape stays."""

    def __init__(self, width: int, stage: ConvStage, stride: int, drop_path: float) -> None:
        super().__init__()
        out, inner = stage.channels, width * stage.expand
        if stage.fused and stage.expand == 1:
            layers = [_conv(width, out, 3, stride)]
        elif stage.fused:
            layers = [_conv(width, inner, 3, stride), _conv(inner, out, 1, active=False)]
        else:
            layers = [
                _conv(width, inner, 1),
                _conv(inner, inner, 3, stride, groups=inner),
                SqueezeExcitation(inner, max(1, width // 4)),
                _conv(inner, out, 1, active=False),
            ]
        self.block = nn.Sequential(*layers)
        self.keeps_shape = stride == 1 and width == out
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, h, w)`` to ``(B, C', h / stride, w / stride)``."""
        found = self.block(x)
        return x + self.drop_path(found) if self.keeps_shape else found


class EfficientNetV2Features(nn.Module):
    """Features of a grey image, before any pooling.

    Args:
        stem: channels of the first convolution, which has stride 2.
        stages: in their order.
        last: channels of the closing 1 x 1 convolution.
        drop_path: rate of dropping a block's branch in training, rising linearly from 0 to this with depth.
        channels: of the image.

    Attributes:
        stride: pixels along the side of a feature.
        width: channels of the features.
    """

    def __init__(
        self, stem: int, stages: tuple[ConvStage, ...], last: int, drop_path: float = 0.0, channels: int = 1
    ) -> None:
        super().__init__()
        self.width, self.stride = last, 2
        depth = sum(stage.depth for stage in stages)
        rates = [drop_path * n / depth for n in range(depth)]
        parts, width = [_conv(channels, stem, 3, 2)], stem
        for stage in stages:
            blocks = []
            for n in range(stage.depth):
                blocks.append(ConvBlock(width, stage, stage.stride if n == 0 else 1, rates.pop(0)))
                width = stage.channels
            parts.append(nn.Sequential(*blocks))
            self.stride *= stage.stride
        parts.append(_conv(width, last, 1))
        self.features = nn.Sequential(*parts)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, channels, H, W)`` to ``(B, width, ceil(H / stride), ceil(W / stride))``."""
        return self.features(x)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
