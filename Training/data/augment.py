"""Changes of an image that leave its quality as it is: flips, shifts, crops; on request mild rotation and scale.

No blur, no noise, no contrast: those change the label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: What a recipe may ask for.
AUGMENTATIONS = ("exact", "affine")
#: Of "affine": degrees to each side, factors of size, share of the side (methods of the LDCTIQAC2023 winner).
_LARGEST_ANGLE, _SCALES, _LARGEST_MOVE = 15.0, (0.95, 1.20), 0.05
_LARGEST_SHIFT = 24


def augment(
    image: NDArray[np.float32], rng: np.random.Generator, crop: int | None = None, kind: str = "exact"
) -> NDArray[np.float32]:
    """One random view of an image ``(rows, columns)``.

    Flips move pixels without resampling. Rotation and scale resample, which smooths noise, so with "exact" the only
    other change is a shift by whole pixels, with black moving in, or a crop around a random point of the image's
    middle. "affine" first turns, scales and shifts by cubic splines, which keep most of the noise.

    Args:
        image: values in [0, 1].
        rng: the only source of randomness.
        crop: side of a square crop; None keeps the size.
        kind: one of :data:`AUGMENTATIONS`.
    """
    if kind == "affine":
        image = _affine(image, rng)
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


def _affine(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    angle = np.deg2rad(rng.uniform(-_LARGEST_ANGLE, _LARGEST_ANGLE))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / rng.uniform(*_SCALES)
    middle = (np.array(image.shape) - 1) / 2
    moved = middle + rng.uniform(-_LARGEST_MOVE, _LARGEST_MOVE, 2) * image.shape
    return np.clip(ndimage.affine_transform(image, turn, middle - turn @ moved, order=3, cval=0.0), 0.0, 1.0)
