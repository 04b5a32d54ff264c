"""Windows that hold the same tokens are computed once: most of the air around a patient.

Where a network is shown the patient alone, the air around is one value, so many tokens are equal, and so are whole
windows of them and what becomes of these. Tokens carry numbers: those with the same number, 0 or more, hold the same
values; -1 stands for a token of its own. Nothing is approximated; sums are rounded in another order.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

#: With a larger share of different windows, finding the others does not pay.
_MOST_DIFFERENT = 0.9


def numbered_tokens(image: Tensor, patch: int, edges: bool) -> Tensor:
    """Numbers of the tokens of an image before the first block.

    Args:
        image: ``(1, 1, H, W)``, sides multiples of ``patch``.
        patch: pixels along a token's side.
        edges: whether the tokens also hold edge features, which see four pixels around and zeros beyond the first row
            and column of tokens.

    Returns:
        ``(H / patch, W / patch)`` int64; tokens that see nothing but the value of the first pixel are 0 or more.
    """
    other = (image != image[..., :1, :1]).float()
    seen = F.max_pool2d(other, 2 * patch + 1, patch, patch) if edges else F.max_pool2d(other, patch)
    numbers = torch.zeros(seen.shape[2:], dtype=torch.int64)
    if edges:
        numbers[0] += 1
        numbers[:, 0] += 2
    return numbers.masked_fill_(seen[0, 0] > 0, -1)


class DifferentWindows(NamedTuple):
    """Which windows to compute, and where each window finds its result.

    Attributes:
        chosen: indices of the windows that differ.
        place: ``(windows,)``, position of each window's like in ``chosen``.
        numbers: ``(windows, n)``, of the tokens that come out.
    """

    chosen: Tensor
    place: Tensor
    numbers: Tensor


def different_windows(numbers: Tensor, masks: Tensor | None) -> DifferentWindows | None:
    """The windows that differ in their tokens or in their masks; None where nearly all do.

    A window of one value throughout gives one value, whatever its tokens may see of each other: all they see is that.

    Args:
        numbers: ``(windows, n)``, see :func:`numbered_tokens`.
        masks: ``(windows,)``, windows with the same number have the same mask; None without one.
    """
    count, n = numbers.shape
    own = (numbers < 0).any(dim=1)
    alone, others = own.nonzero().flatten(), (~own).nonzero().flatten()
    if not len(others):
        return None
    rows = numbers[others]
    flat = (rows == rows[:, :1]).all(dim=1)
    kinds = torch.zeros_like(others) if masks is None else masks[others].masked_fill(flat, -1)
    found, like = torch.cat([kinds[:, None], rows], dim=1).unique(dim=0, return_inverse=True)
    if len(alone) + len(found) > _MOST_DIFFERENT * count:
        return None
    first = torch.full((len(found),), count).scatter_reduce_(0, like, torch.arange(len(others)), "amin")
    place = torch.empty(count, dtype=torch.int64)
    place[alone] = torch.arange(len(alone))
    place[others] = len(alone) + like
    after = torch.full_like(numbers, -1)
    after[others] = n * like[:, None] + torch.arange(n) * ~flat[:, None]
    return DifferentWindows(torch.cat([alone, others[first]]), place, after)


def merged_numbers(numbers: Tensor) -> Tensor | None:
    """Numbers after patches merge two by two: ``(h, w)`` to ``(h / 2, w / 2)``; None for an odd side."""
    h, w = numbers.shape
    if h % 2 or w % 2:
        return None
    four = numbers.view(h // 2, 2, w // 2, 2).permute(0, 2, 1, 3).reshape(-1, 4)
    alike = (four >= 0).all(dim=1)
    base = int(numbers.max()) + 1
    merged = torch.full((len(four),), -1)
    joined = ((four[alike, 0] * base + four[alike, 1]) * base + four[alike, 2]) * base + four[alike, 3]
    merged[alike] = joined.unique(return_inverse=True)[1]
    return merged.view(h // 2, w // 2)
