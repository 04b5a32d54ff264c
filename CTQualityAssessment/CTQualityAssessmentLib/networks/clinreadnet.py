"""ClinReadNet: the quality of one CT slice, read at several attention temperatures.

Published (abstract of arXiv 2606.10372, no code): a no-reference network for low-dose abdominal CT that reads like a
radiologist, with a Sobel ordinal quality network (SOQN), multi-temperature window attention ((S)W-MTMSA) and a
hierarchical ranked probability score (HRPS). The backbone, widths, temperatures, grades and the way the parts meet are
this project's reconstruction; the paper's figures do not hold for it. The backbone is Swin (Liu et al., ICCV 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from monai.networks.blocks import PatchEmbed
from monai.networks.nets.swin_unetr import PatchMergingV2
from torch import Tensor, nn

from CTQualityAssessmentLib.networks.sobel_ordinal import DistributionHead, MeanHead, SobelEdges
from CTQualityAssessmentLib.networks.temperature_attention import TemperatureSwinBlock, TemperatureWindowAttention

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ClinReadNetConfig:
    """Everything that decides the shape of a :class:`ClinReadNet`; the defaults are the shipped ``small`` network.

    Attributes:
        embed_dim: channels of stage 1; each later stage has twice as many.
        depths: blocks of each stage, W and SW in turn.
        heads: attention heads of each stage.
        window: tokens along a window's side.
        patch_size: pixels along a token's side; 4, the stride of the edge branch.
        mlp_ratio: hidden width of the blocks' perceptrons.
        temperatures: initial attention temperatures; ``(1.0,)`` with ``learn_temperatures=False`` is plain Swin.
        learn_temperatures: whether they are trained.
        temperature_main_weight: initial weight of the temperature nearest 1.
        sobel_filters: Sobel filters of the edge branch, a multiple of 4; 0 leaves the branch out.
        edge_width: channels of the edge branch at half resolution; at quarter resolution it has ``embed_dim``.
        distribution_head: False pools the mean only, a plain Swin classifier.
        distribution_hidden: hidden width of the distribution head.
        dropout: dropout rate in the head.
        token_dropout: share of training images whose tokens the distribution head does not see.
        drop_path: rate of dropping a block's branch in training, rising linearly from 0 to this with depth.
        fine_levels: fine grades, evenly spread over [0, 4].
        coarse_levels: coarse grades, the Likert words.
    """

    embed_dim: int = 32
    depths: tuple[int, ...] = (2, 2, 2, 2)
    heads: tuple[int, ...] = (1, 2, 4, 8)
    window: int = 8
    patch_size: int = 4
    mlp_ratio: float = 4.0
    temperatures: tuple[float, ...] = (2.0, 1.0, 0.5)
    learn_temperatures: bool = True
    temperature_main_weight: float = 0.9
    sobel_filters: int = 16
    edge_width: int = 24
    distribution_head: bool = True
    distribution_hidden: int = 256
    dropout: float = 0.1
    token_dropout: float = 0.0
    drop_path: float = 0.0
    fine_levels: int = 21
    coarse_levels: int = 5

    def __post_init__(self) -> None:
        if len(self.depths) != len(self.heads) or not self.depths:
            raise ValueError("A ClinReadNet needs as many numbers of heads as depths, one per stage.")
        if any(self.embed_dim * 2**i % heads for i, heads in enumerate(self.heads)):
            raise ValueError("The channels of every stage must be a multiple of its heads.")
        if self.sobel_filters and self.patch_size != 4:
            raise ValueError("The edge branch has stride 4, so the patch size must be 4 with it.")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for a bundle's metadata."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClinReadNetConfig:
        """The inverse of :meth:`to_dict`; what is missing takes its default.

        Raises:
            ValueError: a key that this version does not know.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"Unknown ClinReadNet settings: {', '.join(map(str, unknown))}.")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


#: ``small``: the shipped default. ``base``: Swin-T's widths, whose published weights fit.
SIZES: dict[str, ClinReadNetConfig] = {
    "small": ClinReadNetConfig(),
    "base": ClinReadNetConfig(
        embed_dim=96,
        depths=(2, 2, 6, 2),
        heads=(3, 6, 12, 24),
        sobel_filters=32,
        edge_width=48,
        distribution_hidden=512,
        drop_path=0.2,
    ),
}


class ClinReadNetOutput(NamedTuple):
    """What a :class:`ClinReadNet` says about B slices.

    Attributes:
        fine_logits: ``(B, fine_levels)`` float32.
        coarse_logits: ``(B, coarse_levels)`` float32.
        features: ``(B, F)`` float32, pooled over the slice, before the head.
        attention: by (stage from 0, index of the temperature), ``(B, h, w)`` float32 on the stage's token grid: the
            attention a token receives relative to an even spread over its window, mean over the stage's blocks and
            heads. Token (i, j) of stage s covers pixels ``4 * 2**s * i`` and on. Empty unless asked for.
    """

    fine_logits: Tensor
    coarse_logits: Tensor
    features: Tensor
    attention: dict[tuple[int, int], Tensor]


class PatchMerging(PatchMergingV2):
    """MONAI's patch merging in two dimensions by one permutation; strided slices are costly on the way back."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, h, w, C)`` to ``(B, ceil(h / 2), ceil(w / 2), 2 C)``; an odd side is padded with zeros."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        b, h, w, c = x.shape
        x = x.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).reshape(b, h // 2, w // 2, 4 * c)
        return self.reduction(self.norm(x))


class SwinStage(nn.Module):
    """Blocks at one resolution, after a patch merging unless it is the first stage."""

    def __init__(self, config: ClinReadNetConfig, index: int, drop_paths: Sequence[float]) -> None:
        super().__init__()
        dim = config.embed_dim * 2**index
        self.downsample = PatchMerging(dim // 2, spatial_dims=2) if index else None
        self.blocks = nn.ModuleList(
            TemperatureSwinBlock(
                dim,
                TemperatureWindowAttention(
                    dim,
                    config.heads[index],
                    config.window,
                    temperatures=config.temperatures,
                    learn_temperatures=config.learn_temperatures,
                    main_weight=config.temperature_main_weight,
                ),
                config.window,
                shift=0 if i % 2 == 0 else config.window // 2,
                mlp_ratio=config.mlp_ratio,
                drop_path=rate,
            )
            for i, rate in enumerate(drop_paths)
        )

    def forward(self, x: Tensor, want_attention: bool) -> tuple[Tensor, Tensor | None]:
        """``(B, h, w, C)`` in; the stage's tokens out, and on request the attention received, ``(M, B, h, w)``."""
        if self.downsample is not None:
            x = self.downsample(x)
        total: Tensor | None = None
        for block in self.blocks:
            x, received = block(x, want_attention)
            if received is not None:
                total = received if total is None else total + received
        return x, None if total is None else total / len(self.blocks)


class ClinReadNet(nn.Module):
    """Swin backbone with multi-temperature attention, a Sobel edge branch and an ordinal distribution head.

    Any height and width: the image is continued to a multiple of the patch size by repeating its last row and column,
    so every token holds at least one image pixel and takes part in the pooling. Token grids that the window does not
    divide are padded inside the attention, where nobody sees the padding. An odd grid is padded with a zero row or
    column when patches merge, as in Swin.

    Args:
        config: see :class:`ClinReadNetConfig`.
    """

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, config: ClinReadNetConfig) -> None:
        super().__init__()
        self.config = config
        dim, last = config.embed_dim, config.embed_dim * 2 ** (len(config.depths) - 1)
        self.register_buffer("image_mean", torch.tensor(_IMAGENET_MEAN), persistent=False)
        self.register_buffer("image_std", torch.tensor(_IMAGENET_STD), persistent=False)
        self.patch_embed = PatchEmbed(config.patch_size, in_chans=3, embed_dim=dim, spatial_dims=2)
        self.edges = SobelEdges(config.sobel_filters, config.edge_width, dim) if config.sobel_filters else None
        self.gamma = nn.Parameter(torch.zeros(dim)) if config.sobel_filters else None
        rates = torch.linspace(0, config.drop_path, sum(config.depths)).tolist()
        self.stages = nn.ModuleList(
            SwinStage(config, i, [rates.pop(0) for _ in range(depth)]) for i, depth in enumerate(config.depths)
        )
        self.norm = nn.LayerNorm(last)
        levels = (config.fine_levels, config.coarse_levels)
        self.head: DistributionHead | MeanHead
        if config.distribution_head:
            edge_features = dim if config.sobel_filters else 0
            self.head = DistributionHead(
                last, edge_features, config.distribution_hidden, config.dropout, *levels, config.token_dropout
            )
        else:
            self.head = MeanHead(last, config.dropout, *levels)
        self.apply(_initialise)

    def embed(self, image: Tensor) -> Tensor:
        """Tokens ``(B, H / 4, W / 4, C)`` of an image whose sides are multiples of the patch size.

        The three channels of the ImageNet form are the same image, normalised differently; the normalisation is folded
        into the kernel, which is kept in the published shape ``(C, 3, 4, 4)``. Runs in float32 also under autocast.
        """
        size = self.config.patch_size
        with torch.autocast(image.device.type, enabled=False):
            weight = self.patch_embed.proj.weight / self.image_std.view(1, 3, 1, 1)
            bias = self.patch_embed.proj.bias - torch.einsum("ochw,c->o", weight, self.image_mean)
            b, _, h, w = image.shape
            patches = image.view(b, h // size, size, w // size, size).transpose(2, 3).flatten(3)
            return self.patch_embed.norm(F.linear(patches, weight.sum(dim=1).flatten(1), bias))

    def forward(self, x: Tensor, attention_stages: Sequence[int] = ()) -> ClinReadNetOutput:
        """Grade slices.

        Args:
            x: ``(B, 1, H, W)`` in [0, 1] by the bundle's window.
            attention_stages: stages, from 0, whose attention maps are wanted.

        Raises:
            ValueError: a wrong shape of ``x``, or a stage that does not exist.
        """
        if x.dim() != 4 or x.shape[1] != 1:
            raise ValueError(f"ClinReadNet takes images of shape (B, 1, H, W), not {tuple(x.shape)}.")
        if not set(attention_stages) <= set(range(len(self.stages))):
            raise ValueError(f"ClinReadNet has stages 0 to {len(self.stages) - 1}, not {tuple(attention_stages)}.")
        size = self.config.patch_size
        h, w = x.shape[2:]
        image = F.pad(x, (0, -w % size, 0, -h % size), mode="replicate") if h % size or w % size else x
        tokens = self.embed(image)
        edges = None
        if self.edges is not None and self.gamma is not None:
            edges = self.edges(image)
            tokens = tokens + self.gamma * edges.permute(0, 2, 3, 1)
        attention: dict[tuple[int, int], Tensor] = {}
        for index, stage in enumerate(self.stages):
            tokens, received = stage(tokens, index in attention_stages)
            if received is not None:
                attention.update({(index, m): received[m] for m in range(received.shape[0])})
        # Cheap and last: in float32 also under autocast, or the logits would come in steps of 0.03.
        with torch.autocast(x.device.type, enabled=False):
            features = self.head.pool(self.norm(tokens.float()), edges, image)
            fine, coarse = self.head(features)
        return ClinReadNetOutput(fine, coarse, features, attention)


def _initialise(module: nn.Module) -> None:
    """Swin's initialisation of linear layers."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def clinreadnet(size: str = "small", **overrides: Any) -> ClinReadNet:
    """A ClinReadNet with random weights.

    Args:
        size: ``"small"`` or ``"base"``.
        overrides: fields of :class:`ClinReadNetConfig` to change.

    Raises:
        ValueError: an unknown size.
        TypeError: an unknown field.
    """
    if size not in SIZES:
        raise ValueError(f"ClinReadNet comes in the sizes {', '.join(SIZES)}, not {size!r}.")
    return ClinReadNet(replace(SIZES[size], **overrides))
