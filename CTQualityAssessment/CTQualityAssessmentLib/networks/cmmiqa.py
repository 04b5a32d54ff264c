"""CMMIQA: one score for a whole CT or MR volume, by hybrid convolutions and aware prompts.

Inspired by the abstract of CMMIQA (Quant. Imaging Med. Surg. 15(7):6326-6339, 2025), of which no code is public; what
the abstract leaves open is ours. In-plane and through-plane kernels are kept apart because slice thickness varies from
scan to scan; the head weighs local scores, which gives a score map and a weight map beside the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from CTQualityAssessmentLib.networks.aware_prompts import PROMPT_PLACES, drop_prompts, prompt_codes
from CTQualityAssessmentLib.prompts import Prompt

#: Strides of the stem and of the four stages, (slices, rows, columns).
_STEM_STRIDE = (1, 2, 2)
_STAGE_STRIDES = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 1, 1))
#: Voxels between neighbouring tokens: the product of all strides.
TOKEN_STRIDE = (8, 16, 16)
#: A volume of fewer slices is repeated up to this many.
FEWEST_SLICES = 7
_PROMPT_MODES = ("additive", "film")
#: Slope of the score below zero while training.
_LEAK = 0.1
#: Response of the first filters, to an input in [0, 1], above which their scale is logarithmic.
_FAINTEST = 0.005
#: Keeps the weighted mean defined where all weights vanish.
_LEAST_WEIGHT = 1e-6


@dataclass(frozen=True)
class CMMIQAConfig:
    """Shape of a :class:`CMMIQA`; the defaults are the full network, see :func:`compact_config`.

    Attributes:
        stem: channels after the first convolution.
        channels: of the four hybrid-convolution stages; the last is the width of the tokens.
        blocks: hybrid convolutions in each stage.
        layers: transformer layers.
        heads: attention heads of each.
        prompt: how the prompt enters after each layer: "additive" or "film" (gain and offset).
        prompt_dropout: how often, in training, a part of the prompt is replaced by 'unknown'.
        dropout: of the transformer layers.
    """

    stem: int = 32
    channels: tuple[int, ...] = (64, 128, 256, 384)
    blocks: int = 2
    layers: int = 2
    heads: int = 6
    prompt: str = "additive"
    prompt_dropout: float = 0.1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if len(self.channels) != len(_STAGE_STRIDES) or any(c < 4 or c % 4 for c in self.channels):
            raise ValueError("CMMIQA has four stages, whose channels are multiples of 4.")
        if self.channels[-1] % self.heads or min(self.stem, self.blocks, self.layers, self.heads) < 1:
            raise ValueError("The width of the tokens must be a multiple of the heads, and no part may be empty.")
        if self.prompt not in _PROMPT_MODES:
            raise ValueError(f"The prompt enters in one of these ways: {', '.join(_PROMPT_MODES)}.")
        if not (0 <= self.prompt_dropout <= 1 and 0 <= self.dropout < 1):
            raise ValueError("Dropout is a probability.")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for a bundle's metadata."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CMMIQAConfig:
        """The inverse of :meth:`to_dict`; what is missing takes its default.

        Raises:
            ValueError: a key that this version does not know.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"Unknown settings of CMMIQA: {', '.join(map(str, unknown))}.")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def compact_config(**overrides: Any) -> CMMIQAConfig:
    """The configuration that is shipped: 0.6 million parameters, quick to use and to train on processor cores."""
    return CMMIQAConfig(**{"stem": 12, "channels": (16, 32, 64, 96), "heads": 4, **overrides})


@dataclass(frozen=True)
class CMMIQAOutput:
    """What the network finds.

    Attributes:
        score: ``(B,)``, ``sum(f w) / sum(w)``; meant for [0, 1], not limited above.
        scores: the score map f, ``(B, d, h, w)``; at least 0, but while training.
        weights: the weight map w, ``(B, d, h, w)``, in (0, 1).
    """

    score: Tensor
    scores: Tensor
    weights: Tensor


@dataclass(frozen=True)
class VolumeScorer:
    """A network that reads whole volumes, as bundles hold it; ``assessment.token_maps`` calls it slab by slab."""

    network: CMMIQA


class _Averaged(nn.Module):
    """Mean around every n-th voxel, centred where a strided convolution is; what lies outside does not count."""

    def __init__(self, stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.stride = stride
        self.kernel = tuple(2 * step - 1 for step in stride)
        self.margins = [side for k in reversed(self.kernel) for side in (k // 2, k // 2)]

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, D, H, W)``; an axis of stride 2 has half as many, rounded up."""
        # torch's own padding refuses grids that are smaller than the kernel.
        total, inside = F.pad(x, self.margins), F.pad(torch.ones_like(x[:1, :1]), self.margins)
        return F.avg_pool3d(total, self.kernel, self.stride) / F.avg_pool3d(inside, self.kernel, self.stride)


class HybridConv(nn.Module):
    """In-plane (1,3,3), through-plane (3,1,1) and volumetric (3,3,3) convolutions side by side, with a residual.

    They give C/2, C/4 and C/4 channels; then batch norm, leaky ReLU and a 1 x 1 x 1 convolution that mixes them.
    Batch norm, because instance norm takes away what is the same everywhere in a volume: its noise level. With that the
    network learned nothing but the mean label. The residual is averaged where it is made coarser, not thinned out.
    """

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int, int] = (1, 1, 1)) -> None:
        super().__init__()
        half, quarter = outputs // 2, outputs // 4

        def branch(channels: int, kernel: tuple[int, int, int]) -> nn.Conv3d:
            padding = tuple(k // 2 for k in kernel)
            return nn.Conv3d(inputs, channels, kernel, stride, padding, bias=False)

        self.in_plane = branch(half, (1, 3, 3))
        self.through_plane = branch(quarter, (3, 1, 1))
        self.volumetric = branch(quarter, (3, 3, 3))
        self.norm = nn.BatchNorm3d(outputs)
        self.fuse = nn.Conv3d(outputs, outputs, 1)
        same = inputs == outputs and stride == (1, 1, 1)
        self.shortcut: nn.Module = (
            nn.Identity() if same else nn.Sequential(_Averaged(stride), nn.Conv3d(inputs, outputs, 1, bias=False))
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, D, H, W)`` to ``(B, C', D', H', W')``; an axis of stride 2 has half as many, rounded up."""
        parts = torch.cat((self.in_plane(x), self.through_plane(x), self.volumetric(x)), dim=1)
        return self.shortcut(x) + self.fuse(F.leaky_relu(self.norm(parts), 0.01))


class PromptedLayer(nn.Module):
    """A transformer layer, after which the prompt is added, or sets gain and offset ("film")."""

    def __init__(self, width: int, heads: int, mode: str, dropout: float) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.prompt = nn.Linear(PROMPT_PLACES, width if mode == "additive" else 2 * width, bias=False)
        self.mode = mode

    def forward(self, tokens: Tensor, codes: Tensor) -> Tensor:
        """Tokens ``(B, N, C)`` and prompt codes ``(B, 64)`` to tokens of the same shape."""
        tokens = self.layer(tokens)
        told = self.prompt(codes)[:, None]
        if self.mode == "additive":
            return tokens + told
        gain, offset = told.chunk(2, dim=-1)
        return tokens * (1 + gain) + offset


class CMMIQA(nn.Module):
    """Scores a volume of any depth and matrix; nothing in it has a fixed length.

    Shapes for 32 slices of 224 x 224 in the full network: stem 32 x 32 x 112 x 112, stages 64 x 32 x 56 x 56,
    128 x 16 x 28 x 28, 256 x 8 x 14 x 14 and 384 x 4 x 14 x 14, which are 784 tokens. Token ``(t, y, x)`` looks at
    the surroundings of voxel ``(8 t, 16 y, 16 x)``.
    """

    def __init__(self, config: CMMIQAConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or CMMIQAConfig()
        self.stem = nn.Conv3d(1, config.stem, (1, 7, 7), _STEM_STRIDE, (0, 3, 3))
        self.stages = nn.ModuleList()
        inputs = config.stem
        for outputs, stride in zip(config.channels, _STAGE_STRIDES, strict=True):
            first = HybridConv(inputs, outputs, stride)
            self.stages.append(nn.Sequential(first, *(HybridConv(outputs, outputs) for _ in range(config.blocks - 1))))
            inputs = outputs
        self.layers = nn.ModuleList(
            PromptedLayer(inputs, config.heads, config.prompt, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(inputs)
        self.score_head = _head(inputs)
        self.weight_head = _head(inputs)
        with torch.no_grad():
            self.score_head[-1].bias.fill_(0.5)  # start in the middle of the scale
            # Most of the first filters start blind to the grey level, which is far stronger than noise: without this
            # hundreds of steps go by before the network sees noise at all.
            detail = self.stem.weight[config.stem // 4 :]
            detail -= detail.mean(dim=(2, 3, 4), keepdim=True)

    def forward(self, volume: Tensor, prompts: Sequence[Prompt] | Tensor | None = None) -> CMMIQAOutput:
        """Scores volumes.

        Args:
            volume: ``(B, 1, D, H, W)`` in [0, 1]; slices along D. Fewer than seven slices are repeated.
            prompts: one for each volume, as prompts or as codes ``(B, 64)``; None for 'unknown' throughout.
        """
        if prompts is None:
            prompts = [Prompt()] * len(volume)
        codes = prompts if isinstance(prompts, Tensor) else prompt_codes(prompts)
        codes = codes.to(volume)
        if self.training:
            codes = drop_prompts(codes, self.config.prompt_dropout)
        features = self.features(volume)
        batch, _, depth, rows, columns = features.shape
        tokens = features.flatten(2).transpose(1, 2)
        for layer in self.layers:
            tokens = layer(tokens, codes)
        tokens = self.norm(tokens)
        grid = (batch, depth, rows, columns)
        raw = self.score_head(tokens).view(grid)
        # A ReLU that falls below zero everywhere never learns again: in training it leaks.
        scores = F.leaky_relu(raw, _LEAK) if self.training else F.relu(raw)
        weights = torch.sigmoid(self.weight_head(tokens)).view(grid)
        return CMMIQAOutput(weighted_score(scores, weights), scores, weights)

    def features(self, volume: Tensor) -> Tensor:
        """What the convolutions find, ``(B, C, d, h, w)``: the tokens on their grid, before the prompt."""
        x = F.leaky_relu(compressed(self.stem(enough_slices(volume))), 0.01)
        for stage in self.stages:
            x = stage(x)
        return x


def weighted_score(scores: Tensor, weights: Tensor) -> Tensor:
    """``sum(f w) / sum(w)`` over all but the first axis, ``(B,)``."""
    total = weights.flatten(1).sum(1).clamp_min(_LEAST_WEIGHT)
    return (scores * weights).flatten(1).sum(1) / total


def compressed(response: Tensor) -> Tensor:
    """``sign(x) log(1 + |x| / s)`` with s = 0.005: twice the noise is one step more, be it faint or strong.

    Noise spans two decades below the edges of organs; on a linear scale its level drowns in them.
    """
    return response.sign() * torch.log1p(response.abs() / _FAINTEST)


def enough_slices(volume: Tensor) -> Tensor:
    """``(B, 1, D, H, W)`` with at least seven slices: all are kept in order, each repeated as evenly as can be."""
    depth = volume.shape[2]
    if depth >= FEWEST_SLICES:
        return volume
    index = torch.div(torch.arange(FEWEST_SLICES, device=volume.device) * depth, FEWEST_SLICES, rounding_mode="floor")
    return volume[:, :, index]


def _head(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
