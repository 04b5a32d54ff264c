"""A small residual U-Net that is quick without a graphics card: it works at half the resolution and less.

Pixels are regrouped into channels (Shi et al., CVPR 2016), so nothing of the image is thrown away; the coarser levels
see a wide neighbourhood, which streaks need, at little cost. There is no normalisation between the layers: HU are
absolute, and a slice must not be treated differently because of what else is in view.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Water on the scale of the window ``full``, -1024 to 3072 HU.
_WATER = 1024.0
#: The network's own scales in HU: of everything, of soft tissue, of its answer.
_WIDE_HU, _SOFT_HU, _NOISE_HU = 500.0, 200.0, 100.0


@dataclass(frozen=True)
class LightDenoiserConfig:
    """Shape of a :class:`LightDenoiser`; the defaults are the shipped network.

    Attributes:
        channels: of the levels, from half the resolution downwards.
        blocks: residual blocks of each level on the way down; there is one on the way up.
        hu_per_unit: width of the input window in HU, which begins at -1024 HU.
    """

    channels: tuple[int, ...] = (24, 40, 64)
    blocks: tuple[int, ...] = (1, 1, 2)
    hu_per_unit: float = 4096.0

    def __post_init__(self) -> None:
        if len(self.channels) != len(self.blocks) or not self.channels:
            raise ValueError("A light denoiser needs as many numbers of blocks as channels, one per level.")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for a bundle's metadata."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LightDenoiserConfig:
        """The inverse of :meth:`to_dict`; what is missing takes its default.

        Raises:
            ValueError: a key that this version does not know.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"Unknown settings of the light denoiser: {', '.join(map(str, unknown))}.")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions whose sum with their input goes on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, h, w)`` to the same shape."""
        return x + self.second(F.relu(self.first(x)))


class LightDenoiser(nn.Module):
    """Noise in HU of slices in [0, 1]; see :class:`~CTQualityAssessmentLib.networks.denoisers.Denoiser`.

    Any height and width: sides are continued to a multiple of :attr:`stride` by repeating the last row and column. An
    untrained network sees no noise anywhere.
    """

    def __init__(self, config: LightDenoiserConfig | None = None) -> None:
        super().__init__()
        self.config = config or LightDenoiserConfig()
        widths, blocks = self.config.channels, self.config.blocks
        self.hu_per_unit = self.config.hu_per_unit
        self.first = nn.Conv2d(8, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )
        pairs = list(pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.grow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2)) for fine, coarse in pairs
        )
        self.up = nn.ModuleList(ResidualBlock(fine) for fine, _ in pairs)
        self.last = nn.Conv2d(widths[0], 4, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def stride(self) -> int:
        """Pixels along the side of a pixel of the coarsest level."""
        return 2 ** len(self.config.channels)

    @property
    def margin(self) -> int:
        """Pixels that a pixel of the output can see in each direction, a multiple of :attr:`stride`."""
        reach = 2 * 2  # the first and the last convolution
        coarsest = len(self.config.channels) - 1
        for level, count in enumerate(self.config.blocks):
            reach += 2 ** (level + 1) * 2 * (count + (level < coarsest))
        return -(-(reach + self.stride) // self.stride) * self.stride

    def forward(self, x: Tensor) -> Tensor:
        """Noise in HU, of the shape of ``x``.

        Args:
            x: ``(B, 1, H, W)`` in [0, 1] by the bundle's window.

        Raises:
            ValueError: a wrong shape.
        """
        if x.dim() != 4 or x.shape[1] != 1:
            raise ValueError(f"The light denoiser takes images of shape (B, 1, H, W), not {tuple(x.shape)}.")
        height, width = x.shape[2:]
        right, below = -width % self.stride, -height % self.stride
        if right or below:
            x = F.pad(x, (0, right, 0, below), mode="replicate")
        hu = x * self.hu_per_unit - _WATER
        seen = torch.cat([hu / _WIDE_HU, (hu / _SOFT_HU).clamp(-1.25, 1.5)], dim=1)
        y = self.first(F.pixel_unshuffle(seen, 2))
        kept = []
        for level, blocks in enumerate(self.down):
            y = blocks(y)
            if level < len(self.shrink):
                kept.append(y)
                y = self.shrink[level](y)
        for level in reversed(range(len(self.grow))):
            y = self.up[level](self.grow[level](y) + kept[level])
        return F.pixel_shuffle(self.last(y), 2)[..., :height, :width] * _NOISE_HU
