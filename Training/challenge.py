"""Trains and evaluates on the published data set of LDCTIQAC2023, from its folder to a report, in one command.

    python -m Training.challenge data/LDCTIQAG2023 --folds stratified --test data/test --out runs/stratified
    python -m Training.challenge data/LDCTIQAG2023 --folds grouped --test data/test --out runs/grouped

``stratified`` splits by score alone, as entrants did; variants of one slice then lie on both sides, and the figures are
too good. ``grouped`` keeps similar slices in one fold: see :mod:`Training.data.folds`. Each image is scored by the fold
that did not train on it, the test set by each fold and by the mean of all. ``report.md`` and ``report.json`` give PLCC,
SROCC, KROCC and their sum, not fitted and not snapped, with 95 % intervals over groups of similar slices. The command
called again goes on where it stopped. ``Training.export RUN/fold0`` makes a bundle of a fold. ``--recipe`` takes
another recipe, of ClinReadNet or of TFKT, whose stage A is trained once for all folds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from CTQualityAssessmentLib.models import LoadedModel
from numpy.typing import NDArray

from Training.command import run_command
from Training.data.challenge import LabelledImage, read_challenge_folder
from Training.data.folds import grouped, make_folds
from Training.loop import RunError
from Training.metrics.agreement import MEASURES, bootstrap
from Training.recipe import Recipe, read_recipe
from Training.scorers import load_scorer, predict_with
from Training.tfkt_recipe import TfktRecipe, is_tfkt, read_tfkt_recipe
from Training.train import train
from Training.train_tfkt import train as train_tfkt
from Training.whole_files import write_json, write_text

RECIPE = Path(__file__).parent / "recipes" / "challenge_clinreadnet.yaml"
SPLITS = {"stratified": "stratified", "grouped": "similar slices"}


def run_challenge(
    recipe: Recipe | TfktRecipe, run: Path, test: Path | None = None, repeats: int = 500
) -> list[dict[str, Any]]:
    """Trains every fold of a recipe, evaluates, and writes the report.

    Args:
        recipe: its data folder is the published one; ``split`` and ``folds`` say how it is cut.
        run: ``fold0`` and so on, ``report.json`` and ``report.md`` come into it.
        test: a folder with ``images`` and ``test.json``.
        repeats: of the bootstrap.

    Returns:
        The rows of the report: "name", "images", "groups" and "figures", each with its interval.

    Raises:
        TrainingDataError: a folder cannot be used.
        RunError: the run folder is of another recipe, or the loss is not finite any more.
    """
    # Groups are needed for the intervals however the folds are made.
    images = grouped(read_challenge_folder(Path(recipe.data)))
    tested = grouped(read_challenge_folder(test, "test.json")) if test else []
    own, on_test = np.full(len(images), np.nan), []
    rows = []
    for fold, members in enumerate(make_folds(images, recipe.folds, recipe.seed, recipe.split)):
        model = _trained(replace(recipe, fold=fold), run / f"fold{fold}", images)
        if not PartialState().is_main_process:
            continue
        validation = [images[n] for n in members]
        own[members] = predict_with(model, validation)
        rows.append(_row(f"fold {fold}, validation", own[members], validation, repeats))
        if tested:
            on_test.append(predict_with(model, tested))
            rows.append(_row(f"fold {fold}, test set", on_test[-1], tested, repeats))
    if not PartialState().is_main_process:
        return []
    rows.append(_row("all folds, each image by the one that did not see it", own, images, repeats))
    if tested:
        rows.append(_row("**mean of the folds, test set**", np.mean(on_test, axis=0), tested, repeats))
    write_json(run / "report.json", {"recipe": {**recipe.to_dict(), "data": Path(recipe.data).name}, "rows": rows})
    write_text(run / "report.md", report(recipe, rows))
    return rows


def _trained(recipe: Recipe | TfktRecipe, run: Path, images: list[LabelledImage]) -> LoadedModel:
    """The scorer of a fold, trained unless its run is done."""
    if (run / "weights.safetensors").is_file():
        done = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
        if done != json.loads(json.dumps(recipe.to_dict())):
            raise RunError("The run folder holds a run of another recipe.", "Choose another folder with --out.")
    elif isinstance(recipe, TfktRecipe):
        first = run.with_name("fold0")
        train_tfkt(recipe, run, start=first if run != first and recipe.natural is not None else None)
    else:
        train(recipe, run, images=images)
    return load_scorer(run, recipe.held_out)


def _row(name: str, predicted: NDArray[np.floating], images: Sequence[LabelledImage], repeats: int) -> dict[str, Any]:
    true, sources = np.array([image.score for image in images]), [image.source for image in images]
    return {
        "name": name,
        "images": len(images),
        "groups": len(set(sources)),
        "figures": {key: tuple(bootstrap(f, predicted, true, sources, repeats)) for key, f in MEASURES.items()},
    }


def report(recipe: Recipe | TfktRecipe, rows: list[dict[str, Any]]) -> str:
    """``report.md``."""
    lines = [
        f"# {recipe.name}, folds: {recipe.split}",
        "",
        "PLCC, SROCC and KROCC are absolute values over all images, the scores are expected scores, neither fitted nor "
        "snapped; 95 % intervals over groups of similar slices.",
    ]
    if recipe.split == "stratified":
        lines.append(
            "**Variants of one slice lie on both sides of these folds: their validation figures are too good.** "
            "Judge by the folds of similar slices, and by the test set."
        )
    names = list(MEASURES)
    lines += ["", "| | images | groups | " + " | ".join(names) + " |", "|---|---|---|" + "---|" * len(names)]
    for row in rows:
        cells = " | ".join(f"{v[0]:.4f} [{v[1]:.4f}, {v[2]:.4f}]" for v in row["figures"].values())
        lines.append(f"| {row['name']} | {row['images']} | {row['groups']} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with image/ and train.json")
    parser.add_argument("--folds", choices=list(SPLITS), required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--test", type=Path, help="with images/ and test.json")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--natural-data", help="folder of rated natural images, for TFKT")
    parser.add_argument("--repeats", type=int, default=500, help="bootstrap repeats")
    arguments = parser.parse_args()
    given = {"data": str(arguments.folder), "split": SPLITS[arguments.folds]}
    if arguments.natural_data is not None:
        given["natural_data"] = arguments.natural_data
    recipe = (read_tfkt_recipe if is_tfkt(arguments.recipe) else read_recipe)(arguments.recipe, given)
    if run_challenge(recipe, arguments.out, arguments.test, arguments.repeats):
        print((arguments.out / "report.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_command(main)
