"""Writes a simulated training set in the layout of LDCTIQAG2023.

    python -m Training.data.build --out build/simulated --workers 2

``image/*.tif`` (float32 in [0, 1], window ``ldctiqa``), ``train.json`` (file -> score) and, beside them,
``groups.json`` (file -> patient, source slice, dose, views, kernel, fidelities), which the published set lacks, and
``surrogate.json`` (how fidelity became a score). An interrupted build goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.windows import WINDOWS
from scipy import ndimage

from Training.command import run_command
from Training.data.builder import (
    HELD_OUT,
    Origin,
    build,
    build_parser,
    origins_of,
    part_file,
    read_parts,
    write_part,
)
from Training.data.sources import SourceSlice
from Training.data.surrogate import CHOSEN_FIDELITY, SurrogateScore, monotone
from Training.metrics.fidelity import FIDELITIES
from Training.simulation.ct import FULL_PHOTONS, simulate_ladder
from Training.whole_files import write_json

DOSES = (1.0, 0.5, 0.25, 0.1)
VIEWS = (720, 360, 180)
_KERNELS = {"hann": 0.45, "soft": 0.25, "cosine": 0.1, "shepp-logan": 0.1, "ramp": 0.1}


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
    if part_file(out, stem).exists():
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
    write_part(out, stem, rows)


def build_virtual(source: SourceSlice, number: int, out: Path) -> None:
    """Writes the view reductions of one dose of a virtual patient: the source slice in another shape and size.

    A dozen patients are few enough for a network to know each of them by its anatomy and to answer from memory. Every
    virtual patient has its own stretch, rotation, pixel spacing, photons, kernel and dose.
    """
    import tifffile

    stem = f"{source.patient}-{source.index:03d}-w{number}"
    if part_file(out, stem).exists():
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
    write_part(out, stem, rows)


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
    for rows in read_parts(out).values():
        groups.update(rows)
        ordered = monotone({(r["dose"], r["views"]): r["fidelity"][CHOSEN_FIDELITY] for r in rows.values()})
        fidelity |= {name: ordered[r["dose"], r["views"]] for name, r in rows.items()}
    real = {name for name, group in groups.items() if not group.get("virtual")}
    fitted = [fidelity[name] for name in groups if name in real and groups[name]["patient"] not in HELD_OUT]
    surrogate = SurrogateScore.fit(CHOSEN_FIDELITY, np.array(fitted))
    scores = {name: surrogate.snapped(value) for name, value in fidelity.items()}
    write_json(out / "surrogate.json", surrogate.to_dict())
    write_json(out / "groups.json", groups)
    write_json(out / "train.json", scores)
    return scores


def _build_origin(origin: Origin, out: Path, virtual: int) -> str:
    for source in origin.slices():
        build_slice(source, out)
        for number in range(virtual if source.patient not in HELD_OUT else 0):
            build_virtual(source, number, out)
    return origin.name


def main() -> None:
    """Command line."""
    parser = build_parser(__doc__, real=12, phantom_slices=6)
    parser.add_argument("--virtual", type=int, default=2, help="virtual patients made of each training slice")
    arguments = parser.parse_args()
    build(arguments.out, ("image",), _build_origin, origins_of(arguments), arguments.workers, arguments.virtual)
    scores = finish(arguments.out)
    print(f"{len(scores)} images, mean score {np.mean(list(scores.values())):.3f}")


if __name__ == "__main__":
    run_command(main)
