"""Changes of an image that leave its quality as it is: flips, mild rotation, scale and shift. No blur, no noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LARGEST_SHIFT = 24


def augment(image: NDArray[np.float32], rng: np.random.Generator, crop: int | None = None) -> NDArray[np.float32]:
    """One random view of an image ``(rows, columns)``.

    Flips move pixels without resampling. Rotation and scale resample, which smooths noise and would change the label,
    so the only other change is a shift by whole pixels, with black moving in, or a crop around a random point of the
    image's middle.

    Args:
        image: values in [0, 1].
        rng: the only source of randomness.
        crop: side of a square crop; None keeps the size.
    """
    if rng.random() < 0.5:
        image = image[:, ::-1]
    if rng.random() < 0.5:
        image = image[::-1]
    if rng.random() < 0.5:
        image = image.T
    if crop is None:
        down, right = (int(s) for s in rng.integers(-_LARGEST_SHIFT, _LARGEST_SHIFT + 1, 2))
        rows, columns = image.shape
        padded = np.pad(image, _LARGEST_SHIFT, constant_values=0.0)
        top, left = _LARGEST_SHIFT - down, _LARGEST_SHIFT - right
        image = padded[top : top + rows, left : left + columns]
    else:
        middle = [int(np.clip(rng.normal(n / 2, n / 8), crop / 2, n - crop / 2)) for n in image.shape]
        top, left = (m - crop // 2 for m in middle)
        image = image[top : top + crop, left : left + crop]
    return np.ascontiguousarray(image)
