"""The charts of the web page as SVG: score beside noise, dose and size along the patient, and the noise spectrum."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from CTQualityAssessmentLib.measures import NoisePowerSpectrum, PhysicalMeasures
from CTQualityAssessmentLib.reporting.score_curve import draw_curve, slice_axis_label
from CTQualityAssessmentLib.reporting.slice_panels import marked_slices
from CTQualityAssessmentLib.results import VolumeAssessment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Text stays text, for readers who search, copy or enlarge it; equal charts are equal files.
_SVG = {"svg.fonttype": "none", "svg.hashsalt": "ctqa", "font.size": 8}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_WIDTH_INCHES = 7.4
#: Charts that need the headers, and what these would have to give.
_FROM_HEADERS = {"dose": "CTDIvol", "tube current": "tube current for each slice"}


@dataclass(frozen=True)
class _Line:
    """One line along the patient: what it is called where two share an axis, colour, and a value for each slice."""

    name: str
    colour: str
    values: NDArray[np.float64]
    style: str = "-"


def profile_svg(assessment: VolumeAssessment, measures: PhysicalMeasures | None) -> tuple[str, list[str]]:
    """The chart of :func:`draw_profile` as an SVG document, and what it does not show, with the reason."""
    figure, left_out = draw_profile(assessment, measures)
    return _svg(figure), left_out


def draw_profile(assessment: VolumeAssessment, measures: PhysicalMeasures | None) -> tuple[Figure, list[str]]:
    """The score's curve over those of noise, dose and size, one above the other.

    Returns:
        The figure, and a sentence for each curve that is not there because no slice has such a figure.
    """
    panels, left_out = _panels(assessment, measures)
    heights = [1.9, *[1.0] * len(panels)]
    height = sum(heights) + 0.5
    figure = Figure(figsize=(_WIDTH_INCHES, height))
    FigureCanvasAgg(figure)
    # Fixed margins, in inches: to find them all text would have to be laid out several times, for each page of a batch.
    edges = {
        "left": 0.85 / _WIDTH_INCHES,
        "right": 1 - 0.08 / _WIDTH_INCHES,
        "bottom": 0.42 / height,
        "top": 1 - 0.36 / height,
    }
    grid = {"height_ratios": heights, "hspace": 0.2, **edges}
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, gridspec_kw=grid)[:, 0]
    draw_curve(axes[0], assessment, marked_slices(assessment))
    axes[0].set_xlabel("")
    for below, (label, lines) in zip(axes[1:], panels, strict=True):
        _draw_lines(below, label, lines, from_least="mm" in label)
    axes[-1].set_xlabel(slice_axis_label(assessment), fontsize=8)
    if len(assessment.slices) > 1:
        axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for below in axes[1:]:
        below.yaxis.set_label_coords(-0.055, 0.5)
    return figure, left_out


def spectrum_svg(measures: PhysicalMeasures) -> str | None:
    """The volume's noise power spectrum as an SVG document; None where it was not measured."""
    spectrum, volume = measures.volume.noise_power, measures.volume
    if spectrum is None:
        return None
    figure, axes = _spectrum_axes()
    axes.plot(spectrum.frequency_per_mm, spectrum.power, ".-", color="#7a3e00", linewidth=1.1, markersize=4)
    top = max(spectrum.power)
    marks = (("mean", volume.nps_mean_per_mm, "-"), ("peak", volume.nps_peak_per_mm, "--"))
    for height, (name, value, style) in zip((1.16, 1.03), marks, strict=True):
        if value is not None:
            axes.axvline(value, color="#606060", linewidth=0.8, linestyle=style)
            axes.text(value, height * top, f" {name} {value:.2f}/mm", fontsize=7, color="#404040", va="bottom")
    axes.set_ylim(0, 1.3 * top)
    axes.set_xlim(0, spectrum.frequency_per_mm[-1])
    _plain(axes)
    return _svg(figure)


def spectra_svg(spectra: dict[str, NoisePowerSpectrum | None]) -> str | None:
    """Noise power spectra by what they are called, in one chart as an SVG document; None without one."""
    there = {name: one for name, one in spectra.items() if one is not None}
    if not there:
        return None
    figure, axes = _spectrum_axes()
    for (name, one), (colour, style) in zip(there.items(), (("#7a3e00", ".-"), ("#0b57a4", ".--")), strict=False):
        axes.plot(one.frequency_per_mm, one.power, style, color=colour, linewidth=1.1, markersize=4, label=name)
    axes.set_ylim(0, 1.1 * max(max(one.power) for one in there.values()))
    axes.set_xlim(0, max(one.frequency_per_mm[-1] for one in there.values()))
    axes.legend(fontsize=7, frameon=False)
    _plain(axes)
    return _svg(figure)


def _spectrum_axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(3.8, 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_xlabel("spatial frequency (1/mm)", fontsize=8)
    axes.set_ylabel("NPS (HU² mm²)", fontsize=8)
    return figure, axes


def _panels(
    assessment: VolumeAssessment, measures: PhysicalMeasures | None
) -> tuple[list[tuple[str, list[_Line]]], list[str]]:
    """Label and lines of each chart under the score's, and why others are missing."""

    def measured(name: str) -> NDArray[np.float64]:
        return _values(measures.slices if measures else (), name)

    wanted = (
        ("Noise (HU)", "noise", [_Line("", "#7a3e00", measured("noise_hu"))]),
        (
            "Dose (mGy)",
            "dose",
            [
                _Line("CTDIvol", "#5b2a86", _values(assessment.slices, "ctdivol_mgy")),
                _Line("SSDE", "#5b2a86", measured("ssde_mgy"), ":"),
            ],
        ),
        ("Tube current\n(mA)", "tube current", [_Line("", "#8a1c4a", _values(assessment.slices, "tube_current_ma"))]),
        (
            "Water-equivalent\ndiameter (mm)",
            "size",
            [_Line("", "#1f4e79", measured("water_equivalent_diameter_mm"))],
        ),
    )
    panels, left_out = [], []
    for label, what, lines in wanted:
        there = [line for line in lines if np.isfinite(line.values).any()]
        if len(there) == 1 < len(lines):
            label = label.replace("Dose", there[0].name)
        if there:
            panels.append((label, there))
        else:
            left_out.append(f"{what} ({_why_not(what, measures)})")
    return panels, left_out


def _why_not(what: str, measures: PhysicalMeasures | None) -> str:
    """Why no slice has a figure for this chart, in the words that go into brackets."""
    if what in _FROM_HEADERS:
        return f"the headers give no {_FROM_HEADERS[what]}"
    if measures is None:
        return "it was not measured"
    name = "noise_hu" if what == "noise" else "water_equivalent_diameter_mm"
    # The volume may have a figure, of all slices together, that no slice has alone.
    reason = measures.reasons[next(one.missing[name] for one in measures.slices if name in one.missing)]
    return reason[0].lower() + reason[1:].rstrip(".")


def _values(slices: tuple[object, ...], name: str) -> NDArray[np.float64]:
    found = [getattr(one, name) for one in slices]
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def _draw_lines(axes: Axes, label: str, lines: list[_Line], from_least: bool) -> None:
    for line in lines:
        index = np.arange(len(line.values))
        axes.plot(
            index,
            line.values,
            line.style,
            color=line.colour,
            linewidth=1.1,
            marker=".",
            markersize=3.5,
            label=line.name or None,
        )
    if len(lines) > 1:
        axes.legend(fontsize=7, frameon=False, ncols=2, loc="lower right", borderpad=0.2)
    axes.set_ylabel(label, fontsize=8)
    low, high = (f([f(line.values) for line in lines]) for f in (np.nanmin, np.nanmax))
    # From zero, so that a twofold value is twice as high; a diameter, which never comes near zero, from its least.
    axes.set_ylim(low - 0.1 * high if from_least else 0, 1.15 * high)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.tick_params(labelsize=7, length=2)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.3, color="#d0d0d0")


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with rc_context(_SVG):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    return buffer.getvalue()
