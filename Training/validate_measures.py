"""Holds every physical measure against a simulation in which the truth is known, and prints the errors.

    python -m Training.validate_measures [--size 256] [--phantom-size 448] [--real]

Water disc: noise against two readings of the same object, texture against the noise power spectrum of those readings,
water-equivalent diameter against the disc's own, SSDE against the tables of AAPM Report 204. Discs with inserts:
contrast, tissue means and their noise against what was put in, sharpness against a known Gaussian blur. Abdomen
phantom: noise, tissues and diameter with anatomy in the way, and the streak index by dose and views. With ``--real``,
the public CT of the development data instead: noise against the figure of their manifest, which was measured by another
method, and all other measures for looking at.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.measures import FIGURES, VolumeMeasures
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from numpy.typing import NDArray
from scipy import ndimage

from Training.data.sources import data_folder
from Training.phantom import Tissue, abdomen_phantom
from Training.simulation.ct import simulate_ladder, simulate_slice
from Training.simulation.theory import radial_nps, water_disc

_SOFT = (Tissue.MUSCLE, Tissue.LIVER, Tissue.SPLEEN, Tissue.KIDNEY_CORTEX, Tissue.KIDNEY_MEDULLA, Tissue.PANCREAS)
_DISC_MM = 250.0
_TISSUE_HU = {"air": -1000.0, "lung": -800.0, "fat": -100.0, "muscle": 50.0, "bone": 600.0}
#: Conversion factors of AAPM Report 204 for a diameter of 25 cm, as its tables 1D and 2D print them, by phantom in cm.
_REPORT_204_AT_25_CM = {32: 1.48, 16: 0.71}


def measured(slices: list[NDArray[np.floating]], spacing_mm: float, **facts: Any) -> VolumeMeasures:
    """The measures of axial slices."""
    matrix = np.diag([-spacing_mm, -spacing_mm, 5.0, 1.0])
    return measure_volume(
        Volume(np.stack(slices).astype(np.float32), matrix, 2, AcquisitionFacts("CT", **facts))
    ).volume


def local_noise(one: NDArray[np.floating], two: NDArray[np.floating], spacing_mm: float) -> NDArray[np.float64]:
    """Noise in HU around every pixel (6 mm) from two readings of the same object, free of anatomy."""
    width = max(3, round(6 / spacing_mm))
    squares = ndimage.uniform_filter((one.astype(np.float64) - two) ** 2 / 2, width)
    return np.sqrt(np.maximum(squares, 0.0))


def row(measure: str, case: str, found: float | None, truth: float) -> None:
    """One line of the table."""
    shown = "n/a | -" if found is None else f"{found:.3g} | {100 * (found / truth - 1):+.1f} %"
    print(f"| {measure} | {case} | {truth:.3g} | {shown} |", flush=True)


def check_disc(size: int) -> None:
    """Noise, texture and diameter in water."""
    spacing = 1.28 * _DISC_MM / size
    disc = water_disc(size, spacing, _DISC_MM)
    axis = (np.arange(size) - (size - 1) / 2) * spacing
    inside = np.hypot(axis[:, None], axis) < _DISC_MM / 2 - 10
    for kernel, doses in (("hann", (1.0, 0.1)), ("ramp", (0.25,))):
        one, two = (
            simulate_ladder(disc, spacing, doses=doses, views=(720,), seed=seed, kernel=kernel) for seed in (1, 2)
        )
        for dose in doses:
            case = f"water disc, {kernel}, {dose:.0%} dose"
            a, b = one[dose, 720], two[dose, 720]
            found = measured([a, b], spacing)
            row("noise (HU)", case, found.noise_hu, float(np.median(local_noise(a, b, spacing)[inside])))
            # Larger regions than the measure's own: their finer bins make a better truth.
            tile = size // 4
            starts = range(0, size - tile, tile // 4)
            noise = (a - b) / np.sqrt(2)
            tiles = [noise[y : y + tile, x : x + tile] for y in starts for x in starts if _all(inside, y, x, tile)]
            frequency, power = radial_nps(np.stack(tiles), spacing, bins=tile // 2)
            row("NPS mean (1/mm)", case, found.nps_mean_per_mm, float((frequency * power).sum() / power.sum()))
            row("NPS peak (1/mm)", case, found.nps_peak_per_mm, float(frequency[np.argmax(power)]))
            row("Dw (mm)", case, found.water_equivalent_diameter_mm, _DISC_MM)
            for phantom_cm, factor in _REPORT_204_AT_25_CM.items():
                dosed = measured([a, b], spacing, body_part="ABDOMEN", ctdivol_mgy=10.0, ctdi_phantom_cm=phantom_cm)
                row("SSDE (mGy)", f"{case}, CTDIvol 10 mGy of {phantom_cm} cm", dosed.ssde_mgy, 10.0 * factor)


def check_tissues(size: int) -> None:
    """Mean and noise of all tissues, SNR and CNR, in a reconstructed disc of muscle in fat with lung and bone in it."""
    spacing = 1.28 * _DISC_MM / size
    axis = (np.arange(size) - (size - 1) / 2) * spacing
    y, x = axis[:, None], axis[None, :]
    radius = np.hypot(y, x)
    places = {
        "air": radius > _DISC_MM / 2,
        "fat": (radius > 95) & (radius <= _DISC_MM / 2),
        "lung": np.hypot(y, x - 45) < 28,
        "bone": np.hypot(y, x + 50) < 14,
    }
    places["muscle"] = ~np.any(list(places.values()), axis=0)
    scene = sum(_TISSUE_HU[name] * place for name, place in places.items()).astype(np.float32)
    for dose in (1.0, 0.25):
        a, b = (
            simulate_ladder(scene, spacing, doses=(dose,), views=(720,), seed=seed, kernel="hann")[dose, 720]
            for seed in (7, 8)
        )
        found, noise, case = (
            measured([a, b], spacing),
            local_noise(a, b, spacing),
            f"disc with inserts, {dose:.0%} dose",
        )
        sd = {}
        for name, place in places.items():
            deep = ndimage.binary_erosion(place, iterations=max(3, round(7 / spacing)))
            if name == "air":  # in view, and as far from the skin as the measure stays
                deep &= (radius > _DISC_MM / 2 + 15) & (radius < 0.62 * _DISC_MM)
            sd[name] = float(np.sqrt((noise[deep] ** 2).mean()))
            one = found.tissues.get(name)
            shown = "n/a" if one is None else f"{one.mean_hu:.1f} HU, {one.mean_hu - _TISSUE_HU[name]:+.1f} HU"
            print(f"| mean of {name} | {case} | {_TISSUE_HU[name]:.0f} HU | {shown.replace(', ', ' | ')} |")
            row(f"SD of {name} (HU)", case, None if one is None else one.sd_hu, sd[name])
        row("SNR", case, found.snr, _TISSUE_HU["muscle"] / sd["muscle"])
        row("CNR", case, found.cnr, (_TISSUE_HU["muscle"] - _TISSUE_HU["fat"]) / sd["muscle"])


def check_contrast(size: int) -> None:
    """CNR, tissue means and sharpness of a disc of muscle in a ring of fat, white noise and Gaussian blur added."""
    spacing, noise = 1.28 * _DISC_MM / size, 15.0
    fine = 3
    axis = (np.arange(size * fine) - (size * fine - 1) / 2) * spacing / fine
    radius = np.hypot(axis[:, None], axis)
    scene = np.where(radius < 90, 50.0, np.where(radius < _DISC_MM / 2, -100.0, -1000.0)).astype(np.float32)
    for blur in (0.6, 1.0, 1.6):
        clean = ndimage.gaussian_filter(scene, blur * fine / spacing)[fine // 2 :: fine, fine // 2 :: fine]
        found = measured([clean + np.random.default_rng(3).normal(0, noise, clean.shape)], spacing)
        row("edge 10-90 % (mm)", f"Gaussian blur, SD {blur:g} mm", found.edge_10_90_mm, 2.563 * blur)
    row("CNR", f"150 HU in noise of {noise:g} HU", found.cnr, 150 / noise)
    row("SNR", f"50 HU in noise of {noise:g} HU", found.snr, 50 / noise)
    row("fat (HU)", "ring of fat", found.tissues["fat"].mean_hu, -100.0)
    row("muscle (HU)", "disc of muscle", found.tissues["muscle"].mean_hu, 50.0)


def check_phantom(size: int) -> None:
    """Noise, tissues, diameter and streaks in an abdomen."""
    spacing = 384 / size
    phantom = abdomen_phantom(2, slices=5, size=size, spacing_mm=spacing)
    hu, labels = phantom.hu[3], phantom.labels[3]
    body = ndimage.binary_fill_holes(labels > Tissue.TABLE)
    near = ndimage.binary_dilation(body, iterations=3) & (labels != Tissue.TABLE)
    diameter = 2 * np.sqrt((1 + hu[near] / 1000).sum() * spacing**2 / np.pi)
    soft = ndimage.binary_erosion(np.isin(labels, _SOFT), iterations=2)
    streaks = {}
    for dose in (1.0, 0.25, 0.1):
        ladder = simulate_ladder(hu, spacing, doses=(dose,), views=(720, 360, 180), seed=5)
        again = simulate_slice(hu, spacing, dose=dose, views=720, seed=6)
        found = {views: measured([ladder[dose, views]], spacing) for views in (720, 360, 180)}
        case = f"phantom, {dose:.0%} dose"
        full = found[720]
        row("noise (HU)", case, full.noise_hu, float(np.median(local_noise(ladder[dose, 720], again, spacing)[soft])))
        row("Dw (mm)", case, full.water_equivalent_diameter_mm, float(diameter))
        fat = ndimage.binary_erosion(labels == Tissue.SUBCUTANEOUS_FAT, iterations=2)
        row("fat (HU)", case, full.tissues["fat"].mean_hu, float(hu[fat].mean()))
        streaks[dose] = {views: one.streak_index for views, one in found.items()}
    print("\n| streak index | 720 views | 360 views | 180 views |\n|---|---|---|---|")
    for dose, by_views in streaks.items():
        cells = " | ".join("n/a" if value is None else f"{value:.2f}" for value in by_views.values())
        print(f"| {dose:.0%} dose | {cells} |")


def check_real() -> None:
    """The public CT of the development data."""
    folder = data_folder()
    print("\n| volume | ms a slice | noise, manifest | " + " | ".join(FIGURES) + " |")
    print("|---" * (len(FIGURES) + 3) + "|")
    for entry in json.loads((folder / "manifest.json").read_text(encoding="utf-8")):
        path = folder / entry["file"]
        if not entry["file"].startswith("ct/volumes/"):
            continue
        volume = read_volume(path)
        started = time.process_time()
        found = measure_volume(volume).volume
        cost = 1000 * (time.process_time() - started) / volume.slice_count
        values = [getattr(found, name) for name in FIGURES]
        cells = [found.missing[n] if v is None else f"{v:.3g}" for n, v in zip(FIGURES, values, strict=True)]
        name = path.name.removesuffix(".nii.gz")
        print(f"| {name} | {cost:.0f} | {entry['softtissue_noise_sd_HU']} | " + " | ".join(cells) + " |", flush=True)


def _all(mask: NDArray[np.bool_], y: int, x: int, size: int) -> bool:
    return bool(mask[y : y + size, x : x + size].all())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="pixels of the discs")
    parser.add_argument("--phantom-size", type=int, default=448, help="pixels of the phantom")
    parser.add_argument("--real", action="store_true", help="the public CT instead of the simulation")
    arguments = parser.parse_args()
    if arguments.real:
        check_real()
        return
    print("| measure | case | truth | measured | error |\n|---|---|---|---|---|")
    check_disc(arguments.size)
    check_contrast(arguments.size)
    check_tissues(arguments.size)
    check_phantom(arguments.phantom_size)


if __name__ == "__main__":
    main()
