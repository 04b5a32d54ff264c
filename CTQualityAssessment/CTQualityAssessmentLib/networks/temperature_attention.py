"""(S)W-MTMSA: (shifted-)window self-attention at several softmax temperatures.

Published (abstract of arXiv 2606.10372): multi-temperature self-attention in the place of Swin's W-MSA and SW-MSA, so
that the network first scans and then focuses. The temperatures, their mixture and everything else are this project's
reconstruction::

    A   = q k^T / sqrt(d) + relative_bias
    P_m = softmax(A / tau_m + mask)
    out = proj((sum_m w_m P_m) v),   w = softmax(alpha)

``tau`` and ``alpha`` are learnable per head. The blocks are Swin's (Liu et al., ICCV 2021) on MONAI's parts; qkv,
projection and relative position bias have Swin's names and shapes. One temperature fixed at 1 is plain Swin attention.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.networks.blocks import MLPBlock
from monai.networks.layers import DropPath
from monai.networks.nets.swin_unetr import WindowAttention, compute_mask, window_partition, window_reverse
from torch import Tensor, nn

from CTQualityAssessmentLib.networks.mixed_softmax import MixedAttention

#: What a forbidden pair of tokens gets before the softmax. Finite, so that no row is all -inf; so low that the softmax
#: gives exactly 0, where Swin's -100 gives denormal numbers, which slow a CPU's training down several times.
MASKED = -1e4
TEMPERATURE_RANGE = (0.1, 10.0)


def padded_size(size: int, window: int) -> int:
    """The smallest multiple of ``window`` that holds ``size`` tokens."""
    return math.ceil(size / window) * window


def window_shift(grid: tuple[int, int], window: int, shift: int) -> tuple[int, int]:
    """The shift along rows and columns: none along an axis that fits in one window, as in Swin."""
    return (shift if grid[0] > window else 0, shift if grid[1] > window else 0)


@functools.lru_cache(maxsize=32)
def attention_mask(grid: tuple[int, int], window: int, shift: tuple[int, int], device: torch.device) -> Tensor | None:
    """What is added to the attention between the tokens of each window.

    Tokens that the cyclic shift brought together from opposite sides do not see each other, and padding and image do
    not either. Kept per grid: it depends on nothing else. Made outside inference mode, or training could not use it.

    Args:
        grid: rows and columns of tokens before padding.
        window: tokens along a window's side.
        shift: tokens the grid is rolled by, rows and columns.
        device: where the mask is needed.

    Returns:
        float32 ``(windows, window ** 2, window ** 2)`` of 0 and :data:`MASKED`; None where all is allowed.
    """
    rows, columns = (padded_size(n, window) for n in grid)
    sides = (window, window)
    with torch.inference_mode(False):
        mask: Tensor | None = None
        if shift != (0, 0):
            mask = compute_mask((rows, columns), sides, shift, device)
            mask = mask.masked_fill(mask < 0, MASKED)
        if (rows, columns) != grid:
            real = torch.zeros(1, rows, columns, 1, device=device)
            real[:, : grid[0], : grid[1]] = 1
            real = window_partition(torch.roll(real, (-shift[0], -shift[1]), dims=(1, 2)), sides).squeeze(-1)
            mask = torch.zeros(len(real), window**2, window**2, device=device) if mask is None else mask
            mask = mask.masked_fill(real[:, :, None] != real[:, None, :], MASKED)
        return mask


class TemperatureWindowAttention(WindowAttention):
    """Self-attention within windows, mixed from several softmax temperatures.

    Args:
        dim: channels.
        num_heads: heads.
        window: tokens along a window's side.
        temperatures: where the temperatures start; larger looks wider.
        learn_temperatures: False keeps them where they start.
        main_weight: the initial weight of the temperature nearest 1; the others share the rest.
        qkv_bias: bias of the query, key and value projection.

    Raises:
        ValueError: no temperature, or one outside [0.1, 10].
    """

    relative_position_index: Tensor

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window: int,
        temperatures: Sequence[float] = (2.0, 1.0, 0.5),
        learn_temperatures: bool = True,
        main_weight: float = 0.9,
        qkv_bias: bool = True,
    ) -> None:
        super().__init__(dim, num_heads, (window, window), qkv_bias=qkv_bias)
        low, high = TEMPERATURE_RANGE
        if not temperatures or not all(low <= t <= high for t in temperatures):
            raise ValueError(f"There must be temperatures, all in [{low}, {high}], not {tuple(temperatures)}.")
        count = len(temperatures)
        log_tau = torch.tensor(temperatures).log()[:, None].repeat(1, num_heads)
        if learn_temperatures:
            self.log_tau = nn.Parameter(log_tau)
        else:
            self.register_buffer("log_tau", log_tau)
        self.alpha: nn.Parameter | None = None
        if count > 1:
            weights = torch.full((count, num_heads), (1 - main_weight) / (count - 1))
            weights[min(range(count), key=lambda m: abs(math.log(temperatures[m])))] = main_weight
            self.alpha = nn.Parameter(weights.log())

    def temperatures(self) -> Tensor:
        """The temperatures now: ``(temperatures, heads)``, within [0.1, 10]."""
        low, high = TEMPERATURE_RANGE
        return self.log_tau.clamp(math.log(low), math.log(high)).exp()

    def mixture(self) -> Tensor:
        """The weights of the temperatures: ``(temperatures, heads)``, each head's sum is 1."""
        return torch.ones_like(self.log_tau) if self.alpha is None else self.alpha.softmax(dim=0)

    def forward(  # type: ignore[override]
        self, x: Tensor, windows: int, mask: Tensor | None, want_attention: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within each window.

        Args:
            x: ``(B * windows, n, C)``, the windows of one image after each other.
            windows: windows of one image.
            mask: :func:`attention_mask`, ``(windows, n, n)``.
            want_attention: also return the attention that tokens receive.

        Returns:
            ``(B * windows, n, C)``, and on request ``(M, B * windows, n)`` float32: for each temperature the attention
            a token receives from the tokens of its window, mean over heads; 1 is what an even spread would give.
        """
        b, n, _ = x.shape
        qkv = self.qkv(x).view(-1, windows, n, 3, self.num_heads, self.dim // self.num_heads)
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)].view(n, n, -1).permute(2, 0, 1)
        inverse, weights = self.temperatures().reciprocal(), self.mixture()
        with torch.autocast(x.device.type, enabled=False):
            out, received = MixedAttention.apply(qkv, bias, inverse, weights, mask, self.scale, want_attention)
        return self.proj(out.view(b, n, self.dim)), None if received is None else received.flatten(1, 2)


class TemperatureSwinBlock(nn.Module):
    """Swin's pre-norm block with multi-temperature attention: attention, then a two-layer perceptron.

    Args:
        dim: channels.
        attention: the window attention.
        window: tokens along a window's side.
        shift: tokens the windows are shifted by; 0 for a W block.
        mlp_ratio: hidden width of the perceptron over ``dim``.
        drop_path: rate of dropping a whole branch in training.
    """

    def __init__(
        self,
        dim: int,
        attention: TemperatureWindowAttention,
        window: int,
        shift: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.window = window
        self.shift = shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attention
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLPBlock(dim, int(dim * mlp_ratio), dropout_mode="swin")

    def forward(self, x: Tensor, want_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """``(B, h, w, C)`` in and out; on request also the attention received, ``(M, B, h, w)``."""
        attended, attention = self._attend(self.norm1(x), want_attention)
        x = x + self.drop_path(attended)
        return x + self.drop_path(self.mlp(self.norm2(x))), attention

    def _attend(self, x: Tensor, want_attention: bool) -> tuple[Tensor, Tensor | None]:
        b, h, w, _ = x.shape
        window = (self.window, self.window)
        shift = window_shift((h, w), self.window, self.shift)
        rows, columns = padded_size(h, self.window), padded_size(w, self.window)
        mask = attention_mask((h, w), self.window, shift, x.device)
        if (rows, columns) != (h, w):
            x = F.pad(x, (0, 0, 0, columns - w, 0, rows - h))
        if shift != (0, 0):
            x = torch.roll(x, (-shift[0], -shift[1]), dims=(1, 2))
        windows = rows * columns // self.window**2
        x, received = self.attn(window_partition(x, window), windows, mask, want_attention)

        def back(windows: Tensor, images: int) -> Tensor:
            grid = window_reverse(windows, window, (images, rows, columns))
            if shift != (0, 0):
                grid = torch.roll(grid, shift, dims=(1, 2))
            return grid[:, :h, :w]

        if received is None:
            return back(x, b), None
        count = received.shape[0]
        return back(x, b), back(received.reshape(-1, self.window**2, 1), count * b).view(count, b, h, w)
