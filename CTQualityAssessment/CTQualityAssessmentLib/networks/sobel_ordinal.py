"""SOQN: the edge branch and the whole-image distribution head around ClinReadNet's backbone.

Published (abstract of arXiv 2606.10372): a "Sobel ordinal quality network" reads edges and the quality distribution of
the whole image. Everything else here is this project's reconstruction: the filters follow the trainable Sobel operators
of EDCNN (Liang et al., ICSP 2020), four fixed directions with a learnable gain and bias each; the distribution is the
mean and the standard deviation of the last stage's tokens.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Sobel kernels at 0, 45, 90 and 135 degrees, shape (4, 1, 3, 3).
SOBEL_KERNELS = torch.tensor(
    [
        [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
        [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]],
        [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
        [[2, 1, 0], [1, 0, -1], [0, -1, -2]],
    ],
    dtype=torch.float32,
).unsqueeze(1)

# The squared responses of the four kernels to a linear ramp of slope 1 add up to 64 + 36 + 36, whatever its direction.
_RAMP_RESPONSE = 136.0


def sobel_energy(image: Tensor) -> Tensor:
    """Length of the local gradient, from all four Sobel directions; the edge map that is shown to the user.

    Args:
        image: ``(B, 1, H, W)`` in [0, 1].

    Returns:
        ``(B, 1, H, W)`` float32, not negative: the change of the [0, 1] value per pixel. A linear ramp gives its slope
        in every direction. The image is continued past its border, so the border itself is no edge.
    """
    with torch.autocast(image.device.type, enabled=False):
        padded = F.pad(image.float(), (1, 1, 1, 1), mode="replicate")
        responses = F.conv2d(padded, SOBEL_KERNELS.to(image.device))
        return (responses.square().sum(dim=1, keepdim=True) / _RAMP_RESPONSE).sqrt()


class SobelEdges(nn.Module):
    """Learnable Sobel edges of the image, brought to the grid of the patch embedding (1/4).

    ``filters`` Sobel responses (four directions, ``filters / 4`` copies), each times a gain (initially 1) plus a bias,
    are joined to the image and read by two 3 x 3 convolutions of stride 2, each with group norm and GELU.

    Nothing but linear steps lies between the image and the first convolution's output, so the Sobel kernels, gains,
    biases and that convolution are folded into one 5 x 5 kernel on every call: the same function of the same parameters
    without the full-resolution maps. The fold and the convolution run in float32 also under autocast, because
    bfloat16 would round the image itself to about 5 HU.

    Args:
        filters: number of Sobel filters, a multiple of 4.
        width: channels at half resolution.
        out_channels: channels at quarter resolution.
        groups: groups of the group norms; few, so that channels keep their strength relative to each other.
    """

    kernels: Tensor

    def __init__(self, filters: int, width: int, out_channels: int, groups: int = 4) -> None:
        super().__init__()
        if filters < 4 or filters % 4:
            raise ValueError(f"The number of Sobel filters must be a multiple of 4, not {filters}.")
        self.register_buffer("kernels", SOBEL_KERNELS.repeat_interleave(filters // 4, dim=0), persistent=False)
        self.gain = nn.Parameter(torch.ones(filters))
        self.bias = nn.Parameter(torch.zeros(filters))
        self.conv1 = nn.Conv2d(1 + filters, width, kernel_size=3, stride=2)
        self.norm1 = nn.GroupNorm(groups, width)
        self.conv2 = nn.Conv2d(width, out_channels, kernel_size=3, stride=2, padding=1)
        self.norm2 = nn.GroupNorm(groups, out_channels)

    def folded(self) -> tuple[Tensor, Tensor]:
        """The 5 x 5 kernel ``(width, 1, 5, 5)`` and bias ``(width,)`` from the image to the first convolution."""
        on_image, on_edges = self.conv1.weight[:, :1], self.conv1.weight[:, 1:]
        # Two correlations in a row are one with the full convolution of their kernels: a transposed convolution.
        kernel = F.conv_transpose2d(on_edges * self.gain.view(1, -1, 1, 1), self.kernels)
        kernel = kernel + F.pad(on_image, (1, 1, 1, 1))
        constant = torch.einsum("ofhw,f->o", on_edges, self.bias)
        return kernel, constant if self.conv1.bias is None else constant + self.conv1.bias

    def forward(self, image: Tensor) -> Tensor:
        """Edge features.

        Args:
            image: ``(B, 1, H, W)`` in [0, 1]; ``H`` and ``W`` multiples of 4.

        Returns:
            ``(B, out_channels, H / 4, W / 4)``, channels last in memory.
        """
        with torch.autocast(image.device.type, enabled=False):
            kernel, bias = self.folded()
            # The image is continued past its border; stride 2 never reaches the second pixel past the far edges.
            padded = F.pad(image, (2, 1, 2, 1), mode="replicate").contiguous(memory_format=torch.channels_last)
            x = F.conv2d(padded, kernel.contiguous(memory_format=torch.channels_last), bias, stride=2)
        x = F.gelu(self.norm1(x))
        return F.gelu(self.norm2(self.conv2(x)))


class DistributionHead(nn.Module):
    """Fine and coarse grades from the distribution of the tokens over the whole image.

    Args:
        in_features: channels of the backbone's last stage.
        edge_features: channels of the edge branch; 0 without it.
        hidden: width of the hidden layer.
        dropout: dropout rate after the hidden layer.
        fine_levels: number of fine grades.
        coarse_levels: number of coarse grades.
    """

    def __init__(
        self, in_features: int, edge_features: int, hidden: int, dropout: float, fine_levels: int, coarse_levels: int
    ) -> None:
        super().__init__()
        self.features = 2 * in_features + edge_features
        self.hidden = nn.Sequential(nn.Linear(self.features, hidden), nn.GELU(), nn.Dropout(dropout))
        self.fine = nn.Linear(hidden, fine_levels)
        self.coarse = nn.Linear(hidden, coarse_levels)

    def pool(self, tokens: Tensor, edges: Tensor | None) -> Tensor:
        """Mean and standard deviation of ``tokens`` (B, N, C), and the mean of ``edges`` (B, E, h, w): (B, F)."""
        tokens = tokens.float()
        # The population form: one token has a spread of zero. The small constant keeps the root's slope finite there.
        deviation = (tokens.var(dim=1, unbiased=False) + 1e-6).sqrt()
        pooled = [tokens.mean(dim=1), deviation]
        if edges is not None:
            pooled.append(edges.float().mean(dim=(2, 3)))
        return torch.cat(pooled, dim=1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Fine and coarse logits from the pooled features (B, F)."""
        x = self.hidden(features)
        return self.fine(x), self.coarse(x)


class MeanHead(nn.Module):
    """Fine and coarse grades from the mean token alone: a plain Swin classifier, for comparison.

    Args:
        in_features: channels of the backbone's last stage.
        dropout: dropout rate before the two linear layers.
        fine_levels: number of fine grades.
        coarse_levels: number of coarse grades.
    """

    def __init__(self, in_features: int, dropout: float, fine_levels: int, coarse_levels: int) -> None:
        super().__init__()
        self.features = in_features
        self.dropout = nn.Dropout(dropout)
        self.fine = nn.Linear(in_features, fine_levels)
        self.coarse = nn.Linear(in_features, coarse_levels)

    def pool(self, tokens: Tensor, edges: Tensor | None) -> Tensor:
        """Mean of ``tokens`` (B, N, C): (B, C). ``edges`` reach it only through the tokens."""
        return tokens.float().mean(dim=1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Fine and coarse logits from the pooled features (B, F)."""
        x = self.dropout(features)
        return self.fine(x), self.coarse(x)
