"""Photographs made worse by known steps: stage A of TFKT where no rated natural images are at hand.

The photographs are those inside the installed scikit-image; nothing is downloaded. A label is the grade of the
distortion, 4 without one and 0 for the worst, and nobody's opinion: grades of different distortions look more or less
alike at best.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from Training.data.challenge import TrainingDataError

Pixels = NDArray[np.float32]

PHOTOGRAPHS = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "page.png",
    "rocket.jpg",
)
#: Best to worst score.
GRADES = (4.0, 3.2, 2.4, 1.6, 0.8, 0.0)
#: Pixels around a crop that a distortion may draw on.
_MARGIN = 16


def _blur(x: Pixels, sd: float, _: np.random.Generator) -> Pixels:
    return ndimage.gaussian_filter(x, (0, sd, sd))


def _motion(x: Pixels, length: float, _: np.random.Generator) -> Pixels:
    return ndimage.uniform_filter1d(x, int(length), axis=2)


def _noise(x: Pixels, sd: float, rng: np.random.Generator) -> Pixels:
    return x + sd * rng.standard_normal(x.shape[1:], dtype=np.float32)


def _coloured_noise(x: Pixels, sd: float, rng: np.random.Generator) -> Pixels:
    noise = ndimage.gaussian_filter(rng.standard_normal(x.shape[1:], dtype=np.float32), 1.0)
    return x + sd * noise / noise.std()


def _shot_noise(x: Pixels, photons: float, rng: np.random.Generator) -> Pixels:
    return (rng.poisson(x.clip(0) * photons) / photons).astype(np.float32)


def _impulses(x: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    dice = rng.random(x.shape[1:])
    return np.where(dice < share / 2, 0.0, np.where(dice > 1 - share / 2, 1.0, x)).astype(np.float32)


def _jpeg(x: Pixels, quality: float, _: np.random.Generator) -> Pixels:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.round(x.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)).save(
        buffer, "jpeg", quality=int(quality)
    )
    return np.asarray(Image.open(buffer), dtype=np.float32).transpose(2, 0, 1) / 255


def _contrast(x: Pixels, share: float, _: np.random.Generator) -> Pixels:
    mean = x.mean(axis=(1, 2), keepdims=True)
    return mean + share * (x - mean)


def _coarse(x: Pixels, factor: float, _: np.random.Generator) -> Pixels:
    n = int(factor)
    small = ndimage.uniform_filter(x, (0, n, n))[:, ::n, ::n]
    return small.repeat(n, axis=1).repeat(n, axis=2)[:, : x.shape[1], : x.shape[2]]


def _streaks(x: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    lines = ndimage.rotate(
        np.broadcast_to(rng.standard_normal(2 * max(x.shape[1:])), (2 * max(x.shape[1:]),) * 2),
        float(rng.uniform(0, 180)),
        reshape=False,
        order=1,
        mode="wrap",
    )
    top, left = ((n - m) // 2 for n, m in zip(lines.shape, x.shape[1:], strict=True))
    return x + strength * lines[top : top + x.shape[1], left : left + x.shape[2]].astype(np.float32)


#: How, and how much at the five worse grades.
DISTORTIONS: dict[str, tuple[Callable[[Pixels, float, np.random.Generator], Pixels], tuple[float, ...]]] = {
    "blur": (_blur, (0.6, 1.0, 1.7, 2.8, 4.5)),
    "motion": (_motion, (3, 5, 8, 12, 18)),
    "noise": (_noise, (0.02, 0.05, 0.09, 0.16, 0.28)),
    "coloured noise": (_coloured_noise, (0.02, 0.04, 0.07, 0.12, 0.2)),
    "shot noise": (_shot_noise, (800, 250, 80, 25, 8)),
    "impulses": (_impulses, (0.004, 0.012, 0.03, 0.08, 0.2)),
    "JPEG": (_jpeg, (60, 35, 18, 10, 5)),
    "contrast": (_contrast, (0.8, 0.62, 0.46, 0.32, 0.2)),
    "coarse pixels": (_coarse, (2, 3, 4, 6, 9)),
    "streaks": (_streaks, (0.02, 0.04, 0.07, 0.12, 0.2)),
}


@dataclass(frozen=True)
class GradedPhotograph:
    """One photograph with one distortion at one grade, 0 for none."""

    photograph: str
    distortion: str
    grade: int

    @property
    def score(self) -> float:
        """4, without a distortion, to 0."""
        return GRADES[self.grade]

    def view(self, rng: np.random.Generator, crop: int | None = None) -> Pixels:
        """A random crop, distorted: ``(3, rows, columns)`` in [0, 1]; whole without ``crop``."""
        whole = read_photograph(self.photograph)
        _, rows, columns = whole.shape
        if crop is None:
            return self._distorted(whole, rng)
        height, width = min(crop, rows), min(crop, columns)
        top, left = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
        above, before = min(top, _MARGIN), min(left, _MARGIN)
        part = whole[:, top - above : top + height + _MARGIN, left - before : left + width + _MARGIN]
        return self._distorted(part, rng)[:, above : above + height, before : before + width]

    def _distorted(self, x: Pixels, rng: np.random.Generator) -> Pixels:
        if not self.grade:
            return x
        distort, strengths = DISTORTIONS[self.distortion]
        return distort(x, strengths[self.grade - 1], rng).clip(0, 1).astype(np.float32, copy=False)


def graded_photographs() -> list[GradedPhotograph]:
    """Every photograph with every distortion at every grade; without one as often as each grade."""
    return [
        GradedPhotograph(name, distortion, grade)
        for name in PHOTOGRAPHS
        for distortion in DISTORTIONS
        for grade in range(len(GRADES))
    ]


@lru_cache(maxsize=len(PHOTOGRAPHS))
def read_photograph(name: str) -> Pixels:
    """A photograph of scikit-image, ``(3, rows, columns)`` in [0, 1]; grey ones have three equal channels.

    Raises:
        TrainingDataError: the installed scikit-image does not have it.
    """
    import skimage
    from PIL import Image

    try:
        with Image.open(Path(skimage.__file__).parent / "data" / name) as image:
            return np.asarray(image.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255
    except OSError as error:
        raise TrainingDataError(
            "A photograph of scikit-image is not installed.", "Install the pinned scikit-image, or use rated images."
        ) from error
