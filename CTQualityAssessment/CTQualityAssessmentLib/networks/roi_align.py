"""Features inside boxes, resampled to one size (RoIAlign of He et al., ICCV 2017), without torchvision."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def roi_align(
    features: Tensor, boxes: Tensor, images: Tensor, stride: float, size: int = 7, samples: int = 2
) -> Tensor:
    """Mean of ``samples`` x ``samples`` bilinear readings in each of ``size`` x ``size`` cells of each box.

    Args:
        features: ``(B, C, h, w)``.
        boxes: ``(R, 4)`` as (left, top, right, bottom) in image pixels, where pixel n covers [n, n + 1].
        images: ``(R,)`` int64, which image of the batch each box lies in.
        stride: image pixels along the side of a feature pixel.
        size: cells along the side of a box.
        samples: readings along the side of a cell.

    Returns:
        ``(R, C, size, size)``. Outside the features, their border is repeated.
    """
    _, channels, height, width = features.shape
    count = len(boxes)
    if count == 0:
        return features.new_zeros((0, channels, size, size))
    steps = (torch.arange(size * samples, device=features.device, dtype=features.dtype) + 0.5) / (size * samples)
    left, top, right, bottom = (boxes.to(features.dtype) / stride).unbind(1)
    # align_corners=False: -1 and 1 are the outer edges of the first and the last pixel, as in the boxes.
    x = 2 * (left[:, None] + (right - left)[:, None] * steps) / width - 1
    y = 2 * (top[:, None] + (bottom - top)[:, None] * steps) / height - 1
    side = size * samples
    grid = torch.stack([x[:, None, :].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], dim=-1)
    found = features.new_empty((count, channels, size, size))
    for image in images.unique().tolist():
        mine = images == image
        # One call an image, its boxes one below the other: no copy of the features for each box.
        tall = grid[mine].reshape(1, -1, side, 2)
        read = F.grid_sample(features[image : image + 1], tall, padding_mode="border", align_corners=False)
        cells = F.avg_pool2d(read, samples).view(channels, -1, size, size).transpose(0, 1)
        found[mine] = cells
    return found
