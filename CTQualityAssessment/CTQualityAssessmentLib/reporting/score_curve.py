"""The score along the patient, as a curve and as a colour band beside a cut through the stack."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.display import display_window
from CTQualityAssessmentLib.colours import QUALITY
from CTQualityAssessmentLib.reporting.slice_panels import (
    Crop,
    patient_letter,
    pixel_spacing,
    write_sides,
)
from CTQualityAssessmentLib.results import FAIR_SCORE, GRADES, MAX_SCORE, VolumeAssessment
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

QUALITY_COLOURS = ListedColormap(QUALITY.rgb(256), name=QUALITY.name)
_REFUSED = {"facecolor": "#e6e6e6", "edgecolor": "#bdbdbd", "hatch": "///", "linewidth": 0}
#: Least distance between two labels beside the cut.
_LABEL_POINTS = 8.0
_REFUSED_LABEL = {"fontsize": 7, "color": "#404040", "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}}


def draw_curve(axes: Axes, assessment: VolumeAssessment, marked: dict[str, int]) -> None:
    """Score against slice with its standard deviation, the 'Fair' line, refused stretches and the marked slices."""
    scores = assessment.scores()
    slices = np.arange(len(scores))
    spread = np.array([np.nan if one.sd is None else one.sd for one in assessment.slices])

    for code, start, end in _refused_stretches(assessment):
        axes.axvspan(start - 0.5, end + 0.5, **_REFUSED, zorder=0)
        if end - start + 1 > 0.03 * len(scores):
            axes.text(
                (start + end) / 2, 0.1, code.replace("-", " "), rotation=90, ha="center", va="bottom", **_REFUSED_LABEL
            )
    lower, upper = np.clip(scores - spread, 0, MAX_SCORE), np.clip(scores + spread, 0, MAX_SCORE)
    axes.fill_between(slices, lower, upper, color="#9a9a9a", alpha=0.3, linewidth=0)
    axes.axhline(FAIR_SCORE, color="#b00020", linewidth=0.9, linestyle=(0, (4, 2)))
    axes.plot(slices, scores, color="#303030", linewidth=0.9)
    # The rim keeps yellow readable on white, and what a dark page makes of it on black.
    rim = {"linewidths": 0.4, "edgecolors": "#303030"}
    axes.scatter(slices, scores, c=scores, cmap=QUALITY_COLOURS, vmin=0, vmax=MAX_SCORE, s=13, zorder=3, **rim)
    for name, index in marked.items():
        axes.annotate(
            name,
            (index, scores[index]),
            (0, 9),
            textcoords="offset points",
            ha="left" if index < 0.05 * len(scores) else "right" if index > 0.95 * len(scores) else "center",
            fontsize=7,
            fontweight="bold",
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "shrinkB": 1},
        )

    axes.set_ylim(-0.1, MAX_SCORE + 0.3)
    axes.set_yticks(range(len(GRADES)), [f"{word}  {n}" for n, (word, _) in enumerate(GRADES)], fontsize=7)
    axes.set_xlim(-0.5 - 0.005 * len(scores), len(scores) - 0.5 + 0.005 * len(scores))
    axes.set_xlabel(slice_axis_label(assessment), fontsize=7, labelpad=1)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    if len(scores) == 1:
        axes.set_xticks([0])
        return
    spacing = float(np.linalg.norm(_stacking(assessment)))
    millimetres = axes.secondary_xaxis("top", functions=(lambda n: n * spacing, lambda mm: mm / spacing))
    millimetres.tick_params(labelsize=6, length=2, colors="#606060")
    millimetres.set_xlabel("mm", fontsize=6, color="#606060", labelpad=1)
    millimetres.spines["top"].set_visible(False)


def draw_cut(axes: Axes, volume: Volume, assessment: VolumeAssessment, crop: Crop, marked: dict[str, int]) -> None:
    """A cut across the slices through the middle of the patient, a colour band of the scores, the marked slices."""
    stack = volume.canonical_slices()
    _, columns_mm = pixel_spacing(stack)
    step_mm = volume.spacing[volume.acquisition_axis]
    image = display_window(volume).apply(stack.hu[:, (crop.top + crop.bottom) // 2, crop.left : crop.right])
    count, columns = image.shape
    width = columns * columns_mm
    band = 0.06 * width
    ends = (-0.5, count - 0.5)
    extent = (0.0, width, ends[1], ends[0])
    axes.set_facecolor("black")
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=extent, aspect=step_mm, interpolation="bilinear")
    scores = np.ma.masked_invalid(assessment.scores())[:, None]
    axes.imshow(
        scores,
        cmap=QUALITY_COLOURS,
        vmin=0,
        vmax=MAX_SCORE,
        extent=(-1.5 * band, -0.5 * band, ends[1], ends[0]),
        aspect=step_mm,
        interpolation="nearest",
    )
    axes.set_xlim(-2 * band, width)
    down = stack.ijk_to_ras[:3, 2]
    upwards = patient_letter(down) in "SAR"  # head, front or right up, as films are hung
    axes.set_ylim(ends if upwards else ends[::-1])
    down = -down if upwards else down
    points_per_slice = 72 * axes.get_position().width * axes.figure.get_figwidth() * step_mm / (width + 2 * band)
    below = -np.inf
    for name, index in sorted(marked.items(), key=lambda item: item[1] if upwards else -item[1]):
        axes.plot([-1.5 * band, width], [index, index], color="white", linewidth=0.5, alpha=0.8)
        height = points_per_slice * (index if upwards else -index)
        below = max(height, below + _LABEL_POINTS)
        axes.annotate(name, (width, index), (3, below - height), textcoords="offset points", va="center", fontsize=6)
    write_sides(axes, stack.ijk_to_ras[:3, 0], down, flat=points_per_slice * count < 5 * _LABEL_POINTS)


def _refused_stretches(assessment: VolumeAssessment) -> list[tuple[str, int, int]]:
    """Runs of slices refused for one reason: code, first and last position."""
    runs = groupby(enumerate(assessment.slices), lambda item: item[1].refusal.code if item[1].refusal else "")
    found = [(code, [n for n, _ in run]) for code, run in runs]
    return [(code, run[0], run[-1]) for code, run in found if code]


def slice_axis_label(assessment: VolumeAssessment) -> str:
    """What the slices are counted along, with the side of the patient at which the first and the last one lie."""
    words = {"R": "right", "L": "left", "A": "anterior", "P": "posterior", "S": "superior", "I": "inferior"}
    towards = _stacking(assessment)
    first, last = words[patient_letter(-towards)], words[patient_letter(towards)]
    return f"{first}  ←  slice, counted from 0  →  {last}"


def _stacking(assessment: VolumeAssessment) -> NDArray[np.float64]:
    """RAS millimetres from one slice to the next."""
    geometry = assessment.geometry
    return np.array(geometry.ijk_to_ras)[:3, geometry.acquisition_axis]
