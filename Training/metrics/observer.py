"""A channelised Hotelling observer with Laguerre-Gauss channels: how well a disc of known place is detected.

Channels: Barrett et al., Proc. SPIE 3340 (1998); for CT low-contrast discs as in Wunderlich et al., IEEE TMI 34 (2015).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import eval_laguerre

#: Functions of the radius; more change d' of a disc by little and need more images.
CHANNELS = 5


def laguerre_gauss(side: int, width_px: float, channels: int = CHANNELS) -> NDArray[np.float64]:
    """``(channels, side, side)``, each of unit energy, around the middle of a patch with an odd side."""
    offsets = np.arange(side) - side // 2
    r2 = (offsets[:, None] ** 2 + offsets[None, :] ** 2) / width_px**2
    found = np.stack([np.exp(-np.pi * r2) * eval_laguerre(n, 2 * np.pi * r2) for n in range(channels)])
    return found / np.sqrt((found**2).sum(axis=(1, 2), keepdims=True))


def responses(
    image: NDArray[np.floating], centres: NDArray[np.integer], channels: NDArray[np.floating]
) -> NDArray[np.float64]:
    """``(centres, channels)``: what each channel answers at each ``(row, column)``."""
    half = channels.shape[-1] // 2
    patches = np.stack([image[r - half : r + half + 1, c - half : c + half + 1] for r, c in centres])
    return np.einsum("nyx,cyx->nc", patches.astype(np.float64), channels)


def answers(
    present: NDArray[np.floating], absent: NDArray[np.floating], judged: NDArray[np.floating]
) -> NDArray[np.float64]:
    """``(images, places)``: the Hotelling template's answer to each judged place.

    The template of each image comes from the other images, so that no image judges itself.

    Args:
        present, absent: channel responses ``(images, places, channels)`` with and without the signal.
        judged: responses ``(images, any, channels)`` of the same images.

    Raises:
        ValueError: fewer than three images.
    """
    if len(present) != len(absent) or len(absent) < 3:
        raise ValueError("d' needs at least three images, each with and without the signal")
    found = []
    for left_out, image in enumerate(judged):
        others = [np.delete(side, left_out, axis=0).reshape(-1, absent.shape[-1]) for side in (present, absent)]
        covariance = sum(np.cov(side, rowvar=False) for side in others) / 2
        found.append(image @ np.linalg.solve(covariance, others[0].mean(axis=0) - others[1].mean(axis=0)))
    return np.stack(found)


def detectability(present: NDArray[np.floating], absent: NDArray[np.floating]) -> float:
    """d' = (mean present - mean absent) / sqrt((variance present + variance absent) / 2) of an observer's answers."""
    return float((present.mean() - absent.mean()) / np.sqrt((present.var() + absent.var()) / 2))
