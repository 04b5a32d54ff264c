"""Everything that the accuracy table says, as plain types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from CTQualityAssessmentLib.windows import WINDOWS

from Training.accuracy.features import NOISE, Features, fit_baselines
from Training.accuracy.readings import Reader, Reading
from Training.accuracy.scanners import leave_scanner_out, train_without_scanner
from Training.accuracy.strangers import REFORMAT, Slices, held_out_ct, kernel_pair, single_slices, strangers
from Training.data.challenge import LabelledImage, TrainingDataError, read_challenge_folder
from Training.data.folds import Item
from Training.evaluate import measure
from Training.metrics.coverage import coverage
from Training.recipe import Recipe

Say = Callable[[str], None]


def accuracy_table(
    data: Path,
    scorers: dict[str, Path],
    held_out: tuple[str, ...],
    cache: Path,
    *,
    repeats: int = 500,
    strangers_each: int = 16,
    baseline_every: int = 3,
    scanner_recipe: Recipe | None = None,
    runs: Path = Path("runs"),
    say: Say = print,
) -> dict[str, Any]:
    """Measures all scorers and baselines.

    Args:
        data: folder of :mod:`Training.data.build`.
        scorers: bundles and run folders by the name that they have in the table.
        held_out: patients that none of them was trained on; the table is measured on these.
        cache: folder of what was read already.
        repeats: of the bootstrap.
        strangers_each: slices of each kind that should be refused.
        baseline_every: the baselines are fitted on the images of every so-manieth slice, which is enough for them.
        scanner_recipe: also train this network without each scanner in turn.
        runs: where those runs go.
        say: told each part as it is done.

    Returns:
        "data", "methods", "refusals", "scanners" and "singles", see the functions that make them.

    Raises:
        TrainingDataError: the data folder has no held-out patient, or nobody to fit the baselines on.
        SeenPatientsError: a scorer may have seen one of the held-out patients.
    """
    images = [image for image in read_challenge_folder(data) if not _virtual(image)]
    tested = [image for image in images if image.patient in held_out]
    some = set(sorted({image.source for image in images if image.patient not in held_out})[::baseline_every])
    fitted = [image for image in images if image.source in some]
    if not tested or not fitted:
        raise TrainingDataError(
            "The data folder lacks the held-out patients, or all others.", "Build it with Training.data.build."
        )
    features = Features(cache)
    predictors = fit_baselines(features(fitted), np.array([image.score for image in fitted]))
    of_tested = features(tested)
    baseline = predictors[NOISE](of_tested[NOISE])
    methods: list[dict[str, Any]] = []
    for name, predict in predictors.items():
        scores = predict(of_tested[name])
        row = measure(name, scores, tested, repeats, None if name == NOISE else baseline)
        methods.append(
            {"kind": "baseline", **asdict(row), "kernels": None, "coverage": None, "sha256": None, "guessed": 0}
        )
        say(row.line())

    hu = [WINDOWS["ldctiqa"].invert(image.read()) for image in tested] if scorers else []
    native = list(held_out_ct(held_out))
    foreign = list(strangers(strangers_each))
    kernels, singles = kernel_pair(), single_slices()
    refusals, looks = [], []
    for name, folder in scorers.items():
        reader = Reader(folder, held_out, cache)
        readings = reader(hu)
        # Every method is measured on every image: one without a score at all counts as a guess of the middle.
        scores = np.array([2.0 if one.score is None else one.score for one in readings])
        row = measure(name, scores, tested, repeats, baseline)
        say(row.line())
        methods.append(
            {
                "kind": "bundle" if reader.is_bundle else "run",
                **asdict(row),
                "kernels": _kernel_order(reader, kernels),
                "coverage": _coverage(readings, tested),
                "sha256": reader.model.identity.sha256,
                "guessed": sum(one.score is None for one in readings),
            }
        )
        if reader.is_bundle:
            refusals.append(_refusals(name, reader, readings, native, foreign))
            looks.append({"name": name, "slices": [_look(one) for one in reader(singles)]})
    by_scanner = leave_scanner_out([*fitted, *tested], held_out, features, repeats)
    if scanner_recipe is not None:
        for scanner, rows in train_without_scanner(scanner_recipe, images, runs, repeats).items():
            by_scanner.setdefault(scanner, []).extend(rows)
    return {
        "data": {
            "folder": data.name,
            "images": len(tested),
            "slices": len({image.source for image in tested}),
            "patients": sorted({image.patient for image in tested}),
            "fitted": len(fitted),
        },
        "methods": methods,
        "refusals": refusals,
        "scanners": {scanner: [asdict(row) for row in rows] for scanner, rows in by_scanner.items()},
        "singles": looks,
    }


def _virtual(image: LabelledImage) -> bool:
    """Whether it is a source slice in another shape, which only networks are trained on."""
    return "-w" in image.source


def _kernel_order(reader: Reader, pair: tuple[Slices, Slices] | None) -> tuple[int, int] | None:
    """In how many slices of one real scan the soft kernel scores higher than the sharp one, and of how many."""
    if pair is None:
        return None
    soft, sharp = (reader(slices) for slices in pair)
    both = [(a.score, b.score) for a, b in zip(soft, sharp, strict=True) if None not in (a.score, b.score)]
    return sum(a > b for a, b in both), len(both)


def _coverage(readings: Sequence[Reading], images: Sequence[Item]) -> dict[str, tuple[float, float]] | None:
    known = [(one.probabilities, image.score) for one, image in zip(readings, images, strict=True)]
    known = [(probabilities, score) for probabilities, score in known if probabilities is not None]
    if not known:
        return None
    found = coverage(np.array([p for p, _ in known]), np.array([score for _, score in known]))
    return {f"{share:g}": tuple(value) for share, value in found.items()}


def _refusals(
    name: str,
    reader: Reader,
    simulated: Sequence[Reading],
    native: Sequence[tuple[str, Slices]],
    foreign: Sequence[tuple[str, Slices]],
) -> dict[str, Any]:
    """Wrong refusals (of body CT) and wrong acceptances (of anything else), each as (how many, of how many)."""
    wrong = {"simulated, held-out patients": (sum(one.refusal is not None for one in simulated), len(simulated))}
    for series, slices in native:
        wrong[series] = (sum(one.refusal is not None for one in reader(slices)), len(slices))
    accepted = {}
    for kind, slices in foreign:
        accepted[kind] = (sum(one.refusal is None for one in reader(slices, axial=kind != REFORMAT)), len(slices))
    return {"name": name, "wrong_refusals": wrong, "wrong_acceptances": accepted}


def _look(one: Reading) -> dict[str, Any]:
    return {"score": None if one.score is None else round(one.score, 2), "refusal": one.refusal}
