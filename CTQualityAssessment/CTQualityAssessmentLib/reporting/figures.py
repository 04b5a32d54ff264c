"""``figures.png``: one A4 page that a reader can judge a volume by."""

from __future__ import annotations

import textwrap
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.transforms import Bbox

from CTQualityAssessmentLib.assessment.display import window_words
from CTQualityAssessmentLib.colours import ATTENTION
from CTQualityAssessmentLib.reporting.fact_labels import DISCLAIMER
from CTQualityAssessmentLib.reporting.score_curve import draw_curve, draw_cut
from CTQualityAssessmentLib.reporting.slice_panels import (
    MAP_WORDS,
    Crop,
    attention_top,
    draw_attention,
    draw_slice,
    maps_to_show,
    marked_slices,
    pixel_spacing,
    slices_to_show,
)
from CTQualityAssessmentLib.reporting.words import (
    curve_reading,
    facts_line,
    headline,
    map_reading,
    modality_word,
    spread_reading,
    summary_line,
    told_line,
)
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.volume import Volume

_PAGE_INCHES = (8.27, 11.69)
_DPI = 170
_GREY = "#505050"


def write_figures(path: Path, volume: Volume, assessment: VolumeAssessment) -> None:
    """Draw :func:`draw_page` into a PNG file."""
    figure = draw_page(volume, assessment)
    # No metadata: matplotlib would write its version, which makes equal pages unequal files.
    figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})


def draw_page(volume: Volume, assessment: VolumeAssessment) -> Figure:
    """The page: verdict, score along the patient, a cut through the stack, worst, median and best slice with attention.

    Args:
        volume: the volume that was assessed.
        assessment: what was found; attention is drawn for the finest stage that it holds.
    """
    figure = Figure(figsize=_PAGE_INCHES)
    FigureCanvasAgg(figure)
    marked = marked_slices(assessment)
    shown, crop = slices_to_show(volume, assessment)

    _write_header(figure, assessment)
    top = GridSpec(1, 2, figure, left=0.115, right=0.925, top=0.842, bottom=0.64, width_ratios=(2.3, 1), wspace=0.06)
    draw_curve(figure.add_subplot(top[0]), assessment, marked)
    if volume.slice_count > 1:
        draw_cut(figure.add_subplot(top[1], anchor="E"), volume, assessment, crop, marked)
    _note(
        figure,
        0.604,
        f"{curve_reading(assessment)}{spread_reading(assessment)}. The dashed line is 2, the score of Fair. "
        "Hatched: refused, no score. Right: a cut through the middle of the patient with the scores as a colour band.",
    )
    _draw_slices(figure, volume, assessment, shown, crop)
    _write_footer(figure, assessment)
    return figure


def _write_header(figure: Figure, assessment: VolumeAssessment) -> None:
    figure.text(0.06, 0.962, f"{modality_word(assessment)} image quality", fontsize=9, color=_GREY)
    title, meaning = headline(assessment)
    figure.text(0.06, 0.938, title, fontsize=19, fontweight="bold", va="center")
    figure.text(0.06, 0.914, meaning, fontsize=9.5, va="center")
    figure.text(0.06, 0.895, summary_line(assessment), fontsize=8, va="center", color=_GREY)
    figure.text(0.06, 0.879, told_line(assessment) or facts_line(assessment), fontsize=8, va="center", color=_GREY)
    if assessment.partial:
        figure.text(
            0.94,
            0.94,
            "PARTIAL: the run was cancelled",
            fontsize=10,
            fontweight="bold",
            color="white",
            ha="right",
            va="center",
            bbox={"facecolor": "#b00020", "edgecolor": "none", "boxstyle": "round,pad=0.4"},
        )


def _draw_slices(
    figure: Figure, volume: Volume, assessment: VolumeAssessment, shown: dict[str, int], crop: Crop
) -> None:
    maps = maps_to_show(assessment)
    rows_mm, columns_mm = pixel_spacing(volume.canonical_slices())
    tallness = (crop.bottom - crop.top) * rows_mm / ((crop.right - crop.left) * columns_mm)
    left, right, top, floor = 0.06, 0.90, 0.55, 0.125
    # As tall as the slices are at full width, but never taller than the page has room for.
    width = (right - left) / 3 * _PAGE_INCHES[0]
    height = (1 + len(maps)) * width * tallness / _PAGE_INCHES[1]
    bottom = max(floor, top - height)
    edges = {"left": left, "right": right, "top": top, "bottom": bottom}
    grid = GridSpec(1 + len(maps), 3, figure, **edges, wspace=0.02, hspace=0.02)
    for column, (name, index) in enumerate(shown.items()):
        axes = figure.add_subplot(grid[0, column])
        draw_slice(axes, volume, index, crop)
        axes.set_title(_slice_title(name, assessment, index), fontsize=8, pad=3, linespacing=1.25)
        for row, one in enumerate(maps, start=1):
            below = figure.add_subplot(grid[row, column])
            draw_slice(below, volume, index, crop)
            scale_top = attention_top(one, list(shown.values()))
            draw_attention(below, volume, one, index, scale_top)
            if column == 0:
                below.set_ylabel(MAP_WORDS.get(one.name, one.name), fontsize=8)
                _attention_scale(figure, grid[row, :].get_position(figure), scale_top)
    text = f"{window_words(volume)}; patient's sides at the edges."
    if maps:
        text += f" Colour: {map_reading(maps[0])}"
    _note(figure, bottom - 0.012, text)


def _slice_title(name: str, assessment: VolumeAssessment, index: int) -> str:
    one = assessment.slices[index]
    if one.score is None:
        return f"{name} slice\nslice {index}, no score ({one.refusal.code if one.refusal else 'unknown'})"
    spread = "" if one.sd is None else f", SD {one.sd:.1f}"
    return f"{name} slice\nslice {index}, score {one.score:.1f} ({one.grade}){spread}"


def _attention_scale(figure: Figure, row: Bbox, top: float) -> None:
    colours = ListedColormap(ATTENTION.rgb(256), name=ATTENTION.name)
    height = row.height * 0.7
    axes = figure.add_axes((row.x1 + 0.008, row.y0 + (row.height - height) / 2, 0.012, height))
    bar = figure.colorbar(ScalarMappable(Normalize(1.0, top), colours), cax=axes)
    bar.set_ticks([1.0, (1.0 + top) / 2, top], labels=["1", f"{(1.0 + top) / 2:.1f}", f"≥ {top:.1f}"])
    bar.ax.tick_params(labelsize=6.5, length=2)
    bar.outline.set_linewidth(0.4)


def _note(figure: Figure, y: float, text: str) -> None:
    figure.text(0.06, y, textwrap.fill(text, 158), fontsize=6.8, color=_GREY, style="italic", va="top", linespacing=1.3)


def _write_footer(figure: Figure, assessment: VolumeAssessment) -> None:
    model = assessment.model
    lines = [
        textwrap.fill(f"{model.statement} {DISCLAIMER}", 118),
        f"Model {model.name} {model.version}, weights {model.sha256[:12]}, window {model.window}, {assessment.device}.",
    ]
    figure.text(0.06, 0.03, "\n".join(lines), fontsize=7.5, va="bottom", linespacing=1.35, fontweight="bold")
