"""Writes pairs of one slice at several doses and without noise, for training a denoiser.

    python -m Training.data.dose_pairs --out build/dose_pairs --workers 2

``pairs/<patient>-<index>.npy`` holds int16 HU ``(4, rows, columns)``: the reconstruction without noise, then 100, 25
and 10 % dose, independent readings through the same kernel. ``pairs.json`` says what each is. The target of a
denoiser is the reconstruction without noise and not the source slice, so that it learns to take noise away and to
leave the kernel's sharpness as it is. An interrupted build goes on where it stopped.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from Training.command import run_command
from Training.data.build import scan_settings
from Training.data.builder import Origin, build, build_parser, origins_of, part_file, read_parts, write_part
from Training.data.challenge import TrainingDataError
from Training.data.sources import SourceSlice
from Training.simulation.ct import simulate_ladder
from Training.whole_files import replacing, write_json

#: Doses in the order of the stored images; infinity is the reconstruction without noise.
DOSES = (math.inf, 1.0, 0.25, 0.1)
_VIEWS = 720
#: Groups of patients by what is in view, the three data sets of an evaluation.
_CHESTS = ("cmbcrc01068", "lidc0314", "lungdxA0001", "lungfcp01", "rider0117")


@dataclass(frozen=True)
class DosePair:
    """One slice at every dose of :data:`DOSES`.

    Attributes:
        path: the stored images.
        patient, source: whose slice it is, and which.
        part: "abdomen", "chest" or "phantom".
        spacing_mm: of its square pixels.
        kernel: of the reconstruction.
    """

    path: Path
    patient: str
    source: str
    part: str
    spacing_mm: float
    kernel: str

    def read(self) -> NDArray[np.int16]:
        """HU, ``(4, rows, columns)``, in the order of :data:`DOSES`.

        Raises:
            TrainingDataError: the file is damaged or of another layout.
        """
        try:
            images = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise TrainingDataError("A dose pair cannot be read.", "Build the data set again.") from error
        if images.ndim != 3 or len(images) != len(DOSES) or images.dtype != np.int16:
            raise TrainingDataError("A dose pair has another layout than expected.", "Build the data set again.")
        return images


def read_pairs(root: Path) -> list[DosePair]:
    """All pairs of a folder that this module wrote, by name.

    Raises:
        TrainingDataError: the folder holds none.
    """
    try:
        rows = json.loads((root / "pairs.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingDataError(
            "The data set has no readable pairs.json.", "Build it with python -m Training.data.dose_pairs."
        ) from error
    return [DosePair(root / "pairs" / f"{stem}.npy", source=stem, **row) for stem, row in sorted(rows.items())]


def part_of(patient: str) -> str:
    """Which of the three data sets a patient belongs to."""
    return "phantom" if patient.startswith("phantom") else "chest" if patient in _CHESTS else "abdomen"


def build_pair(source: SourceSlice, out: Path) -> None:
    """Writes the images of one slice and, last, the file that says they are complete."""
    stem = f"{source.patient}-{source.index:03d}"
    if part_file(out, stem).exists():
        return
    # Another seed than the images of the scorers: the denoiser must not meet the noise that it is judged on.
    seed, kernel, photons = scan_settings(f"pair-{stem}")
    ladder = simulate_ladder(
        source.hu, source.spacing_mm, doses=DOSES, views=(_VIEWS,), seed=seed, photons=photons, kernel=kernel
    )
    images = np.stack([ladder[dose, _VIEWS] for dose in DOSES])
    with replacing(out / "pairs" / f"{stem}.npy") as partial, partial.open("wb") as file:
        np.save(file, np.rint(np.clip(images, -1024, 32767)).astype(np.int16), allow_pickle=False)
    row = {
        "patient": source.patient,
        "part": part_of(source.patient),
        "spacing_mm": source.spacing_mm,
        "kernel": kernel,
    }
    write_part(out, stem, row)


def finish(out: Path) -> int:
    """Writes ``pairs.json`` from the parts; how many there are."""
    rows = read_parts(out)
    write_json(out / "pairs.json", rows)
    return len(rows)


def _build_origin(origin: Origin, out: Path) -> str:
    for source in origin.slices():
        build_pair(source, out)
    return origin.name


def main() -> None:
    """Command line."""
    arguments = build_parser(__doc__, real=10, phantom_slices=4).parse_args()
    build(arguments.out, ("pairs",), _build_origin, origins_of(arguments), arguments.workers)
    print(finish(arguments.out), "pairs")


if __name__ == "__main__":
    run_command(main)
