"""Slices of a volume before and after denoising, and what was taken away, as pictures for the web page."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from CTQualityAssessmentLib.colours import DIFFERENCE
from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.reporting.slice_panels import crop_to_body, draw_slice, draw_values
from CTQualityAssessmentLib.reporting.slice_pictures import LETTERS, Picture, blank_picture, picture_of
from CTQualityAssessmentLib.volume import Volume

DIFFERENCE_COLOURS = ListedColormap(DIFFERENCE.rgb(255), name=DIFFERENCE.name)
#: Pixels above are the patient without lungs: what is looked at when slices are compared.
_TISSUE_HU = -500
#: The colour scale ends at this many root mean squares of the most changed slice, rounded up to 5 HU.
_SCALE_RMS, _SCALE_STEP_HU = 3.0, 5


@dataclass(frozen=True)
class ComparedSlice:
    """Why a slice is shown, its index, the root mean square of its change in HU, and its three pictures."""

    part: str
    index: int
    change_hu: float
    pictures: tuple[Picture, Picture, Picture]


def compared_slices(
    original: Volume, denoised: Volume, report: DenoisingReport
) -> tuple[tuple[ComparedSlice, ...], float]:
    """The slices of :func:`telling_slices`: original, denoised, and original minus denoised.

    Args:
        original, denoised: on the same grid.
        report: which slice lost most lesion signal.

    Returns:
        The slices, and the HU at which the colour scale of the differences ends, one for all.
    """
    change = changes_hu(original, denoised)
    shown = telling_slices(change, report)
    crop = crop_to_body(original, list(shown.values()))
    top = max(_SCALE_STEP_HU, _SCALE_STEP_HU * ceil(_SCALE_RMS * float(change.max()) / _SCALE_STEP_HU))
    first, second = original.canonical_slices().hu, denoised.canonical_slices().hu
    found = []
    for part, index in shown.items():
        pictures = []
        for volume, words in ((original, "original"), (denoised, "denoised")):
            canvas, axes = blank_picture(volume, crop)
            draw_slice(axes, volume, index, crop, letters=LETTERS)
            pictures.append(picture_of(canvas, words, coloured=False))
        canvas, axes = blank_picture(original, crop)
        taken = first[index].astype(np.float32) - second[index]
        draw_values(axes, original, taken, crop, LETTERS, cmap=DIFFERENCE_COLOURS, vmin=-top, vmax=top)
        pictures.append(picture_of(canvas, "taken away", coloured=True))
        found.append(ComparedSlice(part, index, float(change[index]), (pictures[0], pictures[1], pictures[2])))
    return tuple(found), float(top)


def changes_hu(original: Volume, denoised: Volume) -> NDArray[np.float64]:
    """Root mean square of the change in HU for each slice, over the patient without lungs; 0 without a patient."""
    first, second = original.canonical_slices().hu, denoised.canonical_slices().hu
    found = np.zeros(original.slice_count)
    for k in range(original.slice_count):
        tissue = first[k] > _TISSUE_HU
        if tissue.any():
            change = first[k][tissue].astype(np.float32) - second[k][tissue]
            found[k] = np.sqrt(np.mean(change * change, dtype=np.float64))
    return found


def telling_slices(change_hu: NDArray[np.float64], report: DenoisingReport) -> dict[str, int]:
    """Up to three slices and why: least lesion signal kept, most changed, median of the changed, least changed.

    A slice that plays two parts is shown once; the middle slice where none was changed.

    Args:
        change_hu: of :func:`changes_hu`.
        report: the slice of the guard, where it ran.
    """
    changed = np.flatnonzero(change_hu > 0)
    if not changed.size:
        return {"middle slice": len(change_hu) // 2}
    order = changed[np.argsort(change_hu[changed], kind="stable")]
    parts = {}
    lost = [one for one in report.retention if one.least_slice is not None]
    if lost:
        worst = min(lost, key=lambda one: one.least_slice_kept if one.least_slice_kept is not None else 1.0)
        parts["least lesion signal kept"] = worst.least_slice
    parts |= {
        "most changed slice": int(order[-1]),
        "slice of median change": int(order[len(order) // 2]),
        "least changed slice": int(order[0]),
    }
    shown: dict[str, int] = {}
    for part, index in parts.items():
        if index is not None and index not in shown.values() and len(shown) < 3:
            shown[part] = index
    return shown
