"""The perceptron of TFKT V2 as its text describes it: a plain and a Kolmogorov-Arnold branch that read each other.

The published code never runs it (see :mod:`tfkt`); widths and order of what the text leaves open are this project's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from CTQualityAssessmentLib.networks.swin_v2 import plain_perceptron

_POINTS = 8
_REACH = 2.0
_BREADTH = 0.33
_HIDDEN = 192


class FasterKANLayer(nn.Module):
    """A sum of bumps of each input, ``1 - tanh^2((x - g) / 0.33)`` at 8 points g in [-2, 2], after a LayerNorm."""

    grid: Tensor

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.register_buffer("grid", torch.linspace(-_REACH, _REACH, _POINTS))
        self.linear = nn.Linear(_POINTS * width, out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., width)`` to ``(..., out)``."""
        bumps = 1 - torch.tanh((self.norm(x).unsqueeze(-1) - self.grid) / _BREADTH).square()
        return self.linear(bumps.flatten(-2))


class KANBranch(nn.Module):
    """Self-attention over all tokens and FasterKAN layers ``dim - 192 - dim``, both added to what comes in."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.kan = nn.Sequential(FasterKANLayer(dim, _HIDDEN), FasterKANLayer(_HIDDEN, dim))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, tokens, dim)`` in and out."""
        normal = self.norm(x)
        x = x + self.attn(normal, normal, normal, need_weights=False)[0]
        return x + self.kan(x)


class CrossPerceptron(nn.Module):
    """``Att(Q = mlp(x), K = V = kan(x)) + Att(Q = kan(x), K = V = mlp(x))``, softmax without a scale."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.mlp = plain_perceptron(dim, heads)
        self.kan = KANBranch(dim, heads)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, h, w, dim)`` in and out."""
        tokens = x.flatten(1, 2)
        plain, kan = self.mlp(tokens), self.kan(tokens)
        first = F.scaled_dot_product_attention(plain, kan, kan, scale=1.0)
        second = F.scaled_dot_product_attention(kan, plain, plain, scale=1.0)
        return (first + second).view_as(x)
