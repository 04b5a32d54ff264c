"""Writes a simulated training set in the layout of LDCTIQAG2023.

    python -m Training.data.build --out build/simulated --workers 2

``image/*.tif`` (float32 in [0, 1], window ``ldctiqa``), ``train.json`` (file -> score) and, beside them,
``groups.json`` (file -> patient, source slice, dose, views, kernel, fidelities), which the published set lacks, and
``surrogate.json`` (how fidelity became a score). An interrupted build goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.windows import WINDOWS
from scipy import ndimage

from Training.data.sources import PATIENTS, SourceSlice, phantom_sources, real_sources
from Training.data.surrogate import CHOSEN_FIDELITY, SurrogateScore, monotone
from Training.metrics.fidelity import FIDELITIES
from Training.simulation.ct import FULL_PHOTONS, simulate_ladder

DOSES = (1.0, 0.5, 0.25, 0.1)
VIEWS = (720, 360, 180)
#: Patients that no shipped weights are trained on: an abdomen, a chest with two kernels, two phantoms.
HELD_OUT = ("acrin001", "lungdxA0001", "phantom900", "phantom901")
_KERNELS = {"hann": 0.45, "soft": 0.25, "cosine": 0.1, "shepp-logan": 0.1, "ramp": 0.1}


@dataclass(frozen=True)
class Origin:
    """Where source slices come from: a volume's file name, or a phantom's seed."""

    name: str
    count: int
    phantom_seed: int | None = None

    def slices(self) -> Iterator[SourceSlice]:
        """The noise-free slices of this origin."""
        if self.phantom_seed is None:
            return real_sources(self.name, self.count)
        return phantom_sources(self.phantom_seed, self.count)


def plan(real_count: int, phantom_seeds: tuple[int, ...], phantom_count: int) -> list[Origin]:
    """All origins of a training set, real volumes first."""
    return [Origin(name, real_count) for name in PATIENTS] + [
        Origin(f"phantom{seed:03d}", phantom_count, seed) for seed in phantom_seeds
    ]


def scan_settings(stem: str) -> tuple[int, str, float]:
    """Noise seed, kernel and photons per ray at full dose of a source slice, drawn anew for every slice.

    Args:
        stem: ``patient-index``; all of it enters the seed, or the slices of a patient would share one setting.
    """
    seed = int.from_bytes(stem.encode(), "little")
    rng = np.random.default_rng(seed)
    kernel = str(rng.choice(list(_KERNELS), p=list(_KERNELS.values())))
    return seed, kernel, FULL_PHOTONS * float(np.exp(rng.uniform(np.log(0.6), np.log(1.8))))


def build_slice(source: SourceSlice, out: Path) -> None:
    """Writes the twelve degraded images of one source slice and, last, the file that says they are complete."""
    import tifffile

    stem = f"{source.patient}-{source.index:03d}"
    part = out / "parts" / f"{stem}.json"
    if part.exists():
        return
    seed, kernel, photons = scan_settings(stem)
    body = body_mask(source.hu, (source.spacing_mm, source.spacing_mm))
    ladder = simulate_ladder(
        source.hu, source.spacing_mm, doses=DOSES, views=VIEWS, seed=seed, photons=photons, kernel=kernel
    )
    rows = {}
    for (dose, views), hu in ladder.items():
        name = f"{stem}-d{round(100 * dose):03d}-v{views}.tif"
        tifffile.imwrite(out / "image" / name, WINDOWS["ldctiqa"].apply(hu))
        rows[name] = {
            "patient": source.patient,
            "source": stem,
            "dose": dose,
            "views": views,
            "kernel": kernel,
            "photons": photons,
            "spacing_mm": source.spacing_mm,
            "fidelity": {key: measure(source.hu, hu, body) for key, measure in FIDELITIES.items()},
        }
    _write_json(part, rows)


def build_virtual(source: SourceSlice, number: int, out: Path) -> None:
    """Writes the view reductions of one dose of a virtual patient: the source slice in another shape and size.

    A dozen patients are few enough for a network to know each of them by its anatomy and to answer from memory. Every
    virtual patient has its own stretch, rotation, pixel spacing, photons, kernel and dose.
    """
    import tifffile

    stem = f"{source.patient}-{source.index:03d}-w{number}"
    part = out / "parts" / f"{stem}.json"
    if part.exists():
        return
    seed = int.from_bytes(stem.encode(), "little")
    rng = np.random.default_rng([seed, 1])
    hu = _reshaped(source.hu, rng)
    spacing = source.spacing_mm * float(rng.uniform(0.85, 1.2))
    body = body_mask(hu, (spacing, spacing))
    if body.mean() < 0.08:
        return
    kernel = str(rng.choice(list(_KERNELS)))
    photons = FULL_PHOTONS * float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
    dose = float(rng.choice(DOSES))
    ladder = simulate_ladder(hu, spacing, doses=(dose,), views=VIEWS, seed=seed, photons=photons, kernel=kernel)
    rows = {}
    for (_, views), degraded in ladder.items():
        name = f"{stem}-d{round(100 * dose):03d}-v{views}.tif"
        tifffile.imwrite(out / "image" / name, WINDOWS["ldctiqa"].apply(degraded))
        rows[name] = {
            "patient": source.patient,
            "source": stem,
            "virtual": True,
            "dose": dose,
            "views": views,
            "kernel": kernel,
            "photons": photons,
            "spacing_mm": spacing,
            "fidelity": {CHOSEN_FIDELITY: FIDELITIES[CHOSEN_FIDELITY](hu, degraded, body)},
        }
    _write_json(part, rows)


def _reshaped(hu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The slice stretched by 0.75 to 1.25 along each axis, turned by up to 20 degrees, perhaps mirrored."""
    angle = np.deg2rad(rng.uniform(-20, 20))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag(1 / rng.uniform(0.75, 1.25, 2)) @ np.diag(rng.choice([-1.0, 1.0], 2))
    middle = (np.array(hu.shape) - 1) / 2
    return ndimage.affine_transform(hu, matrix, middle - matrix @ middle, order=1, cval=-1000.0).astype(np.float32)


def finish(out: Path) -> dict[str, float]:
    """Fits the surrogate score on the patients that are trained on and writes the three JSON files.

    Returns:
        ``{file: score}``, as in ``train.json``.
    """
    groups: dict[str, dict] = {}
    fidelity: dict[str, float] = {}
    for part in sorted((out / "parts").glob("*.json")):
        rows = json.loads(part.read_text())
        groups.update(rows)
        ordered = monotone({(r["dose"], r["views"]): r["fidelity"][CHOSEN_FIDELITY] for r in rows.values()})
        fidelity |= {name: ordered[r["dose"], r["views"]] for name, r in rows.items()}
    real = {name for name, group in groups.items() if not group.get("virtual")}
    fitted = [fidelity[name] for name in groups if name in real and groups[name]["patient"] not in HELD_OUT]
    surrogate = SurrogateScore.fit(CHOSEN_FIDELITY, np.array(fitted))
    scores = {name: surrogate.snapped(value) for name, value in fidelity.items()}
    _write_json(out / "surrogate.json", surrogate.to_dict())
    _write_json(out / "groups.json", groups)
    _write_json(out / "train.json", scores)
    return scores


def _write_json(path: Path, value: object) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1))
    partial.replace(path)


def _build_origin(origin: Origin, out: Path, virtual: int) -> str:
    for source in origin.slices():
        build_slice(source, out)
        for number in range(virtual if source.patient not in HELD_OUT else 0):
            build_virtual(source, number, out)
    return origin.name


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--real", type=int, default=12, help="slices per public volume; 0 builds from phantoms only")
    parser.add_argument("--phantoms", type=int, default=6, help="phantoms to train on")
    parser.add_argument("--phantom-slices", type=int, default=6)
    parser.add_argument("--virtual", type=int, default=2, help="virtual patients made of each training slice")
    arguments = parser.parse_args()
    for folder in ("image", "parts"):
        (arguments.out / folder).mkdir(parents=True, exist_ok=True)
    seeds = (*range(arguments.phantoms), 900, 901) if arguments.phantoms else ()
    origins = plan(arguments.real, seeds, arguments.phantom_slices)
    origins = [origin for origin in origins if origin.count > 0]
    with ProcessPoolExecutor(arguments.workers) as pool:
        jobs = [pool.submit(_build_origin, origin, arguments.out, arguments.virtual) for origin in origins]
        for job in jobs:
            print("built", job.result(), flush=True)
    scores = finish(arguments.out)
    print(f"{len(scores)} images, mean score {np.mean(list(scores.values())):.3f}")


if __name__ == "__main__":
    main()
