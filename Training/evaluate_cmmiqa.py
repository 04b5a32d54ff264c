"""Measures a CMMIQA on the patients that it was never trained on, with the right prompt, without one, with a wrong one.

    python -m Training.evaluate_cmmiqa runs/cmmiqa --out build/evaluation_cmmiqa.json

Prints and writes SRCC, PLCC and RMSE (on the scale of 0 to 1) over all volumes and for each modality, with 95 %
bootstrap intervals over volumes. The volumes come from a handful of patients, which the intervals do not know: they
are too narrow. The first rows are a baseline: the noise level of a volume, mapped to a score for each modality.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import Any

import numpy as np
from CTQualityAssessmentLib.networks.cmmiqa import CMMIQA
from CTQualityAssessmentLib.prompts import Prompt
from CTQualityAssessmentLib.windows import WINDOWS
from numpy.typing import NDArray
from scipy import ndimage

from Training.cmmiqa_recipe import CMMIQARecipe, read_cmmiqa_recipe
from Training.command import run_command
from Training.data.noise_level import NoiseRegression
from Training.data.volume_list import LabelledVolume, PreparedVolume, prepare, read_volume_list
from Training.loop import RunError
from Training.metrics.agreement import bootstrap, plcc, rmse, srocc
from Training.train_cmmiqa import predict
from Training.whole_files import write_json

MEASURES = {"SRCC": srocc, "PLCC": plcc, "RMSE": rmse}
#: What a wrong prompt says instead.
_OTHER_MODALITY = {"CT": "MR", "MR": "CT"}


def wrong(prompt: Prompt) -> Prompt:
    """A prompt of the other modality and of an organ that none of the training volumes shows."""
    return Prompt(_OTHER_MODALITY[prompt.modality], "brain")


def noise_level(volume: PreparedVolume) -> float:
    """Robust standard deviation of the finest detail inside the patient, in units of the network's input.

    Detail is the difference of neighbouring pixels along rows and then columns, whose variance in white noise is four
    times that of the pixels.
    """
    fine = np.diff(np.diff(volume.pixels.astype(np.float32), axis=1), axis=2)
    inside = ndimage.binary_erosion(volume.patient_mask, np.ones((1, 3, 3)))[:, 1:, 1:]
    values = fine[inside] if inside.any() else fine
    return float(np.median(np.abs(values)) / 0.6745 / 2) + 1e-4


def baseline(recipe: CMMIQARecipe, trained: list[LabelledVolume], volumes: list[PreparedVolume]) -> NDArray[np.float64]:
    """Scores by noise level alone, fitted for each modality to the volumes that were trained on."""
    levels: dict[str, list[tuple[float, float]]] = {}
    for row in trained:
        prepared = prepare(row, WINDOWS[recipe.window], recipe.input_size)
        levels.setdefault(row.prompt.modality, []).append((noise_level(prepared), row.score))
    fitted = {
        modality: NoiseRegression.fit(*(np.array(side) for side in zip(*pairs, strict=True)))
        for modality, pairs in levels.items()
    }
    found = [fitted[v.label.prompt.modality](np.array([noise_level(v)]))[0] for v in volumes]
    return np.clip(found, 0.0, 1.0)


def rows_of(name: str, predicted: NDArray, volumes: list[PreparedVolume]) -> list[dict[str, Any]]:
    """One row over all volumes and one for each modality, as plain types."""
    true = np.array([v.label.score for v in volumes])
    modality = np.array([v.label.prompt.modality for v in volumes])
    rows = []
    for part in ("all", *sorted(set(modality))):
        chosen = np.ones(len(volumes), dtype=bool) if part == "all" else modality == part
        each = [str(n) for n in np.flatnonzero(chosen)]
        figures = {k: list(bootstrap(f, predicted[chosen], true[chosen], each)) for k, f in MEASURES.items()}
        rows.append({"name": name, "part": part, "volumes": int(chosen.sum()), **figures})
    return rows


def line(row: dict[str, Any]) -> str:
    """One line of the printed table."""
    figures = "  ".join(f"{k} {row[k][0]:.3f} [{row[k][1]:.3f}, {row[k][2]:.3f}]" for k in MEASURES)
    return f"{row['name']:<34} {row['part']:<4} n = {row['volumes']:<4} {figures}"


def evaluate(run: Path, *, with_baseline: bool = True) -> list[dict[str, Any]]:
    """All rows for a run that is done.

    Raises:
        RunError: the run is not done, or no volume is held out.
    """
    recipe = read_cmmiqa_recipe(run / "recipe.json")
    listed = read_volume_list(Path(recipe.data), recipe.score_max)
    held_out = [row for row in listed if row.patient in recipe.held_out]
    if not held_out:
        raise RunError("The list has no volume of a patient who is held out.", "Name some in the recipe.")
    network = load_network(run, recipe)
    volumes = [prepare(row, WINDOWS[recipe.window], recipe.input_size) for row in held_out]
    right = [v.label.prompt for v in volumes]
    score = functools.partial(predict, network, volumes)
    rows = []
    if with_baseline:
        trained = [row for row in listed if row.patient not in recipe.held_out]
        rows += rows_of("noise level, one curve a modality", baseline(recipe, trained, volumes), volumes)
    rows += rows_of("CMMIQA, right prompt", score(right), volumes)
    rows += rows_of("CMMIQA, no prompt (unknown)", score([Prompt()] * len(volumes)), volumes)
    rows += rows_of("CMMIQA, wrong prompt", score([wrong(prompt) for prompt in right]), volumes)
    return rows


def load_network(run: Path, recipe: CMMIQARecipe) -> CMMIQA:
    """The network of a run that is done.

    Raises:
        RunError: the run is not done.
    """
    from safetensors.torch import load_file

    weights = run / "weights.safetensors"
    if not weights.is_file():
        raise RunError("The run has no weights yet.", "Let Training.train_cmmiqa finish.")
    network = CMMIQA(recipe.config())
    network.load_state_dict(load_file(weights))
    return network.eval()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of Training.train_cmmiqa")
    parser.add_argument("--out", type=Path, help="JSON file for the table")
    arguments = parser.parse_args()
    rows = evaluate(arguments.run)
    print("\n".join(line(row) for row in rows))
    if arguments.out:
        write_json(arguments.out, rows)


if __name__ == "__main__":
    run_command(main)
