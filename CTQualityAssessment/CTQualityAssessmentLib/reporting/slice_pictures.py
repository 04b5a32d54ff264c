"""The slices that stand for a volume as PNG pictures for the web page, each pixel of the scanner one pixel."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from CTQualityAssessmentLib.reporting.slice_panels import (
    MAP_WORDS,
    Crop,
    attention_top,
    draw_attention,
    draw_slice,
    maps_to_show,
    pixel_spacing,
    slices_to_show,
)
from CTQualityAssessmentLib.results import AttentionMap, VolumeAssessment
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 100
#: Smaller slices are enlarged by whole factors until they are this wide, so that their letters can be read.
_LEAST_WIDTH = 260
#: In points: pictures are shown at about two thirds of their size.
LETTERS = 10


@dataclass(frozen=True)
class Picture:
    """A PNG, what it shows in a few words, and its size in pixels."""

    png: bytes
    shows: str
    width: int
    height: int


@dataclass(frozen=True)
class PicturedSlice:
    """Which part a slice plays ("worst"), its index, and its pictures: plain first, then with attention."""

    part: str
    index: int
    pictures: tuple[Picture, ...]


def slice_pictures(volume: Volume, assessment: VolumeAssessment) -> tuple[list[PicturedSlice], float | None]:
    """Worst, median and best slice, or the middle one where none was scored.

    Returns:
        The slices; and where the colour scale of their attention ends, relative to an even spread, None where there is
        no attention.
    """
    shown, crop = slices_to_show(volume, assessment)
    maps = maps_to_show(assessment)
    # One scale for all, so that colours can be compared between pictures.
    top = max((attention_top(one, list(shown.values())) for one in maps), default=None)
    found = [
        PicturedSlice(part, index, tuple(_pictures(volume, index, crop, maps, top or 0.0)))
        for part, index in shown.items()
    ]
    return found, top


def blank_picture(volume: Volume, crop: Crop) -> tuple[FigureCanvasAgg, Axes]:
    """A black picture of the size of ``crop``, each pixel of the scanner one pixel or a whole number of them."""
    rows_mm, columns_mm = pixel_spacing(volume.canonical_slices())
    columns, rows = crop.right - crop.left, crop.bottom - crop.top
    factor = max(1, -(-_LEAST_WIDTH // columns))
    size = (columns * factor / _DPI, rows * factor * rows_mm / columns_mm / _DPI)
    figure = Figure(figsize=size, dpi=_DPI, facecolor="black")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return canvas, axes


def picture_of(canvas: FigureCanvasAgg, shows: str, coloured: bool) -> Picture:
    """What is drawn on ``canvas`` now."""
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    if not coloured:
        image = image.convert("L")
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return Picture(buffer.getvalue(), shows, image.width, image.height)


def _pictures(volume: Volume, index: int, crop: Crop, maps: list[AttentionMap], top: float) -> Iterator[Picture]:
    canvas, axes = blank_picture(volume, crop)
    draw_slice(axes, volume, index, crop, letters=LETTERS)
    yield picture_of(canvas, f"slice {index}", coloured=False)
    for one in maps:
        laid = draw_attention(axes, volume, one, index, top)
        yield picture_of(canvas, MAP_WORDS.get(one.name, one.name), coloured=True)
        if laid is not None:
            laid.remove()
