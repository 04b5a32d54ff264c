"""Detectability of low-contrast discs before and after denoising, on the FDA's simulated MITA phantom.

    python -m Training.evaluate_phantom ../shared/data/phantom/fda_lcd_three_doses --out build/phantom.json

The phantom's four discs (3 mm 14 HU, 5 mm 7 HU, 7 mm 5 HU, 10 mm 3 HU) in water, reconstructed by FBP at 10, 55 and
100 % of a dose, ten times each with and without discs. Discs are put into the images without discs at eight places of
the discs' circle, where the noise is the same all around; the observer sees each disc at 80 places with and without.
``own discs`` is the observer of the row ``original`` on the phantom's own images with discs, ten places only: it must
agree with that row within its wide interval. A Gaussian blur of 1 mm stands beside the denoiser. 95 % intervals over
the ten images.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.assessment.denoising import slice_denoiser
from CTQualityAssessmentLib.assessment.denoising.lesions import Lesion, lesion_hu
from CTQualityAssessmentLib.models import DEFAULT_DENOISER, load_denoiser
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from Training.metrics.observer import answers, detectability, laguerre_gauss, responses

DOSES = ("010", "055", "100")
SIDE, IMAGES, PLACES = 256, 10, 8
#: 10 mm are 15.5 pixels in the phantom's own ground truth.
PIXEL_MM = 0.645
_CENTRE, _RADIUS = 127.5, 46.5
_WATER = 1000
_REPEATS = 500
ORIGINAL = "original"

Denoise = Callable[[NDArray[np.float32]], NDArray[np.floating]]


@dataclass(frozen=True)
class Disc:
    """Of the phantom: diameter, contrast, and the angle of its place in degrees."""

    diameter_mm: float
    contrast_hu: float
    angle_deg: float

    @property
    def name(self) -> str:
        """As the phantom's users write it."""
        return f"{self.diameter_mm:g} mm, {self.contrast_hu:g} HU"


DISCS = (Disc(3, 14, -45), Disc(5, 7, -135), Disc(7, 5, 135), Disc(10, 3, 45))


def places(first_deg: float, count: int = PLACES) -> NDArray[np.int64]:
    """``(count, 2)`` rows and columns, evenly around the circle of the discs."""
    angles = np.radians(first_deg + 360 / count * np.arange(count))
    found = _CENTRE + _RADIUS * np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return np.rint(found).astype(np.int64)


def read_images(folder: Path, dose: str, kind: str) -> NDArray[np.float32]:
    """``(10, 256, 256)`` HU. The bytes are little-endian whatever the headers say; water is 1000.

    Raises:
        ValueError: a file has another size.
    """
    found = []
    for number in range(1, IMAGES + 1):
        stored = np.fromfile(folder / f"dose_{dose}" / kind / f"{kind}_{number:03d}.raw", "<i2")
        if stored.size != SIDE * SIDE:
            raise ValueError(f"{kind}_{number:03d}.raw does not hold {SIDE} x {SIDE} pixels")
        found.append(stored.reshape(SIDE, SIDE).astype(np.float32) - _WATER)
    return np.stack(found)


def inserted(disc: Disc, centres: NDArray[np.int64]) -> NDArray[np.float32]:
    """What discs at these places add to an image."""
    lesion = Lesion(disc.diameter_mm, disc.contrast_hu)
    parts = [lesion_hu(lesion, (SIDE, SIDE), (r, c), (PIXEL_MM, PIXEL_MM)) for r, c in centres]
    return np.sum(parts, axis=0, dtype=np.float32)


def d_prime(present: NDArray[np.floating], absent: NDArray[np.floating]) -> list[float]:
    """d' of an observer's answers ``(images, places)`` with its 95 % interval over images."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(absent), len(absent)) for _ in range(_REPEATS)]
    spread = [detectability(present[chosen], absent[chosen]) for chosen in drawn]
    return [detectability(present, absent), *np.percentile(spread, [2.5, 97.5]).tolist()]


def evaluate(folder: Path, denoisers: dict[str, Denoise]) -> list[dict[str, object]]:
    """A row for each dose, disc and denoiser, ``original`` first."""
    rows: list[dict[str, object]] = []
    for dose in DOSES:
        absent, own = read_images(folder, dose, "signal_absent"), read_images(folder, dose, "signal_present")
        plain = {name: [denoise(image) for image in absent] for name, denoise in denoisers.items()}
        for disc in DISCS:
            width = 1.5 * disc.diameter_mm / PIXEL_MM
            channels = laguerre_gauss(2 * int(np.ceil(width)) + 1, width)
            centres = places(disc.angle_deg)
            added = inserted(disc, centres)

            def seen(images: object, at: NDArray[np.int64], channels: NDArray[np.float64] = channels) -> NDArray:
                return np.stack([responses(image, at, channels) for image in images])

            for name, denoise in denoisers.items():
                present = seen([denoise(image + added) for image in absent], centres)
                without = seen(plain[name], centres)
                found = d_prime(*(answers(present, without, side) for side in (present, without)))
                rows.append({"dose": int(dose), "disc": disc.name, "image": name, "d'": found})
                if name == ORIGINAL:
                    judged = (seen(images, centres[:1]) for images in (own, absent))
                    own_discs = d_prime(*(answers(present, without, side) for side in judged))
            rows.append({"dose": int(dose), "disc": disc.name, "image": "own discs", "d'": own_discs})
            for row in rows[-len(denoisers) - 1 :]:
                value, low, high = row["d'"]
                print(
                    f"{row['dose']:3d} %  {row['disc']:12s} {row['image']:10s} d' {value:5.2f} [{low:.2f}, {high:.2f}]"
                )
    return rows


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default=DEFAULT_DENOISER)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    denoise = slice_denoiser(load_denoiser(arguments.model, device="cpu"))
    denoisers: dict[str, Denoise] = {
        ORIGINAL: lambda hu: hu,
        "denoised": lambda hu: denoise(hu, (PIXEL_MM, PIXEL_MM)),
        "blurred": lambda hu: gaussian_filter(hu, 1.0 / PIXEL_MM),
    }
    rows = evaluate(arguments.folder, denoisers)
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        part = arguments.out.with_suffix(".partial")
        part.write_text(json.dumps(rows, indent=1, allow_nan=False), encoding="utf-8")
        part.replace(arguments.out)


if __name__ == "__main__":
    main()
