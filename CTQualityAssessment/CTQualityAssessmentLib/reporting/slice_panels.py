"""Slices as a radiologist looks at them, with attention laid over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.body import body_mask, tissue_floor
from CTQualityAssessmentLib.assessment.display import display_window
from CTQualityAssessmentLib.colours import ATTENTION
from CTQualityAssessmentLib.results import AttentionMap, VolumeAssessment
from CTQualityAssessmentLib.volume import CanonicalSlices, Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

#: Overlay opacity where attention reaches the top of the scale: anatomy must stay readable below it.
_STRONGEST_ALPHA = 0.6
_MARGIN_MM = 12.0
#: What each map shows; of attention the temperatures, from the overview to the close look.
MAP_WORDS = {
    "scan": "where it scanned",
    "read": "where it read",
    "focus": "where it focused",
    "raises": "raised the score",
    "lowers": "lowered the score",
    "map": "what it weighed",
}


@dataclass(frozen=True)
class Crop:
    """The shown part of a slice, in pixels: from row ``top`` to before ``bottom``, ``left`` to ``right`` alike."""

    top: int
    bottom: int
    left: int
    right: int


def pixel_spacing(slices: CanonicalSlices) -> tuple[float, float]:
    """Distance in millimetres between the rows and between the columns of a slice."""
    columns, rows, _ = np.linalg.norm(slices.ijk_to_ras[:3, :3], axis=0)
    return float(rows), float(columns)


def patient_letter(direction: NDArray[np.float64]) -> str:
    """Side of the patient that a RAS direction points to most: one of R, L, A, P, S, I."""
    axis = int(np.argmax(np.abs(direction)))
    return ("RL", "AP", "SI")[axis][int(direction[axis] < 0)]


def slices_to_show(volume: Volume, assessment: VolumeAssessment) -> tuple[dict[str, int], Crop]:
    """The marked slices, or the middle one where none has a score, and the part of them that is shown."""
    shown = marked_slices(assessment) or {"middle": len(assessment.slices) // 2}
    return shown, crop_to_body(volume, list(shown.values()))


def crop_to_body(volume: Volume, indices: list[int]) -> Crop:
    """The smallest part that holds the patient in all the named slices, with a margin; the whole slice if none does."""
    slices = volume.canonical_slices()
    spacing = pixel_spacing(slices)
    floor = tissue_floor(volume)
    body = np.any([body_mask(slices.hu[n], spacing, floor) for n in indices], axis=0)
    if not body.any():
        body[:] = True
    bounds = []
    for axis, size, step in ((1, body.shape[0], spacing[0]), (0, body.shape[1], spacing[1])):
        inside = np.flatnonzero(body.any(axis=axis))
        margin = round(_MARGIN_MM / step)
        bounds += [max(int(inside[0]) - margin, 0), min(int(inside[-1]) + 1 + margin, size)]
    return Crop(*bounds)


def draw_slice(axes: Axes, volume: Volume, index: int, crop: Crop, letters: float = 7) -> None:
    """Slice ``index`` in the window of its modality, with the patient's sides at its edges in ``letters`` points."""
    shown = display_window(volume).apply(volume.canonical_slices().hu[index])
    draw_values(axes, volume, shown, crop, letters, cmap="gray", vmin=0, vmax=1)


def draw_values(
    axes: Axes, volume: Volume, values: NDArray[np.generic], crop: Crop, letters: float, **colours: Any
) -> None:
    """Values of one slice ``(rows, columns)`` in place of its HU; ``colours`` as ``imshow`` takes them."""
    slices = volume.canonical_slices()
    rows_mm, columns_mm = pixel_spacing(slices)
    axes.imshow(values, aspect=rows_mm / columns_mm, **colours)
    axes.set_xlim(crop.left - 0.5, crop.right - 0.5)
    axes.set_ylim(crop.bottom - 0.5, crop.top - 0.5)
    write_sides(axes, slices.ijk_to_ras[:3, 0], slices.ijk_to_ras[:3, 1], letters=letters)


def write_sides(
    axes: Axes, right: NDArray[np.float64], down: NDArray[np.float64], flat: bool = False, letters: float = 7
) -> None:
    """Letters of the patient's sides at the edges of an image; ``right`` and ``down`` are RAS directions.

    A ``flat`` image has room for the letters at its left and right only.
    """
    axes.set_xticks([])
    axes.set_yticks([])
    places = ((0.5, 0.985, -down), (0.5, 0.015, down), (0.015, 0.5, -right), (0.985, 0.5, right))
    for x, y, direction in places[2:] if flat else places:
        axes.text(
            x,
            y,
            patient_letter(direction),
            transform=axes.transAxes,
            color="white",
            fontsize=letters,
            fontweight="bold",
            ha={0.5: "center", 0.015: "left", 0.985: "right"}[x],
            va={0.5: "center", 0.015: "bottom", 0.985: "top"}[y],
        )


def marked_slices(assessment: VolumeAssessment) -> dict[str, int]:
    """Name and index of the slices that stand for the volume; one that plays two parts is shown once."""
    summary = assessment.summary
    if not summary.worst or summary.median_slice is None or summary.best is None:
        return {}
    if summary.scored == 1:
        return {"only scored": summary.best}
    parts = {"worst": summary.worst[0], "median": summary.median_slice, "best": summary.best}
    if parts["median"] in (parts["worst"], parts["best"]):
        del parts["median"]
    return parts


def maps_to_show(assessment: VolumeAssessment) -> list[AttentionMap]:
    """Two maps of the finest stage: of attention the overview and the closer look, of Grad-CAM both."""
    if not assessment.attention or not assessment.summary.scored:
        return []
    stage = min(one.stage or 0 for one in assessment.attention)
    order = list(MAP_WORDS)
    maps = sorted(
        (one for one in assessment.attention if (one.stage or 0) == stage),
        key=lambda one: order.index(one.name) if one.name in order else len(order),
    )
    return maps if len(maps) < 2 else [maps[0], maps[-1]]


def attention_top(maps: AttentionMap, indices: list[int]) -> float:
    """Upper end of the colour scale for the named slices: their 99th percentile, at least twice an even spread."""
    values = maps.values[indices]
    values = values[np.isfinite(values)]
    return max(2.0, float(np.percentile(values, 99))) if values.size else 2.0


def draw_attention(axes: Axes, volume: Volume, maps: AttentionMap, index: int, top: float) -> AxesImage | None:
    """Lay one attention map over a slice that :func:`draw_slice` drew.

    Even attention (1) and less is transparent; opacity and colour rise from there to ``top``.

    Returns:
        What was laid over it, None where the slice has no attention.
    """
    values = maps.values[index]
    if not np.isfinite(values).any():
        return None
    share = np.clip((np.nan_to_num(values, nan=1.0) - 1.0) / (top - 1.0), 0.0, 1.0)
    colours = ATTENTION.rgb(256)[np.round(share * 255).astype(int)]
    overlay = np.dstack([colours, share * _STRONGEST_ALPHA])
    # Map pixels in slice pixels; both grids are canonical, so the matrix is a scaling and a shift in plane.
    to_pixels = np.linalg.inv(volume.canonical_slices().ijk_to_ras) @ maps.ijk_to_ras
    rows, columns = values.shape
    left, right = (to_pixels[0, 3] + to_pixels[0, 0] * (n - 0.5) for n in (0, columns))
    upper, lower = (to_pixels[1, 3] + to_pixels[1, 1] * (n - 0.5) for n in (0, rows))
    limits = axes.axis()
    laid = axes.imshow(overlay, extent=(left, right, lower, upper), interpolation="bilinear", aspect=axes.get_aspect())
    axes.axis(limits)
    return laid
