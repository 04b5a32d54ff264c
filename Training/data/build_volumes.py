"""Writes a simulated training set of degraded CT and MR volumes in the list format.

    python -m Training.data.build_volumes --out build/volumes

``volumes/*.nii`` (int16; CT in HU, MR as signal) and ``list.json`` with one row per volume: image, score in [0, 1],
modality, organ, and beside them patient, source and the level of each degradation. An interrupted build goes on where
it stopped.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from CTQualityAssessmentLib.assessment.body import body_mask, signal_floor
from numpy.typing import NDArray

from Training.data.volume_degradations.bias_field import add_bias_field
from Training.data.volume_degradations.ct_scan import CTScan, scan
from Training.data.volume_degradations.dose_noise import add_dose_noise
from Training.data.volume_degradations.ghosting import add_ghosts
from Training.data.volume_degradations.kernel import KERNELS_BY_SHARPNESS, reconstruct_with
from Training.data.volume_degradations.labels import ct_score, mr_score
from Training.data.volume_degradations.motion import move
from Training.data.volume_degradations.rician_noise import add_rician_noise
from Training.data.volume_degradations.thickness import thicken
from Training.data.volume_degradations.undersampling import undersample
from Training.data.volume_degradations.views import keep_views
from Training.data.volume_sources import CT_SOURCES, MR_SOURCES, VolumeSource, read_source
from Training.whole_files import replacing, write_json

#: Every how many source pixels CT is reconstructed: 256 become the 128 that the network reads of 512.
CT_EVERY = 2
_VIEWS = (720, 720, 720, 360, 240, 180)
_THICKNESSES = (1, 1, 1, 3, 5)
#: Photons per ray and view at full dose, drawn log-uniformly; with the doses about 4 to 80 HU of noise.
_PHOTONS = (2e5, 1.5e6)
_LEAST_DOSE = 0.05
_AIR_HU = -1024.0
_KERNELS = dict(zip(KERNELS_BY_SHARPNESS, (0.25, 0.4, 0.15, 0.1, 0.1), strict=True))
_MOST_MOTION_MM = 4.0


def ct_levels(rng: np.random.Generator) -> dict[str, Any]:
    """Levels of one degraded CT: always a dose and a kernel, and each of the other kinds in some."""
    dose = math.exp(rng.uniform(math.log(_LEAST_DOSE), 0.0))
    return {
        "dose": round(dose, 4),
        "photons": round(math.exp(rng.uniform(*np.log(_PHOTONS)))),
        "views": int(rng.choice(_VIEWS)),
        "kernel": str(rng.choice(list(_KERNELS), p=list(_KERNELS.values()))),
        "thickness": int(rng.choice(_THICKNESSES)),
        "motion_mm": round(float(rng.uniform(0.0, _MOST_MOTION_MM)), 2) if rng.random() < 0.25 else 0.0,
    }


def degrade_ct(exact: CTScan, levels: dict[str, Any], rng: np.random.Generator, every: int) -> NDArray[np.float32]:
    """HU of a scan with all its degradations, in the order in which they happen."""
    moving = move(exact, levels["motion_mm"], cycles=rng.uniform(0.5, 2.5), phase=rng.uniform(0, 2 * np.pi))
    noisy = add_dose_noise(keep_views(moving, levels["views"]), levels["dose"], rng, photons=levels["photons"])
    hu = thicken(reconstruct_with(noisy, levels["kernel"], every), levels["thickness"])
    return np.maximum(hu, _AIR_HU)  # scanners store nothing below it


def mr_levels(rng: np.random.Generator) -> dict[str, Any]:
    """Levels of one degraded MR volume; each kind is there in two volumes of five, so single and mixed ones occur."""
    there = rng.random(4) < 0.4
    return {
        "snr": round(math.exp(rng.uniform(math.log(4), math.log(60))), 2) if there[0] else 60.0,
        "acceleration": round(float(rng.uniform(1, 4)), 2) if there[1] else 1.0,
        "ghost": round(float(rng.uniform(0, 0.25)), 3) if there[2] else 0.0,
        "bias": round(2 ** float(rng.uniform(0, 2.5)), 3) if there[3] else 1.0,
    }


def degrade_mr(
    image: NDArray[np.floating], levels: dict[str, Any], rng: np.random.Generator, signal: float
) -> NDArray[np.float32]:
    """Signal with all its degradations, in the order in which they happen; SNR 60 stands for no noise added."""
    seen = add_bias_field(image, levels["bias"], rng)
    seen = undersample(add_ghosts(seen, levels["ghost"]), levels["acceleration"], rng)
    snr = levels["snr"]
    return seen if snr >= 60 else add_rician_noise(seen, snr, rng, signal=signal)


def build(
    out: Path, names: Iterable[str], *, ct_slices: int, mr_slices: int, ct_variants: int, mr_variants: int
) -> list[dict[str, Any]]:
    """Builds what is missing of the named sources and writes ``list.json``; returns its rows."""
    (out / "volumes").mkdir(parents=True, exist_ok=True)
    rows = []
    for name in names:
        is_ct = name in CT_SOURCES
        patient = (CT_SOURCES if is_ct else MR_SOURCES)[name][0]
        slices, variants = (ct_slices, ct_variants) if is_ct else (mr_slices, mr_variants)
        part = out / "parts" / f"{patient}-{slices}-{variants}.json"
        if not part.exists():
            write_json(part, _build_source(read_source(name, ct_slices, mr_slices), variants, out))
        rows += json.loads(part.read_text(encoding="utf-8"))
        print("built", patient, flush=True)
    write_json(out / "list.json", rows)
    return rows


def _build_source(source: VolumeSource, variants: int, out: Path) -> list[dict[str, Any]]:
    seed = int.from_bytes(source.patient.encode(), "little")
    if source.modality == "CT":
        exact = scan(source.values, source.spacing_mm[1])
        # The reference has the sharpness of an ordinary kernel: a ramp of unlimited bandwidth is no clinical image.
        reference = exact.reconstruct("hann", CT_EVERY)
        first = (CT_EVERY - 1) // 2
        body = body_mask(source.values, source.spacing_mm[1:])[:, first::CT_EVERY, first::CT_EVERY]
        spacing = (source.spacing_mm[0], source.spacing_mm[1] * CT_EVERY, source.spacing_mm[2] * CT_EVERY)
    else:
        tissue = source.values[body_mask(source.values, source.spacing_mm[1:], signal_floor(source.values))]
        spacing = source.spacing_mm
    rows = []
    for number in range(variants):
        rng = np.random.default_rng([seed, number])
        if source.modality == "CT":
            levels = ct_levels(rng)
            values = degrade_ct(exact, levels, rng, CT_EVERY)
            score = ct_score(reference, values, body)
        else:
            levels = mr_levels(rng)
            values = degrade_mr(source.values, levels, rng, float(tissue.mean()))
            score = mr_score(**{**levels, "snr": levels["snr"] if levels["snr"] < 60 else math.inf})
        name = f"volumes/{source.patient}-{number:03d}.nii"
        write_volume(out / name, values, spacing)
        rows.append(
            {
                "image": name,
                "score": round(score, 4),
                "modality": source.modality,
                "organ": source.organ,
                "patient": source.patient,
                "levels": levels,
            }
        )
    return rows


def write_volume(path: Path, values: NDArray[np.floating], spacing_mm: tuple[float, float, float]) -> None:
    """Writes ``(slices, rows, columns)`` in the radiological view as an int16 NIfTI file that reads back so."""
    import nibabel

    affine = np.diag([-spacing_mm[2], -spacing_mm[1], spacing_mm[0], 1.0])
    stored = np.clip(np.rint(values), -32768, 32767).astype(np.int16)
    image = nibabel.Nifti1Image(stored.T, affine)
    image.header.set_xyzt_units("mm")
    with replacing(path) as partial:
        partial.write_bytes(image.to_bytes())


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ct-slices", type=int, default=16, help="slices of each CT")
    parser.add_argument("--mr-slices", type=int, default=20, help="slices of each MR volume")
    parser.add_argument("--ct-variants", type=int, default=36, help="degraded volumes of each CT")
    parser.add_argument("--mr-variants", type=int, default=30, help="degraded volumes of each MR volume")
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="VOLUME", help="public volumes not to use")
    arguments = parser.parse_args()
    rows = build(
        arguments.out,
        [name for name in (*MR_SOURCES, *CT_SOURCES) if name not in arguments.leave_out],
        ct_slices=arguments.ct_slices,
        mr_slices=arguments.mr_slices,
        ct_variants=arguments.ct_variants,
        mr_variants=arguments.mr_variants,
    )
    for modality in ("CT", "MR"):
        scores = [row["score"] for row in rows if row["modality"] == modality]
        print(f"{modality}: {len(scores)} volumes, score {np.mean(scores):.3f} +- {np.std(scores):.3f}")


if __name__ == "__main__":
    main()
