"""Builds the sample that ships with the project: a phantom's CT whose dose falls along the patient.

    python -m Training.sample                                  build it, scores and all
    python -m Training.sample --surrogate surrogate.json       only fill in the scores of another mapping

The noise-free phantom (``Training.phantom``) goes through the simulation of dose and view reduction
(``Training.simulation``) slice by slice and is written as a DICOM series, JPEG-LS lossless, with the truth beside it:

    dicom/IM-0001.dcm ...   CT Image Storage, numbered from head to feet
    truth.csv               a row per slice in the order of position, from feet to head
    truth.json              the same, with how it was made and the SHA-256 of every DICOM file
    README.md               what it is

On one machine the same seed gives the same bytes. The shipped ones did not come out on the machine where that was last
checked (other organs in the same skin; the cause is not known).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from CTQualityAssessmentLib.assessment.body import body_mask

from Training.data.surrogate import CHOSEN_FIDELITY, SurrogateScore, dose_view_score
from Training.metrics.fidelity import FIDELITIES
from Training.phantom import Phantom, abdomen_phantom
from Training.sample_dicom import NOMINAL_CTDIVOL_MGY, NOMINAL_MAS, SliceHeader, sample_uid, write_slice
from Training.simulation.ct import ELECTRONIC_SD, FULL_PHOTONS, FULL_VIEWS, simulate_slice

DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / "Resources" / "SampleData" / "CTQA-phantom"
DEFAULT_SEED = 2036
#: From fidelity to score, as the shipped weights learned it (``Training.data.build`` fits and writes it).
SURROGATE = Path(__file__).resolve().parent / "data" / "surrogate.json"
#: Doses in per cent from head to feet, in even steps of the logarithm from 100 to 10.
DOSE_STEPS_PERCENT = (100, 77, 60, 46, 36, 28, 22, 17, 13, 10)
#: Where along the patient (0 head, 1 feet) views are left out, and how many of 720 are kept.
STREAK_REGION = ((0.30, 0.36, 360), (0.36, 0.46, 180), (0.46, 0.52, 360))
KERNEL = "hann"


@dataclass(frozen=True)
class SliceTruth:
    """What was done to one slice.

    Attributes:
        index: in the order of position, 0 at the feet: the slice index of the volume once it is read.
        z_mm: ImagePositionPatient's z.
        file: name within ``dicom/``.
        dose: share of the full dose, 0 ... 1.
        views: of 720 over the full turn.
        dose_view_score: score by dose and views alone, 0 ... 4.
        fidelity: ``CHOSEN_FIDELITY`` against the noise-free slice inside the body (in dB for "psnr").
        surrogate_score: the score that networks are trained on; None until :func:`fill_scores` was called.
    """

    index: int
    z_mm: float
    file: str
    dose: float
    views: int
    dose_view_score: float
    fidelity: float
    surrogate_score: float | None


def acquisition_plan(slices: int) -> list[tuple[float, int]]:
    """(dose, views) of every slice from feet to head."""
    plan = []
    for index in range(slices):
        from_head = (slices - 1 - index + 0.5) / slices
        dose = DOSE_STEPS_PERCENT[int(from_head * len(DOSE_STEPS_PERCENT))] / 100
        views = next((kept for start, end, kept in STREAK_REGION if start <= from_head < end), FULL_VIEWS)
        plan.append((dose, views))
    return plan


def build_sample(
    folder: Path,
    *,
    seed: int = DEFAULT_SEED,
    slices: int = 30,
    size: int = 512,
    spacing_mm: float = 0.75,
    thickness_mm: float = 7.5,
    photons: float = FULL_PHOTONS,
) -> list[SliceTruth]:
    """Write the sample into ``folder``, replacing an earlier one.

    Args:
        folder: must not exist, be empty, or hold an earlier sample.
        seed: of the phantom, the noise and the UIDs.
        slices: contiguous, ``thickness_mm`` apart.
        size: rows and columns; ``size * spacing_mm`` is at least 310 mm.
        photons: per ray at full dose; coarser pixels need fewer for the same noise.

    Returns:
        The truth, from feet to head.

    Raises:
        FileExistsError: ``folder`` holds something else; nothing is changed then.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "truth.json").exists():
        raise FileExistsError("the folder holds something that is not a sample; choose another one")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "dicom").mkdir(parents=True)
    phantom = abdomen_phantom(
        seed, slices=slices, size=size, spacing_mm=spacing_mm, thickness_mm=thickness_mm, increment_mm=thickness_mm
    )
    truth = []
    hashes = {}
    # z = 0 at the lowest slice: the simulated scanner's own origin.
    for index, (dose, views) in enumerate(acquisition_plan(slices)):
        clean = phantom.hu[index]
        noise_seed = seed * 10_000 + index
        hu = simulate_slice(clean, spacing_mm, dose=dose, views=views, seed=noise_seed, photons=photons, kernel=KERNEL)
        header = SliceHeader(
            seed=seed,
            instance=slices - index,
            z_mm=index * thickness_mm,
            spacing_mm=spacing_mm,
            thickness_mm=thickness_mm,
            dose=dose,
            views=views,
            kernel=KERNEL,
            contrast=phantom.phase,
        )
        name = f"IM-{header.instance:04d}.dcm"
        stored = write_slice(partial / "dicom" / name, hu, header)
        hashes[name] = hashlib.sha256((partial / "dicom" / name).read_bytes()).hexdigest()
        fidelity = FIDELITIES[CHOSEN_FIDELITY](clean, stored, body_mask(clean, (spacing_mm, spacing_mm)))
        truth.append(
            SliceTruth(
                index,
                header.z_mm,
                name,
                dose,
                views,
                round(dose_view_score(dose, views), 3),
                round(fidelity, 3),
                None,
            )
        )
    _write_truth(partial, _truth_document(truth, phantom, photons, hashes))
    (partial / "README.md").write_text(_readme(slices, size, seed), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    partial.replace(folder)
    return truth


def fill_scores(folder: Path, surrogate: SurrogateScore) -> list[float]:
    """Fill the column of surrogate scores from the fidelities in the truth; nothing is simulated again.

    Returns:
        The scores, 0 ... 4, from feet to head.

    Raises:
        ValueError: the surrogate was fitted to another fidelity than the truth holds.
    """
    document = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    if surrogate.fidelity != document["fidelity"]:
        raise ValueError(f"the truth holds {document['fidelity']}, the surrogate needs {surrogate.fidelity}")
    for row in document["slices"]:
        row["surrogate_score"] = round(surrogate(row["fidelity"]), 3)
    _write_truth(folder, document)
    return [row["surrogate_score"] for row in document["slices"]]


def _truth_document(
    truth: Sequence[SliceTruth], phantom: Phantom, photons: float, hashes: dict[str, str]
) -> dict[str, Any]:
    return {
        "series_instance_uid": sample_uid(phantom.seed, "series"),
        "seed": phantom.seed,
        "contrast_phase": phantom.phase,
        "simulation": {
            "full_photons_per_ray": photons,
            "electronic_sd_counts": ELECTRONIC_SD,
            "full_views": FULL_VIEWS,
            "kernel": KERNEL,
        },
        "nominal_at_full_dose": {"mas": NOMINAL_MAS, "ctdivol_mgy": NOMINAL_CTDIVOL_MGY},
        "fidelity": CHOSEN_FIDELITY,
        "sha256": dict(sorted(hashes.items())),
        "slices": [asdict(row) for row in truth],
    }


def _write_truth(folder: Path, document: dict[str, Any]) -> None:
    rows = document["slices"]
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    for name, text in (("truth.csv", table.getvalue()), ("truth.json", json.dumps(document, indent=1) + "\n")):
        partial = folder / f"{name}.partial"
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(folder / name)


def _readme(slices: int, size: int, seed: int) -> str:
    steps = ", ".join(map(str, DOSE_STEPS_PERCENT))
    return f"""# CTQA-phantom

A simulated CT of the abdomen, {slices} slices of {size} x {size}. **It is not a patient**: the anatomy is the
project's own mathematical phantom (`Training/phantom`, seed {seed}), the noise and the streaks are the project's own
simulation (`Training/simulation`).

- The dose falls from head to feet: {steps} per cent.
- About a fifth of the slices, below the dome of the liver, is reconstructed from 360 or 180 instead of 720 views and
  shows streaks.
- Tube current, mAs and CTDIvol (32 cm phantom) in the headers are nominal: {NOMINAL_MAS} mAs and
  {NOMINAL_CTDIVOL_MGY:g} mGy at 100 per cent, scaled by the dose.
- `truth.csv` has a row per slice in the order of position, from feet to head (slice 0 of the volume is the lowest):
  dose, views, fidelity to the noise-free slice, and scores made from them. These scores are formulas, not readings by
  radiologists.
- `truth.json` says the same, with the SHA-256 of every DICOM file.

Rebuild: `python -m Training.sample` in the project's root, with the extra `training` installed. On one machine the
same seed gives the same bytes. Where it was last checked the shipped bytes did not come out: the skin was the same,
organs lay elsewhere, for a reason that is not known. The truth beside a series is that series' own.

Licence: CC0 1.0 (public domain) for the data in this folder; the code that makes it is under Apache-2.0.
"""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--surrogate", type=Path, help="surrogate.json of a training set: only fill in the scores")
    arguments = parser.parse_args()
    if not arguments.surrogate:
        truth = build_sample(arguments.out, seed=arguments.seed)
        total = sum(file.stat().st_size for file in arguments.out.rglob("*") if file.is_file())
        print(f"{len(truth)} slices, {total / 1e6:.2f} MB")
    mapping = (arguments.surrogate or SURROGATE).read_text(encoding="utf-8")
    scores = fill_scores(arguments.out, SurrogateScore.from_dict(json.loads(mapping)))
    print(f"{len(scores)} scores, {min(scores):.2f} to {max(scores):.2f}")


if __name__ == "__main__":
    main()
