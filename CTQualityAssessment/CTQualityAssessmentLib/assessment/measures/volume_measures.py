"""All measures of a volume: every slice on its own, the volume from what the slices found."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.measures.contrast import contrast_to_noise, signal_to_noise
from CTQualityAssessmentLib.assessment.measures.noise import most_frequent_sd, noise_histogram
from CTQualityAssessmentLib.assessment.measures.nps import (
    FEWEST_REGIONS,
    noise_power,
    radial_spectrum,
    uniform_regions,
)
from CTQualityAssessmentLib.assessment.measures.sharpness import edge_distance
from CTQualityAssessmentLib.assessment.measures.size import FITTED_MM, size_specific_dose, water_equivalent_diameter
from CTQualityAssessmentLib.assessment.measures.slice_grid import SliceGrid, slice_grid
from CTQualityAssessmentLib.assessment.measures.streaks import air_noise
from CTQualityAssessmentLib.assessment.measures.tissues import tissue_masks, tissue_measures
from CTQualityAssessmentLib.assessment.slices import SMALLEST_BODY
from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.measures import (
    FIGURES,
    REASONS,
    TISSUES,
    NoisePowerSpectrum,
    PhysicalMeasures,
    SliceMeasures,
    TissueMeasure,
    VolumeMeasures,
)
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import Volume

_ = marks_of(__file__)

#: The skin's edge costs as much as all else together and changes little along the patient: at most this many slices.
_MOST_EDGES = 64
#: Words of BodyPartExamined for which the dose factors are; "BODY" is also in WHOLEBODY.
_TRUNK = ("CHEST", "THORA", "LUNG", "HEART", "ABDOM", "PELVI", "LIVER", "KIDNEY", "TRUNK", "BODY", "TSPINE", "LSPINE")
#: Figures that are lengths or frequencies.
_NEED_SPACING = (
    "nps_peak_per_mm",
    "nps_mean_per_mm",
    "edge_10_90_mm",
    "water_equivalent_diameter_mm",
    "ssde_mgy",
)


@dataclass
class _Found:
    """What one slice gives to its own figures and to the volume's."""

    figures: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    tissues: dict[str, TissueMeasure] = field(default_factory=dict)
    histogram: NDArray[np.int64] | None = None
    power: NDArray[np.float64] | None = None
    regions: int = 0


def measure_volume(
    volume: Volume, *, progress: Progress = no_progress, cancelled: Cancelled = never
) -> PhysicalMeasures:
    """Measures every slice along the volume's acquisition axis; numpy and scipy only, on all cores.

    Args:
        volume: in HU.
        progress: called with (slices done, slices, message) on the calling thread.
        cancelled: asked between batches; True returns what is there, marked partial.

    Returns:
        Every figure of :class:`SliceMeasures` or the reason why it could not be measured. The skin's edge is measured
        on every k-th slice, at most 64 of them; the others have the reason "not-sampled".
    """
    started = time.monotonic()
    count = volume.slice_count
    slices = volume.canonical_slices()
    spacing = np.linalg.norm(slices.ijk_to_ras[:3, :2], axis=0)
    row_column_mm = (float(spacing[1]), float(spacing[0]))
    every = -(-count // _MOST_EDGES)
    found: list[_Found] = [_nothing("not-run") for _ in range(count)]
    workers = _cores()
    partial = False
    progress(0, count, _("Measuring slices"))
    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, count, 4 * workers):
            if cancelled():
                partial = True
                break
            batch = range(first, min(first + 4 * workers, count))
            done = pool.map(lambda k: _measure_slice(volume, slices.hu[k], k, row_column_mm, k % every == 0), batch)
            found[batch.start : batch.stop] = list(done)
            progress(batch.stop, count, _("Measuring slices"))
    measured = _of_volume(found, row_column_mm)
    codes = sorted({code for one in (measured, *found) for code in one.missing.values()})
    return PhysicalMeasures(
        volume=measured,
        slices=tuple(
            SliceMeasures(k, volume.slice_centre_ras(k), **one.figures, tissues=one.tissues, missing=one.missing)
            for k, one in enumerate(found)
        ),
        reasons={code: REASONS[code] for code in codes},
        notes=(_dose_note(volume),) if measured.ssde_mgy is not None else (),
        seconds=round(time.monotonic() - started, 3),
        partial=partial,
    )


def _measure_slice(
    volume: Volume, hu: NDArray[np.generic], index: int, spacing_mm: tuple[float, float], with_edge: bool
) -> _Found:
    if volume.facts.modality not in (None, "CT"):
        return _nothing("not-ct")
    grid = slice_grid(hu, spacing_mm)
    if grid is None:
        return _nothing("too-small")
    if grid.body.mean() < SMALLEST_BODY:
        return _nothing("no-body")
    found = _Found()
    _measure_noise(found, grid)
    if volume.units == "HU":
        _measure_edge(found, grid, with_edge)
        _measure_size(found, grid, volume, index)
    else:
        found.power, found.regions = None, 0
        for name in _NEED_SPACING:
            found.figures.pop(name, None)
            found.missing[name] = "no-spacing"
    return found


def _measure_noise(found: _Found, grid: SliceGrid) -> None:
    """Noise, tissues, their ratios, the noise's spectrum and streaks."""
    found.histogram = noise_histogram(grid)
    found.tissues = tissue_measures(grid, tissue_masks(grid))
    noise = most_frequent_sd(found.histogram)
    if noise is None:
        names = ("noise_hu", "snr", "cnr", "nps_peak_per_mm", "nps_mean_per_mm", "streak_index")
        found.missing |= dict.fromkeys(names, "no-soft-tissue")
        return
    found.figures["noise_hu"] = noise
    _keep(found, "snr", signal_to_noise(found.tissues, noise), "no-tissue")
    _keep(found, "cnr", contrast_to_noise(found.tissues, noise), "no-tissue")
    regions = uniform_regions(grid, noise)
    found.regions = len(regions)
    spectrum = None
    if found.regions:
        found.power = noise_power(regions, grid.spacing_mm)
        spectrum = radial_spectrum(found.power, grid.spacing_mm, found.regions)
    enough = spectrum is not None and found.regions >= FEWEST_REGIONS
    _keep(found, "nps_peak_per_mm", spectrum.peak_per_mm if enough else None, _no_spectrum(enough))
    _keep(found, "nps_mean_per_mm", spectrum.mean_per_mm if enough else None, _no_spectrum(enough))
    air, reason = air_noise(grid)
    _keep(found, "streak_index", None if air is None else air / noise, reason or "")


def _no_spectrum(enough: bool) -> str:
    return "no-peak" if enough else "no-uniform-region"


def _measure_edge(found: _Found, grid: SliceGrid, wanted: bool) -> None:
    value = edge_distance(grid) if wanted else None
    _keep(found, "edge_10_90_mm", value, "no-free-skin" if wanted else "not-sampled")


def _measure_size(found: _Found, grid: SliceGrid, volume: Volume, index: int) -> None:
    """Water-equivalent diameter and the dose that goes with it."""
    normal = volume.canonical_slices().ijk_to_ras[:3, 2]
    reason = None
    if abs(normal[2]) < 0.7 * np.linalg.norm(normal):
        reason = "not-axial"
    elif grid.reaches_beyond_field():
        reason = "beyond-field"
    if reason:
        found.missing |= {"water_equivalent_diameter_mm": reason, "ssde_mgy": reason}
        return
    diameter = water_equivalent_diameter(grid)
    found.figures["water_equivalent_diameter_mm"] = diameter
    dose, part = _ctdivol(volume, index), (volume.facts.body_part or "").upper()
    phantom = volume.facts.ctdi_phantom_cm
    if dose is None:
        found.missing["ssde_mgy"] = "no-ctdivol"
    elif any(word in part for word in ("HEAD", "BRAIN", "SKULL")):
        found.missing["ssde_mgy"] = "head"
    elif not any(word in part for word in _TRUNK):
        found.missing["ssde_mgy"] = "not-trunk"
    elif phantom is None:
        found.missing["ssde_mgy"] = "no-phantom"
    elif not FITTED_MM[0] <= diameter <= FITTED_MM[1]:
        found.missing["ssde_mgy"] = "outside-fit"
    else:
        found.figures["ssde_mgy"] = size_specific_dose(dose, diameter, round(phantom))


def _ctdivol(volume: Volume, index: int) -> float | None:
    """CTDIvol in mGy of one slice as its own header says it; of the scan where the slices have no headers."""
    return volume.exposures[index].ctdivol_mgy if volume.exposures else volume.facts.ctdivol_mgy


def _dose_note(volume: Volume) -> str:
    values = {_ctdivol(volume, k) for k in range(volume.slice_count)} - {None}
    which = _("each slice's own CTDIvol") if len(values) > 1 else _("one CTDIvol for all slices")
    return _("SSDE takes {which}, which refers to the {diameter:g} cm phantom.").format(
        which=which, diameter=volume.facts.ctdi_phantom_cm
    )


def _of_volume(found: Sequence[_Found], spacing_mm: tuple[float, float]) -> VolumeMeasures:
    """The volume's figures; see :class:`VolumeMeasures` for which is what."""
    figures: dict[str, float | None] = {}
    for name in ("edge_10_90_mm", "streak_index"):
        values = [one.figures[name] for one in found if name in one.figures]
        figures[name] = float(np.median(values)) if values else None
    for name in ("water_equivalent_diameter_mm", "ssde_mgy"):
        values = [one.figures[name] for one in found if name in one.figures]
        figures[name] = float(np.mean(values)) if values else None

    tissues = {name: together for name in TISSUES if (together := _pooled(found, name)) is not None}
    histograms = [one.histogram for one in found if one.histogram is not None]
    noise = most_frequent_sd(np.sum(histograms, axis=0)) if histograms else None
    figures["noise_hu"] = noise
    figures["snr"] = signal_to_noise(tissues, noise)
    figures["cnr"] = contrast_to_noise(tissues, noise)

    regions = sum(one.regions for one in found)
    spectrum = None
    if regions >= FEWEST_REGIONS:
        powers = [one.power * one.regions for one in found if one.power is not None]
        spectrum = radial_spectrum(np.sum(powers, axis=0) / regions, spacing_mm, regions)
    figures["nps_peak_per_mm"] = spectrum.peak_per_mm if spectrum else None
    figures["nps_mean_per_mm"] = spectrum.mean_per_mm if spectrum else None
    return VolumeMeasures(
        **figures,
        tissues=tissues,
        noise_power=spectrum
        and NoisePowerSpectrum(
            tuple(spectrum.frequency_per_mm.tolist()), tuple(spectrum.power.tolist()), spectrum.regions
        ),
        slices_measured={name: sum(name in one.figures for one in found) for name in FIGURES},
        slice_percentiles={name: limits for name in FIGURES if (limits := _percentiles(found, name)) is not None},
        missing={
            name: "no-peak" if spectrum and name.startswith("nps") else _commonest_reason(found, name)
            for name in FIGURES
            if figures[name] is None
        },
    )


def _pooled(found: Sequence[_Found], name: str) -> TissueMeasure | None:
    """One tissue over all slices, each slice by its area."""
    parts = [one.tissues[name] for one in found if name in one.tissues]
    area = sum(part.area_mm2 for part in parts)
    if not parts:
        return None
    mean = sum(part.mean_hu * part.area_mm2 for part in parts) / area
    square = sum((part.sd_hu**2 + part.mean_hu**2) * part.area_mm2 for part in parts) / area
    return TissueMeasure(mean, float(np.sqrt(max(square - mean**2, 0.0))), area)


def _percentiles(found: Sequence[_Found], name: str) -> tuple[float, float] | None:
    values = [one.figures[name] for one in found if name in one.figures]
    return tuple(np.percentile(values, (10, 90)).tolist()) if values else None


def _commonest_reason(found: Sequence[_Found], name: str) -> str:
    return Counter(one.missing[name] for one in found if name in one.missing).most_common(1)[0][0]


def _nothing(reason: str) -> _Found:
    return _Found(missing=dict.fromkeys(FIGURES, reason))


def _keep(found: _Found, name: str, value: float | None, reason: str) -> None:
    if value is None:
        found.missing[name] = reason
    else:
        found.figures[name] = value


def _cores() -> int:
    """Cores that this process may use, at most 8: more threads than that wait for each other."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, 8)
