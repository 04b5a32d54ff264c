"""Swin Transformer V2 (Liu et al., CVPR 2022) for images of one channel.

Written from the paper. The names of parameters and buffers are those of torchvision's ``swin_v2_b``: its published
weights fit the base size, except for the patch embedding ``features.0.0.weight``, to be summed over its input channels,
and the head. Where a grid is smaller than a window it is padded with zeros and not shifted, as in those weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from monai.networks.layers import DropPath
from monai.networks.nets.swin_unetr import window_partition, window_reverse
from torch import Tensor, nn

#: The perceptron of a block of ``dim`` channels and ``heads`` heads: ``(B, h, w, dim)`` in and out.
Perceptron = Callable[[int, int], nn.Module]
_LARGEST_SCALE = math.log(100.0)
_APART = -100.0


def plain_perceptron(dim: int, heads: int) -> nn.Module:
    """Two linear layers, four times as wide between them."""
    return nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(0.0), nn.Linear(4 * dim, dim), nn.Dropout(0.0))


class CosineWindowAttention(nn.Module):
    """Attention by the cosine of query and key, with a bias from the logarithm of the distance."""

    relative_coords_table: Tensor
    relative_position_index: Tensor

    def __init__(self, dim: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.logit_scale = nn.Parameter(torch.log(10 * torch.ones(heads, 1, 1)))
        self.cpb_mlp = nn.Sequential(nn.Linear(2, 512), nn.ReLU(inplace=True), nn.Linear(512, heads, bias=False))
        steps = torch.arange(-(window - 1), window, dtype=torch.float32) * 8 / (window - 1)
        logarithmic = steps.sign() * torch.log2(steps.abs() + 1) / 3
        table = torch.stack(torch.meshgrid(logarithmic, logarithmic, indexing="ij"), dim=-1)
        self.register_buffer("relative_coords_table", table[None])
        place = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        apart = (place[:, :, None] - place[:, None, :]) + window - 1
        self.register_buffer("relative_position_index", (apart[0] * (2 * window - 1) + apart[1]).flatten())

    def forward(self, x: Tensor, shift: int) -> Tensor:
        """``(B, h, w, C)`` in and out; windows moved by ``shift`` tokens."""
        b, h, w, c = x.shape
        side = self.window
        rows, columns = -(-h // side) * side, -(-w // side) * side
        x = F.pad(x, (0, 0, 0, columns - w, 0, rows - h))
        # A grid of one window is not shifted.
        moved = (0 if side >= rows else shift, 0 if side >= columns else shift)
        if any(moved):
            x = x.roll((-moved[0], -moved[1]), dims=(1, 2))
        windows = window_partition(x, (side, side))
        qkv = F.linear(windows, self.qkv.weight, self._qkv_bias())
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        logits = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
        logits = logits * self.logit_scale.clamp(max=_LARGEST_SCALE).exp() + self._bias()
        if any(moved):
            apart = _regions_apart(rows, columns, side, moved, x.device)
            logits = (logits.unflatten(0, (b, -1)) + apart[None, :, None]).flatten(0, 1)
        found = self.proj((logits.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))
        found = window_reverse(found.view(-1, side, side, c), (side, side), (b, rows, columns))
        if any(moved):
            found = found.roll(moved, dims=(1, 2))
        return found[:, :h, :w]

    def _qkv_bias(self) -> Tensor:
        """Keys have no bias: the cosine would depend on it."""
        q, k, v = self.qkv.bias.chunk(3)
        return torch.cat((q, torch.zeros_like(k), v))

    def _bias(self) -> Tensor:
        table = self.cpb_mlp(self.relative_coords_table).flatten(0, 2)
        tokens = self.window**2
        return 16 * table[self.relative_position_index].view(tokens, tokens, -1).permute(2, 0, 1).sigmoid()


def _regions_apart(rows: int, columns: int, side: int, shift: tuple[int, int], device: torch.device) -> Tensor:
    """What is added to the logits of tokens that only the cyclic shift made neighbours, ``(windows, n, n)``."""
    parts = []
    for length, moved in ((rows, shift[0]), (columns, shift[1])):
        place = torch.arange(length, device=device)
        parts.append((place >= length - side).int() + ((place >= length - moved) & (moved > 0)).int())
    region = (3 * parts[0][:, None] + parts[1][None, :]).view(1, rows, columns, 1)
    windows = window_partition(region, (side, side)).squeeze(-1)
    return (windows[:, :, None] != windows[:, None, :]).float() * _APART


class SwinV2Block(nn.Module):
    """Attention and a perceptron, each normalised after it was computed and added to what came in."""

    def __init__(self, dim: int, heads: int, window: int, shift: int, drop_path: float, mlp: nn.Module) -> None:
        super().__init__()
        self.shift = shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = CosineWindowAttention(dim, heads, window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = mlp
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, h, w, C)`` in and out."""
        x = x + self.drop_path(self.norm1(self.attn(x, self.shift)))
        return x + self.drop_path(self.norm2(self.mlp(x)))


class PatchMergingV2(nn.Module):
    """Four neighbours into one of twice the channels, normalised afterwards."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, h, w, C)`` to ``(B, ceil(h / 2), ceil(w / 2), 2 C)``."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        parts = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.norm(self.reduction(torch.cat(parts, dim=-1)))


class ChannelsLast(nn.Module):
    """``(B, C, h, w)`` to ``(B, h, w, C)``."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.permute(0, 2, 3, 1)


class SwinV2(nn.Module):
    """One number for each image.

    Args:
        dim: channels of the first stage; each later one has twice as many.
        depths, heads: of the stages.
        window: tokens along a window's side.
        patch: pixels along a token's side.
        drop_path: rate of dropping a block's branch in training, rising linearly from 0 to this with depth.
        perceptron: the perceptron of each block.
    """

    def __init__(
        self,
        dim: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: int = 8,
        patch: int = 4,
        drop_path: float = 0.0,
        perceptron: Perceptron = plain_perceptron,
    ) -> None:
        super().__init__()
        rates = [drop_path * n / max(1, sum(depths) - 1) for n in range(sum(depths))]
        parts: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(1, dim, patch, patch), ChannelsLast(), nn.LayerNorm(dim)),
        ]
        for stage, (depth, several) in enumerate(zip(depths, heads, strict=True)):
            if stage:
                parts.append(PatchMergingV2(dim))
                dim *= 2
            blocks = [
                SwinV2Block(
                    dim, several, window, 0 if n % 2 == 0 else window // 2, rates.pop(0), perceptron(dim, several)
                )
                for n in range(depth)
            ]
            parts.append(nn.Sequential(*blocks))
        self.features = nn.Sequential(*parts)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 1)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 1, H, W)`` to ``(B, 1)``."""
        return self.head(self.norm(self.features(x)).mean(dim=(1, 2)))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
