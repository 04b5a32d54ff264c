"""Natural images with opinion scores, in the layouts in which KADID-10k, TID2013 and KonIQ-10k are published.

The sets are their authors'; none comes with this project, and their licences were not checked: see them before use.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.results import MAX_SCORE
from numpy.typing import NDArray

from Training.data.challenge import TrainingDataError


@dataclass(frozen=True)
class RatedPhotograph:
    """One image with the mean of its opinion scores, on 0 to 4; ``reference`` is the image that it was made from."""

    path: Path
    score: float
    reference: str

    def view(self, rng: np.random.Generator, crop: int | None = None) -> NDArray[np.float32]:
        """A random crop, or all: ``(3, rows, columns)`` in [0, 1].

        Raises:
            TrainingDataError: the file cannot be read.
        """
        from PIL import Image

        try:
            with Image.open(self.path) as image:
                pixels = np.asarray(image.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255
        except OSError as error:
            raise TrainingDataError("A rated image cannot be read.", "Copy the data set again.") from error
        if crop is None:
            return pixels
        _, rows, columns = pixels.shape
        height, width = min(crop, rows), min(crop, columns)
        top, left = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, columns - width + 1))
        return np.ascontiguousarray(pixels[:, top : top + height, left : left + width])


def read_opinions(root: Path) -> list[RatedPhotograph]:
    """All rated images of a folder, by the file of scores that lies in it.

    Raises:
        TrainingDataError: none of the three layouts, a file is missing, or a score lies off its scale.
    """
    for name, reader in _READERS.items():
        if (root / name).is_file():
            try:
                found = list(reader(root, root / name))
            except (KeyError, ValueError, UnicodeDecodeError) as error:
                raise TrainingDataError(f"The file {name} is not as published.", "Copy the data set again.") from error
            if not found or not all(0 <= one.score <= MAX_SCORE and one.path.is_file() for one in found):
                raise TrainingDataError(
                    f"{name} names no image, one that is missing, or a score off its scale.", "Copy the data set again."
                )
            return found
    raise TrainingDataError(
        "The folder holds neither KADID-10k nor TID2013 nor KonIQ-10k.",
        f"Point to the folder that holds {', '.join(_READERS)}.",
    )


def _kadid(root: Path, scores: Path) -> Iterator[RatedPhotograph]:
    """``dmos.csv`` (dist_img, ref_img, dmos, var) beside ``images/``; 1 to 5, higher is better."""
    for row in _rows(scores):
        yield RatedPhotograph(root / "images" / Path(row["dist_img"]).name, float(row["dmos"]) - 1, row["ref_img"])


def _tid(root: Path, scores: Path) -> Iterator[RatedPhotograph]:
    """``mos_with_names.txt`` ("5.51429 I01_01_1.bmp") beside ``distorted_images/``; 0 to 9, higher is better.

    Names and files differ in case here and there.
    """
    files = {path.name.lower(): path for path in (root / "distorted_images").glob("*")}
    for line in scores.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            score, name = line.split()
            yield RatedPhotograph(files[name.lower()], float(score) / 9 * MAX_SCORE, name.lower()[:3])


def _koniq(root: Path, scores: Path) -> Iterator[RatedPhotograph]:
    """``koniq10k_scores_and_distributions.csv`` (image_name, ..., MOS, ...) beside ``1024x768/`` or ``512x384/``.

    1 to 5, higher is better; the images are as they were taken, each its own reference.
    """
    folder = next((root / size for size in ("512x384", "1024x768") if (root / size).is_dir()), root / "1024x768")
    for row in _rows(scores):
        yield RatedPhotograph(folder / Path(row["image_name"]).name, float(row["MOS"]) - 1, row["image_name"])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, skipinitialspace=True))


_READERS: dict[str, Callable[[Path, Path], Iterator[RatedPhotograph]]] = {
    "dmos.csv": _kadid,
    "mos_with_names.txt": _tid,
    "koniq10k_scores_and_distributions.csv": _koniq,
}
