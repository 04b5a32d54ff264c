"""What the engine asks of a denoiser, and an image-to-image network as one.

A denoiser reads slices in [0, 1] by its bundle's window and returns the noise that it sees, in HU. The engine
subtracts that noise from the HU themselves, so that what the window cuts off keeps its value, and a denoiser that sees
no noise changes nothing. ``margin`` and ``stride`` tell the engine how to cut a large slice into tiles without a seam.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Denoiser(Protocol):
    """What the engine calls.

    Attributes:
        hu_per_unit: width in HU of the window that maps to [0, 1].
        margin: pixels from a pixel of the output beyond which nothing changes it.
        stride: tiles must begin at multiples of it.
    """

    hu_per_unit: float
    margin: int
    stride: int

    def __call__(self, x: Tensor) -> Tensor:
        """``(B, 1, H, W)`` in [0, 1] to the noise in HU, of the same shape."""
        ...


class ImageDenoiser(nn.Module):
    """A network that returns images, such as RED-CNN, as a :class:`Denoiser`.

    Args:
        network: ``(B, 1, H, W)`` normalised image to the denoised one, with ``margin`` and ``stride``.
        hu_per_unit: width of the window in HU.
        mean, sd: the network reads ``(x - mean) / sd``; the defaults are those of body CT in the window ``full``.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, network: nn.Module, hu_per_unit: float = 4096.0, mean: float = 0.15, sd: float = 0.12) -> None:
        super().__init__()
        self.network = network
        self.hu_per_unit = hu_per_unit
        self.margin: int = network.margin
        self.stride: int = network.stride
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("sd", torch.tensor(sd), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Noise in HU of ``(B, 1, H, W)`` in [0, 1]."""
        normalised = (x - self.mean) / self.sd
        return (normalised - self.network(normalised)) * (self.sd * self.hu_per_unit)


def denoised(denoiser: Denoiser, x: Tensor) -> Tensor:
    """The image without the noise, on the scale of ``x``; not clipped."""
    return x - denoiser(x) / denoiser.hu_per_unit
