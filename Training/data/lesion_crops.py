"""Crops of dose pairs with lesions whose truth is known.

Lesions are put into the noisy image and into the one without noise alike; the noise between the two, scaled, makes any
dose between those that were simulated. Everything in a crop is a function of seed and position alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from CTQualityAssessmentLib.assessment.denoising.lesions import (
    LESION_TISSUES,
    Lesion,
    lesion_box,
    lesion_hu,
    lesion_places,
)
from CTQualityAssessmentLib.windows import WINDOWS
from numpy.typing import NDArray

from Training.data.dose_pairs import DOSES, DosePair

WINDOW = WINDOWS["full"]
#: Places kept of each slice and tissue, and the largest lesion that fits there, in mm.
_PLACES, _ROOM_MM = 60, 12.0
#: Largest shift of the noise's strength: factors of 0.5 to 1.25 on each simulated dose.
_NOISE_FACTORS = (0.5, 1.25)


class Crop(NamedTuple):
    """One training example, images ``(crop, crop)`` float32 in [0, 1] by the window ``full``.

    Attributes:
        low: noisy.
        full: at full dose, another reading.
        clean: the same reconstruction without noise.
        boxes: ``(n, 4)`` float32 left, top, right, bottom of the lesions in pixels.
        faint: further lesions that are in none of the images, on their scale; what a denoiser makes of them when they
            are added is what it keeps of faint lesions.
    """

    low: NDArray[np.float32]
    full: NDArray[np.float32]
    clean: NDArray[np.float32]
    boxes: NDArray[np.float32]
    faint: NDArray[np.float32]


class LesionCrops:
    """Endless random crops of some slices."""

    def __init__(self, pairs: list[DosePair], seed: int, crop: int) -> None:
        self.pairs, self.seed, self.crop = pairs, seed, crop
        self._places = [places_of(pair, np.random.default_rng([seed, 0, n])) for n, pair in enumerate(pairs)]

    def __call__(self, position: int) -> Crop:
        """The example at a position of the endless sequence."""
        rng = np.random.default_rng([self.seed, 1, position])
        number = int(rng.integers(len(self.pairs)))
        pair, places = self.pairs[number], self._places[number]
        images = pair.read()
        top, left = self._corner(images.shape[1:], places, rng)
        window = slice(top, top + self.crop), slice(left, left + self.crop)
        clean = images[0][window].astype(np.float32)
        full = images[1][window] - clean
        dose = int(rng.integers(1, len(DOSES)))
        noise = (images[dose][window] - clean) * np.exp(rng.uniform(*np.log(_NOISE_FACTORS)))
        boxes, free = [], []
        for tissue, row, column in places:
            centre = row - top, column - left
            if not all(8 <= c < self.crop - 8 for c in centre):
                continue
            free.append((tissue, centre))
            if rng.random() < 0.5:
                free.pop()
                lesion = draw_lesion(tissue, rng)
                clean = clean + lesion_hu(lesion, clean.shape, centre, (pair.spacing_mm,) * 2)
                boxes.append(lesion_box(lesion, centre, (pair.spacing_mm,) * 2))
        scaled = [WINDOW.apply(hu) for hu in (clean + noise, clean + full, clean)]
        scaled.append(self._faint(free, pair.spacing_mm, position) / np.float32(WINDOW.width))
        return _turned(scaled, np.array(boxes, dtype=np.float32).reshape(-1, 4), rng)

    def _faint(
        self, places: list[tuple[str, tuple[int, int]]], spacing_mm: float, position: int
    ) -> NDArray[np.float32]:
        """Lesions of one tissue, so that none outweighs the others: 3 to 10 mm, 10 to 40 HU, in lung 50 to 200 HU."""
        rng = np.random.default_rng([self.seed, 2, position])
        soft = [centre for tissue, centre in places if tissue != "lung"]
        total = np.zeros((self.crop, self.crop), dtype=np.float32)
        for centre in soft or [centre for _, centre in places]:
            contrast = rng.uniform(10, 40) * (1 if soft else 5) * rng.choice([-1.0, 1.0])
            lesion = Lesion(float(rng.uniform(3, 10)), float(contrast), edge_mm=float(rng.uniform(0.7, 2.0)))
            total += lesion_hu(lesion, total.shape, centre, (spacing_mm,) * 2)
        return total

    def _corner(
        self, shape: tuple[int, ...], places: list[tuple[str, int, int]], rng: np.random.Generator
    ) -> tuple[int, int]:
        """Top and left of a crop: mostly around a place for a lesion."""
        if places and rng.random() < 0.8:
            _, row, column = places[int(rng.integers(len(places)))]
            middle = np.array([row, column]) + rng.integers(-self.crop // 3, self.crop // 3 + 1, 2)
        else:
            middle = rng.integers(0, shape, 2)
        top, left = (int(np.clip(m - self.crop // 2, 0, n - self.crop)) for m, n in zip(middle, shape, strict=True))
        return top, left


def places_of(pair: DosePair, rng: np.random.Generator) -> list[tuple[str, int, int]]:
    """Tissue, row and column of places for lesions, sparse enough that none touches another."""
    clean, spacing = np.asarray(pair.read()[0]), (pair.spacing_mm,) * 2
    return [
        (tissue, row, column)
        for tissue in LESION_TISSUES
        for row, column in lesion_places(clean, spacing, tissue, _ROOM_MM, _PLACES, rng)
    ]


def draw_lesion(tissue: str, rng: np.random.Generator) -> Lesion:
    """A lesion as its tissue has them: dark or bright ones of low contrast, solid or ground-glass nodules in lung."""

    def between(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    diameter = between(3.0, _ROOM_MM)
    if tissue == "lung":
        contrast = between(120.0, 850.0)
    else:
        contrast = between(12.0, 70.0) * (-1.0 if rng.random() < 0.7 else 1.0)
    return Lesion(
        diameter_mm=diameter,
        contrast_hu=contrast,
        edge_mm=float(rng.uniform(0.7, 2.0)),
        aspect=float(rng.uniform(0.65, 1.0)),
        angle_deg=float(rng.uniform(0, 180)),
        texture_hu=float(rng.uniform(0, 0.15)) * abs(contrast),
        seed=int(rng.integers(2**31)),
    )


def _turned(images: list[NDArray[np.float32]], boxes: NDArray[np.float32], rng: np.random.Generator) -> Crop:
    """Mirrored and transposed at random; nothing that resamples noise."""
    side = images[0].shape[0]
    boxes = boxes.copy()
    if rng.random() < 0.5:
        images = [image[:, ::-1] for image in images]
        boxes[:, [0, 2]] = side - boxes[:, [2, 0]]
    if rng.random() < 0.5:
        images = [image[::-1] for image in images]
        boxes[:, [1, 3]] = side - boxes[:, [3, 1]]
    if rng.random() < 0.5:
        images = [image.T for image in images]
        boxes = boxes[:, [1, 0, 3, 2]]
    low, full, clean, faint = (np.ascontiguousarray(image) for image in images)
    return Crop(low, full, clean, boxes, faint)
