"""A small detector of lesions in one slice: a heat map of their centres, and the size of each.

The anchor-free form of CenterNet (Zhou et al., arXiv 1904.07850) on a feature pyramid (Lin et al., CVPR 2017) whose
finest level, stride 4, still shows a lesion of 4 mm. LIDnet's abstract (arXiv 2104.08845) names neither detector nor
features; this one is the project's choice, for two processor cores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from CTQualityAssessmentLib.networks.light_denoiser import ResidualBlock

#: Image pixels along the side of a feature pixel.
STRIDE = 4
_WATER, _WIDE_HU, _SOFT_HU = 1024.0, 500.0, 200.0
#: The heat map begins at this probability everywhere: lesions are rare.
_RARE = 0.01


@dataclass(frozen=True)
class LesionDetectorConfig:
    """Shape of a :class:`LesionDetector`.

    Attributes:
        channels: at strides 2, 4, 8 and 16.
        features: channels of the pyramid's finest level, on which the heads and the perceptual loss read.
        hu_per_unit: width of the input window in HU, which begins at -1024 HU.
    """

    channels: tuple[int, int, int, int] = (16, 32, 48, 64)
    features: int = 32
    hu_per_unit: float = 4096.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for a bundle's metadata."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LesionDetectorConfig:
        """The inverse of :meth:`to_dict`; what is missing takes its default.

        Raises:
            ValueError: a key that this version does not know.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"Unknown settings of the lesion detector: {', '.join(map(str, unknown))}.")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


class DetectorOutput(NamedTuple):
    """What a :class:`LesionDetector` says about B slices, on a grid of ``H / 4`` by ``W / 4``.

    Attributes:
        features: ``(B, C, h, w)``, the finest level of the pyramid.
        heat_logits: ``(B, 1, h, w)``; their sigmoid is the probability that a lesion's centre lies there.
        offsets: ``(B, 2, h, w)``, centre minus the middle of the feature pixel, in feature pixels, x before y.
        log_sizes: ``(B, 2, h, w)``, natural logarithm of width and height in feature pixels.
    """

    features: Tensor
    heat_logits: Tensor
    offsets: Tensor
    log_sizes: Tensor


class Boxes(NamedTuple):
    """Lesions found in one slice: ``boxes`` (N, 4) left, top, right, bottom in pixels, ``scores`` (N,), falling."""

    boxes: Tensor
    scores: Tensor


class LesionDetector(nn.Module):
    """Slices in [0, 1] by the window ``full`` to a heat map of lesions."""

    def __init__(self, config: LesionDetectorConfig | None = None) -> None:
        super().__init__()
        self.config = config or LesionDetectorConfig()
        first, second, third, fourth = self.config.channels
        wide = self.config.features
        self.stem = nn.Sequential(nn.Conv2d(8, first, 3, padding=1), nn.ReLU())
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(fine, coarse, 2, stride=2), ResidualBlock(coarse), ResidualBlock(coarse))
            for fine, coarse in ((first, second), (second, third), (third, fourth))
        )
        self.lateral = nn.ModuleList(nn.Conv2d(width, wide, 1) for width in (second, third, fourth))
        self.smooth = ResidualBlock(wide)
        self.heads = nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(), nn.Conv2d(wide, 5, 1))
        nn.init.zeros_(self.heads[-1].bias)
        nn.init.constant_(self.heads[-1].bias[:1], float(torch.logit(torch.tensor(_RARE))))

    def features(self, x: Tensor) -> Tensor:
        """The finest level of the pyramid, ``(B, C, H / 4, W / 4)``, sides rounded up.

        Raises:
            ValueError: ``x`` has another shape than ``(B, 1, H, W)``.
        """
        if x.dim() != 4 or x.shape[1] != 1:
            raise ValueError(f"The lesion detector takes images of shape (B, 1, H, W), not {tuple(x.shape)}.")
        rows, columns = (-(-side // STRIDE) for side in x.shape[2:])
        x = F.pad(x, (0, -x.shape[3] % 16, 0, -x.shape[2] % 16), mode="replicate")
        hu = x * self.config.hu_per_unit - _WATER
        y = self.stem(F.pixel_unshuffle(torch.cat([hu / _WIDE_HU, (hu / _SOFT_HU).clamp(-1.25, 1.5)], dim=1), 2))
        levels = []
        for stage in self.stages:
            y = stage(y)
            levels.append(y)
        merged = self.lateral[2](levels[2])
        for level in (1, 0):
            merged = self.lateral[level](levels[level]) + F.interpolate(merged, scale_factor=2.0, mode="nearest")
        return self.smooth(merged)[..., :rows, :columns]

    def forward(self, x: Tensor) -> DetectorOutput:
        """``(B, 1, H, W)`` in [0, 1] to :class:`DetectorOutput`."""
        features = self.features(x)
        found = self.heads(F.relu(features))
        return DetectorOutput(features, found[:, :1], found[:, 1:3], found[:, 3:5])


@torch.no_grad()
def find_boxes(output: DetectorOutput, most: int = 16, threshold: float = 0.1) -> list[Boxes]:
    """The peaks of the heat map as boxes.

    Args:
        output: of :class:`LesionDetector`.
        most: at most so many of each slice.
        threshold: least probability.

    Returns:
        One :class:`Boxes` for each slice. A peak is the highest of its 3 x 3 neighbours, so boxes need no suppression.
    """
    heat = output.heat_logits.float().sigmoid()
    peaks = torch.where(heat == F.max_pool2d(heat, 3, stride=1, padding=1), heat, torch.zeros_like(heat))
    _, _, rows, columns = heat.shape
    found = []
    for peak, offset, log_size in zip(peaks, output.offsets, output.log_sizes, strict=True):
        scores, places = peak.flatten().topk(min(most, rows * columns))
        places = places[scores > threshold]
        y, x = places // columns, places % columns
        centre = torch.stack([x, y], dim=1) + 0.5 + offset.flatten(1)[:, places].T
        half = log_size.flatten(1)[:, places].T.clamp(-3, 5).exp() / 2
        found.append(Boxes(torch.cat([centre - half, centre + half], dim=1) * STRIDE, scores[: len(places)]))
    return found
