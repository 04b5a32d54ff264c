"""The guard: are lesions still there after denoising?

Lesions of known size and contrast are put at random places into slices of the actual volume. Each slice is denoised
with and without them; the difference of the two results is what is left of the lesions, with the noise of this scan
around them. Its projection on the lesion that was put in is the share of the signal that was kept. Nothing is added to
the volume itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.denoising.engine import correction_weight, estimate_noise
from CTQualityAssessmentLib.assessment.denoising.lesions import Lesion, lesion_hu, lesion_places
from CTQualityAssessmentLib.assessment.denoising.strength import share_of
from CTQualityAssessmentLib.assessment.measures.noise import most_frequent_sd, noise_histogram
from CTQualityAssessmentLib.assessment.measures.slice_grid import slice_grid
from CTQualityAssessmentLib.assessment.slices import prepare_slice
from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.denoising import Retention, Strength
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models.denoisers import LoadedDenoiser

_ = marks_of(__file__)

#: HU ``(rows, columns)`` and the distances between rows and columns in mm, to denoised HU.
SliceDenoiser = Callable[[NDArray[np.float32], tuple[float, float]], NDArray[np.floating]]


@dataclass(frozen=True)
class LesionTest:
    """Which lesions to put in: diameter, contrast (both signs are tried), tissue."""

    diameter_mm: float
    contrast_hu: float
    tissue: str


#: Small and faint first: what a denoiser loses first.
LESION_TESTS = (
    LesionTest(4.0, 20.0, _("soft tissue")),
    LesionTest(8.0, 10.0, "soft tissue"),
    LesionTest(4.0, 150.0, "lung"),
)
_SLICES, _LESIONS_A_SLICE = 8, 6
_REPEATS = 500


def lesions_kept(
    volume: Volume,
    denoise: SliceDenoiser,
    *,
    tests: Sequence[LesionTest] = LESION_TESTS,
    slices: int = _SLICES,
    seed: int = 0,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> tuple[Retention, ...]:
    """What is left of inserted lesions, test by test.

    Args:
        volume: the original, in HU; not changed.
        denoise: what is tried; see :func:`slice_denoiser`.
        tests: which lesions.
        slices: at most so many slices for each test, spread over the volume.
        seed: of the places; the same volume gives the same answer.
        progress: called with (slices done, slices, message).
        cancelled: asked between slices; tests that were not finished are left out.
    """
    canonical = volume.canonical_slices()
    spacing = np.linalg.norm(canonical.ijk_to_ras[:3, :2], axis=0)
    row_column_mm = (float(spacing[1]), float(spacing[0]))
    found = []
    for number, test in enumerate(tests):
        rng = np.random.default_rng([seed, number])
        shares: dict[int, list[float]] = {}
        for k in _spread(volume.slice_count, 3 * slices):
            if cancelled():
                return tuple(found)
            if len(shares) == slices:
                break
            if prepare_slice(volume, canonical, k).refusal is not None:
                continue
            kept = _slice_shares(np.asarray(canonical.hu[k], dtype=np.float32), row_column_mm, test, denoise, rng)
            if kept:
                shares[k] = kept
                progress(number * slices + len(shares), len(tests) * slices, _("Looking whether lesions survive"))
        found.append(_retention(test, shares))
    progress(len(tests) * slices, len(tests) * slices, _("Looking whether lesions survive"))
    return tuple(found)


def slice_denoiser(model: LoadedDenoiser, strength: Strength | None = None) -> SliceDenoiser:
    """One slice through the network with a strength, as :func:`denoise_volume` and :func:`blend` do it, unrounded."""
    wanted = strength or Strength()

    def denoise(hu: NDArray[np.float32], spacing_mm: tuple[float, float]) -> NDArray[np.float32]:
        full = hu - estimate_noise(hu, model) * correction_weight(hu, spacing_mm)
        return full if wanted.full else hu + share_of(full, wanted) * (full - hu)

    return denoise


def _slice_shares(
    hu: NDArray[np.float32],
    spacing_mm: tuple[float, float],
    test: LesionTest,
    denoise: SliceDenoiser,
    rng: np.random.Generator,
) -> list[float]:
    grid = slice_grid(hu, spacing_mm)
    noise = most_frequent_sd(noise_histogram(grid)) if grid is not None else None
    places = lesion_places(hu, spacing_mm, test.tissue, test.diameter_mm, _LESIONS_A_SLICE, rng, noise or 0.0)
    if not places:
        return []
    lesions = [
        lesion_hu(
            Lesion(test.diameter_mm, test.contrast_hu * (-1 if n % 2 else 1)), hu.shape, (row, column), spacing_mm
        )
        for n, (row, column) in enumerate(places)
    ]
    left = denoise(hu + np.sum(lesions, axis=0, dtype=np.float32), spacing_mm) - denoise(hu, spacing_mm)
    return [float((left * lesion).sum() / (lesion * lesion).sum()) for lesion in lesions]


def _retention(test: LesionTest, shares: dict[int, list[float]]) -> Retention:
    """``shares`` of the lesions of each slice."""
    if not shares:
        return Retention(test.diameter_mm, test.contrast_hu, test.tissue)
    values = np.concatenate([np.array(one) for one in shares.values()])
    by_slice = {k: float(np.mean(one)) for k, one in shares.items()}
    least = min(by_slice, key=lambda k: (by_slice[k], k))
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (_REPEATS, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Retention(
        test.diameter_mm,
        test.contrast_hu,
        test.tissue,
        lesions=len(values),
        slices=len(shares),
        kept=float(values.mean()),
        interval=(float(low), float(high)),
        lowest_tenth=float(np.percentile(values, 10)),
        least_slice=least,
        least_slice_kept=by_slice[least],
    )


def _spread(count: int, most: int) -> list[int]:
    """Up to ``most`` slices in an order that covers the volume evenly from the first few on."""
    chosen = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()
    order: list[int] = []
    step = 1 << max(0, (len(chosen) - 1).bit_length() - 1)
    while step:
        order += [k for n, k in enumerate(chosen) if n % step == step // 2 and k not in order]
        step //= 2
    return order + [k for k in chosen if k not in order]
