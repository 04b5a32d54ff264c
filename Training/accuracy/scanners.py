"""Leave one scanner out: what is left of a method on a scanner that it was not fitted on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from Training.accuracy.features import Features, fit_baselines
from Training.data.challenge import LabelledImage
from Training.data.sources import PATIENTS, data_folder
from Training.evaluate import Row, measure
from Training.recipe import Recipe
from Training.scorers import load_scorer, predict_with
from Training.train import train


def scanners() -> dict[str, tuple[str, ...]]:
    """Patients of the public CT by scanner, in the words of the manifest of the development data."""
    manifest = json.loads((data_folder() / "manifest.json").read_text(encoding="utf-8"))
    described = {entry["file"]: entry for entry in manifest}
    found: dict[str, set[str]] = {}
    for name, patient in PATIENTS.items():
        entry = described.get(f"ct/volumes/{name}.nii.gz", {})
        # Headers without a scanner stand for one of their own: nothing says which.
        scanner = " ".join(filter(None, (entry.get("manufacturer"), entry.get("model")))) or f"not named ({patient})"
        found.setdefault(scanner, set()).add(patient)
    return {scanner: tuple(sorted(patients)) for scanner, patients in sorted(found.items())}


def leave_scanner_out(
    images: Sequence[LabelledImage], held_out: tuple[str, ...], features: Features, repeats: int
) -> dict[str, list[Row]]:
    """Rows of the baselines for each scanner, fitted on all images but those of its patients and the held-out ones."""
    found = {}
    for scanner, patients in scanners().items():
        tested = [image for image in images if image.patient in patients]
        fitted = [image for image in images if image.patient not in {*patients, *held_out}]
        if tested and fitted:
            predictors = fit_baselines(features(fitted), _scores(fitted))
            of_tested = features(tested)
            found[scanner] = [
                measure(name, predict(of_tested[name]), tested, repeats) for name, predict in predictors.items()
            ]
    return found


def train_without_scanner(
    recipe: Recipe, images: Sequence[LabelledImage], runs: Path, repeats: int
) -> dict[str, list[Row]]:
    """A row for each scanner of a network that was trained without its patients; a training run each, kept in ``runs``.

    Args:
        recipe: of the networks; its held-out patients stay held out.
        images: to evaluate on, of all patients.
        runs: ``scanner-<patients>-<recipe>`` comes into it; a run that is there is gone on with.
    """
    found = {}
    for scanner, patients in scanners().items():
        tested = [image for image in images if image.patient in patients]
        if tested:
            without = replace(recipe, held_out=tuple(sorted({*recipe.held_out, *patients})))
            run = runs / f"scanner-{'-'.join(patients)}-{recipe.name}"
            if not (run / "weights.safetensors").is_file():
                train(without, run)
            scores = predict_with(load_scorer(run, without.held_out), tested)
            found[scanner] = [measure(recipe.name, scores, tested, repeats)]
    return found


def _scores(images: Sequence[LabelledImage]) -> NDArray[np.float64]:
    return np.array([image.score for image in images])
