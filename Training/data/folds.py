"""Which images belong together, and how a set is cut into folds.

The published files of LDCTIQAG2023 name no patient, and the same slice recurs at many degradations. Folds by score
alone put variants of one slice on both sides, so that their figures are too good; folds by similar slices do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from Training.data.challenge import LabelledImage

#: How folds are made: whole patients, score alone, or whole groups of similar slices.
SPLITS = ("patients", "stratified", "similar slices")
#: Of :func:`similar_slices`: blur in pixels, distance of samples, correlation from which two images are one slice.
BLUR_SD, EVERY, SAME_SLICE = 4.0, 8, 0.99


class Rated(Protocol):
    """Anything with a score that can be trained on."""

    @property
    def score(self) -> float:
        """0 to 4."""

    @property
    def patient(self) -> str:
        """What stays in one fold."""

    def read(self) -> NDArray[np.float32]:
        """Pixels ``(rows, columns)`` in [0, 1]."""


Item = TypeVar("Item", bound=Rated)


def make_folds(images: Sequence[Rated], folds: int, seed: int, split: str) -> list[list[int]]:
    """Indices of the validation images of each fold, by one of :data:`SPLITS`.

    "similar slices" takes the images' patients as groups: see :func:`grouped`.

    Raises:
        ValueError: an unknown split, or too few images or groups.
    """
    if split not in SPLITS:
        raise ValueError(f"folds are made by {', '.join(SPLITS)}, not {split!r}")
    return stratified_folds(images, folds, seed) if split == "stratified" else patient_folds(images, folds, seed)


def patient_folds(images: Sequence[Rated], folds: int, seed: int = 0) -> list[list[int]]:
    """Indices of the validation images of each fold; all images of a patient are in one fold, sizes balanced."""
    patients = sorted({image.patient for image in images})
    if folds < 2 or folds > len(patients):
        raise ValueError(f"{len(patients)} patients cannot make {folds} folds")
    counts = {p: sum(image.patient == p for image in images) for p in patients}
    order = np.random.default_rng(seed).permutation(len(patients))
    shuffled = sorted((patients[n] for n in order), key=lambda p: -counts[p])
    loads, assigned = [0] * folds, {}
    for patient in shuffled:
        smallest = loads.index(min(loads))
        assigned[patient] = smallest
        loads[smallest] += counts[patient]
    return [[n for n, image in enumerate(images) if assigned[image.patient] == fold] for fold in range(folds)]


def stratified_folds(images: Sequence[Rated], folds: int, seed: int = 0) -> list[list[int]]:
    """Indices of the validation images of each fold, with the same spread of scores in each, as entrants split.

    Images in the order of their scores, ties in random order, are dealt out in rounds, each round in random order.
    """
    if folds < 2 or folds > len(images):
        raise ValueError(f"{len(images)} images cannot make {folds} folds")
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(images)), [image.score for image in images]))
    found: list[list[int]] = [[] for _ in range(folds)]
    for first in range(0, len(order), folds):
        dealt = order[first : first + folds]
        for fold, index in zip(rng.permutation(folds)[: len(dealt)], dealt, strict=True):
            found[fold].append(int(index))
    return [sorted(fold) for fold in found]


def similar_slices(images: Sequence[Rated]) -> NDArray[np.intp]:
    """Which images are variants of one source slice: a number for each, ``(N,)``.

    After RIQE: blurred by a Gaussian of 4 pixels, every 8th pixel, z-scores, pairs that correlate by more than 0.99 are
    linked, and what hangs together is one slice.
    """
    rows = []
    for image in images:
        sampled = ndimage.gaussian_filter(image.read(), BLUR_SD)[::EVERY, ::EVERY].ravel().astype(np.float64)
        rows.append((sampled - sampled.mean()) / max(float(sampled.std()), 1e-9))
    if len({len(row) for row in rows}) > 1:
        raise ValueError("the images differ in size")
    features = np.stack(rows)
    linked = features @ features.T / features.shape[1] > SAME_SLICE
    return sparse.csgraph.connected_components(sparse.csr_matrix(linked), directed=False)[1]


def grouped(images: list[LabelledImage]) -> list[LabelledImage]:
    """The images with groups of similar slices as their sources and patients."""
    names = [f"group{number:04d}" for number in similar_slices(images)]
    return [replace(image, patient=name, source=name) for image, name in zip(images, names, strict=True)]
