"""SOQN: the edge branch and the whole-image distribution head around ClinReadNet's backbone.

Published (abstract of arXiv 2606.10372): a "Sobel ordinal quality network" reads edges and the quality distribution of
the whole image. Everything else here is this project's reconstruction: the filters follow the trainable Sobel operators
of EDCNN (Liang et al., ICSP 2020), four fixed directions with a learnable gain and bias each; the distribution is the
mean and the standard deviation of the last stage's tokens and of the log Sobel energy by direction and scale.

Three choices are ours, by reasoning and not yet by an ablation. There is no normalisation over the image in the edge
branch: group norm divides by the strength of the edges, which is the noise that is to be judged. The pooling weighs
patient over air, so that the share of the field of view that the patient fills matters less. And the energy statistics
are given to the head as they are, so that the level of noise need not be learned from a few patients.
"""

from __future__ import annotations

from typing import cast

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

#: Above this value in [0, 1] a pixel is patient: -700 HU in the window ``ldctiqa``. Lungs are left out; they are black
#: in the soft-tissue window that a reader of the abdomen looks at.
PATIENT_VALUE = 0.25

# Squared Sobel response that counts as none: noise of about 1 HU in the window ``ldctiqa``.
_ENERGY_FLOOR = 4e-6


def patient_share(image: Tensor, grid: tuple[int, int]) -> Tensor:
    """How much of each cell of a grid is patient.

    Args:
        image: ``(B, 1, H, W)`` in [0, 1].
        grid: rows and columns.

    Returns:
        ``(B, rows, columns)`` float32; each image adds up to 1, an image without patient is spread evenly.
    """
    share = F.adaptive_avg_pool2d((image > PATIENT_VALUE).float(), grid)[:, 0] + 1e-4
    return share / share.sum(dim=(1, 2), keepdim=True)


#: Pixels per cell of the scales at which the energy statistics are taken.
ENERGY_SCALES = (1, 2, 4)
ENERGY_STATISTICS = 2 * len(SOBEL_KERNELS) * len(ENERGY_SCALES)


def energy_statistics(image: Tensor) -> Tensor:
    """Mean and standard deviation over the patient of the log Sobel energy, by direction and scale.

    The logarithm is taken at each place, so that noise, which is everywhere, outweighs the few strong edges of the
    anatomy; the scales are octaves of the noise power spectrum, the directions tell streaks from grain.

    Args:
        image: ``(B, 1, H, W)`` in [0, 1].

    Returns:
        ``(B, 24)`` float32, scaled to about -2 ... 2. No gradient flows through it.
    """
    with torch.autocast(image.device.type, enabled=False), torch.no_grad():
        image = image.float()
        found = []
        for scale in ENERGY_SCALES:
            coarse = F.avg_pool2d(image, scale) if scale > 1 and min(image.shape[2:]) >= scale else image
            padded = F.pad(coarse, (1, 1, 1, 1), mode="replicate")
            energy = F.conv2d(padded, SOBEL_KERNELS.to(image.device)).square()
            logarithm = ((energy + _ENERGY_FLOOR).log() + 6) / 3
            share = patient_share(coarse, tuple(coarse.shape[2:])).unsqueeze(1)
            mean = (share * logarithm).sum(dim=(2, 3))
            variance = (share * (logarithm - mean[:, :, None, None]).square()).sum(dim=(2, 3))
            found += [mean, variance.sqrt()]
        return torch.cat(found, dim=1)


class SobelEdges(nn.Module):
    """Learnable Sobel edges of the image, brought to the grid of the patch embedding (1/4).

    ``filters`` Sobel responses (four directions, ``filters / 4`` copies), each times a gain (initially 1) plus a bias,
    are joined to the image and read by two 3 x 3 convolutions of stride 2, each with GELU and without a normalisation.

    Nothing but linear steps lies between the image and the first convolution's output, so the Sobel kernels, gains,
    biases and that convolution are folded into one 5 x 5 kernel on every call: the same function of the same parameters
    without the full-resolution maps. The fold and the convolution run in float32 also under autocast, because
    bfloat16 would round the image itself to about 5 HU.

    Args:
        filters: number of Sobel filters, a multiple of 4.
        width: channels at half resolution.
        out_channels: channels at quarter resolution.
    """

    kernels: Tensor

    def __init__(self, filters: int, width: int, out_channels: int) -> None:
        super().__init__()
        if filters < 4 or filters % 4:
            raise ValueError(f"The number of Sobel filters must be a multiple of 4, not {filters}.")
        self.register_buffer("kernels", SOBEL_KERNELS.repeat_interleave(filters // 4, dim=0), persistent=False)
        self.gain = nn.Parameter(torch.ones(filters))
        self.bias = nn.Parameter(torch.zeros(filters))
        self.conv1 = nn.Conv2d(1 + filters, width, kernel_size=3, stride=2)
        self.conv2 = nn.Conv2d(width, out_channels, kernel_size=3, stride=2, padding=1)

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
        return F.gelu(self.conv2(F.gelu(x)))


class DistributionHead(nn.Module):
    """Fine and coarse grades from the distribution of the tokens over the whole image.

    Args:
        in_features: channels of the backbone's last stage.
        edge_features: channels of the edge branch; 0 without it.
        hidden: width of the hidden layer.
        dropout: dropout rate after the hidden layer.
        fine_levels: number of fine grades.
        coarse_levels: number of coarse grades.
        token_dropout: share of training images that are graded without the tokens, from edges and energy alone, so that
            anatomy that the tokens know by heart does not stand for quality.
    """

    def __init__(
        self,
        in_features: int,
        edge_features: int,
        hidden: int,
        dropout: float,
        fine_levels: int,
        coarse_levels: int,
        token_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.token_features = 2 * in_features
        self.token_dropout = token_dropout
        self.features = 2 * in_features + (edge_features + ENERGY_STATISTICS if edge_features else 0)
        self.hidden = nn.Sequential(nn.Linear(self.features, hidden), nn.GELU(), nn.Dropout(dropout))
        self.fine = nn.Linear(hidden, fine_levels)
        self.coarse = nn.Linear(hidden, coarse_levels)

    def pool(self, tokens: Tensor, edges: Tensor | None, image: Tensor) -> Tensor:
        """What is known of the whole image, each mean weighted by :func:`patient_share`.

        Args:
            tokens: ``(B, h, w, C)`` of the last stage.
            edges: ``(B, E, h', w')`` of the edge branch, or None without it.
            image: ``(B, 1, H, W)`` in [0, 1].

        Returns:
            ``(B, F)``: mean and standard deviation of the tokens, mean of the edges, energy statistics of the image.
        """
        tokens = tokens.float()
        share = patient_share(image, tuple(tokens.shape[1:3])).unsqueeze(-1)
        mean = (share * tokens).sum(dim=(1, 2))
        variance = (share * (tokens - mean[:, None, None]).square()).sum(dim=(1, 2))
        # One token has a spread of zero; the small constant keeps the root's slope finite there.
        pooled = [mean, (variance + 1e-6).sqrt()]
        if edges is not None:
            pooled.append((patient_share(image, tuple(edges.shape[2:])).unsqueeze(1) * edges.float()).sum(dim=(2, 3)))
            pooled.append(energy_statistics(image))
        return torch.cat(pooled, dim=1)

    @property
    def readers(self) -> tuple[nn.Linear, ...]:
        """The linear layers that read the pooled features."""
        return (cast(nn.Linear, self.hidden[0]),)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Fine and coarse logits from the pooled features (B, F)."""
        if self.training and self.token_dropout > 0:
            kept = torch.rand(len(features), 1, device=features.device) >= self.token_dropout
            tokens, rest = features.split((self.token_features, self.features - self.token_features), dim=1)
            features = torch.cat([tokens * kept, rest], dim=1)
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

    def pool(self, tokens: Tensor, edges: Tensor | None, image: Tensor) -> Tensor:
        """Mean of ``tokens`` (B, h, w, C): (B, C). ``edges`` reach it only through the tokens."""
        return tokens.float().mean(dim=(1, 2))

    @property
    def readers(self) -> tuple[nn.Linear, ...]:
        """The linear layers that read the pooled features."""
        return self.fine, self.coarse

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Fine and coarse logits from the pooled features (B, F)."""
        x = self.dropout(features)
        return self.fine(x), self.coarse(x)
