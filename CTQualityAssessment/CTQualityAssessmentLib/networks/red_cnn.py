"""RED-CNN, the residual encoder-decoder for low-dose CT of Chen et al., IEEE TMI 36(12):2524-2535, 2017.

Five convolutions without padding and five transposed ones, all 5 x 5 with 96 channels; three sums join them: the output
of the fourth convolution, that of the second, and the image. The original has a rectifier at the very end, which cuts
off negative values; it is left out here by default, because normalised HU are negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

_LAYERS = 5


@dataclass(frozen=True)
class RedCNNConfig:
    """Shape of a :class:`RedCNN`; the defaults are the published one, 1,848,865 parameters.

    Attributes:
        channels: of every layer but the last.
        kernel: side of every kernel, odd.
        final_rectifier: the original's rectifier at the end.
    """

    channels: int = 96
    kernel: int = 5
    final_rectifier: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for a bundle's metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RedCNNConfig:
        """The inverse of :meth:`to_dict`; what is missing takes its default.

        Raises:
            ValueError: a key that this version does not know.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"Unknown RED-CNN settings: {', '.join(map(str, unknown))}.")
        return cls(**values)


class RedCNN(nn.Module):
    """Normalised image in, normalised denoised image out."""

    def __init__(self, config: RedCNNConfig | None = None) -> None:
        super().__init__()
        self.config = config or RedCNNConfig()
        width, kernel = self.config.channels, self.config.kernel
        self.encoder = nn.ModuleList(nn.Conv2d(width if n else 1, width, kernel) for n in range(_LAYERS))
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(width, width if n < _LAYERS - 1 else 1, kernel) for n in range(_LAYERS)
        )

    @property
    def margin(self) -> int:
        """How many pixels away a pixel of the image can change one of the output."""
        return 2 * _LAYERS * (self.config.kernel // 2)

    @property
    def stride(self) -> int:
        """Shifts of the image by this many pixels shift the output likewise."""
        return 1

    def forward(self, x: Tensor) -> Tensor:
        """``(B, 1, H, W)`` to the same shape.

        Raises:
            ValueError: a wrong shape, or a side shorter than the valid convolutions eat up.
        """
        smallest = _LAYERS * (self.config.kernel - 1) + 1
        if x.dim() != 4 or x.shape[1] != 1 or min(x.shape[2:]) < smallest:
            raise ValueError(f"RED-CNN takes images (B, 1, H, W) of at least {smallest} pixels, not {tuple(x.shape)}.")
        image, skips = x, []
        for n, layer in enumerate(self.encoder, start=1):
            x = F.relu(layer(x))
            if n in (2, 4):
                skips.append(x)
        x = F.relu(self.decoder[0](x) + skips[1])
        x = F.relu(self.decoder[1](x))
        x = F.relu(self.decoder[2](x) + skips[0])
        x = F.relu(self.decoder[3](x))
        x = self.decoder[4](x) + image
        return F.relu(x) if self.config.final_rectifier else x
