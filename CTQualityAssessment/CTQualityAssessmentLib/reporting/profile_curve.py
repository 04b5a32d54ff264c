"""Score, noise and size along the patient, one above the other, as a PNG for the web page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.results import FAIR_SCORE, MAX_SCORE, VolumeAssessment

_ROWS = (
    ("noise_hu", "Noise (HU)", "#7a3e00"),
    ("water_equivalent_diameter_mm", "Water-equivalent\ndiameter (mm)", "#1f4e79"),
    ("ssde_mgy", "SSDE (mGy)", "#5b2a86"),
)


def write_profile(path: Path, measures: PhysicalMeasures, assessment: VolumeAssessment) -> None:
    """Draw :func:`draw_profile` into a PNG file."""
    draw_profile(measures, assessment).savefig(path, format="png", dpi=130, metadata={"Software": None})


def draw_profile(measures: PhysicalMeasures, assessment: VolumeAssessment) -> Figure:
    """The score's curve over the curves of noise, size and dose; a figure that no slice has is left out."""
    rows = [row for row in _ROWS if any(getattr(one, row[0]) is not None for one in measures.slices)]
    figure = Figure(figsize=(8.2, 1.6 * (1 + len(rows)) + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1 + len(rows), 1, sharex=True, squeeze=False)[:, 0]
    index = np.arange(len(measures.slices))
    panels[0].axhline(FAIR_SCORE, color="#b00020", linewidth=0.9, linestyle=(0, (4, 2)))
    panels[0].plot(index, assessment.scores(), ".-", color="#303030", linewidth=0.9, markersize=3)
    panels[0].set_ylim(-0.1, MAX_SCORE + 0.1)
    panels[0].set_ylabel("Score (0-4)", fontsize=8)
    for axes, (name, label, colour) in zip(panels[1:], rows, strict=True):
        values = [getattr(one, name) for one in measures.slices]
        axes.plot(index, [np.nan if v is None else v for v in values], ".-", color=colour, linewidth=0.9, markersize=3)
        axes.set_ylabel(label, fontsize=8)
        axes.margins(y=0.15)
    for axes in panels:
        axes.tick_params(labelsize=7, length=2)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", linewidth=0.3, color="#d0d0d0")
    panels[-1].set_xlabel("slice, counted from 0 along the acquisition axis", fontsize=8)
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    return figure
