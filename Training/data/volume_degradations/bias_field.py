"""MR: the bias field of the coils, smooth and multiplicative."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ORDER = 2


def bias_field(shape: tuple[int, ...], ratio: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A smooth field whose largest value is ``ratio`` times its smallest, of geometric middle 1.

    The logarithm is a random polynomial of order 2 in the three coordinates.

    Args:
        shape: ``(slices, rows, columns)``.
        ratio: 1 or more.
        rng: of the polynomial.

    Raises:
        ValueError: a ratio below 1.
    """
    if ratio < 1:
        raise ValueError("the ratio of a bias field is 1 or more")
    axes = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij", sparse=True)
    log = np.zeros(shape)
    for a in range(_ORDER + 1):
        for b in range(_ORDER + 1 - a):
            for c in range(_ORDER + 1 - a - b):
                log = log + rng.normal() * axes[0] ** a * axes[1] ** b * axes[2] ** c
    span = np.ptp(log)
    middle = (log.max() + log.min()) / 2
    return np.exp((log - middle) / max(span, 1e-9) * np.log(ratio)).astype(np.float32)


def add_bias_field(image: NDArray[np.floating], ratio: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The image times :func:`bias_field`."""
    return (image * bias_field(image.shape, ratio, rng)).astype(np.float32)
