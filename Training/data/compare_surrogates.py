"""Compares the fidelities that could stand behind the surrogate score.

    python -m Training.data.compare_surrogates build/simulated

For each: share of twofold dose and view pairs of one slice in the right order; Spearman correlation with the
dose-and-view formula; spread of the score at one dose and view setting (what anatomy, size and kernel add); and how
much of the score one noise figure explains (R2 of a cubic in its logarithm), which is how easy the task would be.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from Training.data.build import DOSES, VIEWS
from Training.data.builder import HELD_OUT
from Training.data.challenge import read_challenge_folder
from Training.data.noise_level import NoiseRegression, noise_levels
from Training.data.surrogate import SurrogateScore, dose_view_score
from Training.metrics.agreement import pair_order
from Training.metrics.fidelity import FIDELITIES


def compare(root: Path) -> list[dict[str, Any]]:
    """One row of figures for each fidelity and, last, for the formula, on the patients that are trained on."""
    groups = json.loads((root / "groups.json").read_text(encoding="utf-8"))
    images = [image for image in read_challenge_folder(root) if image.patient not in HELD_OUT]
    images = [image for image in images if not groups[image.path.name].get("virtual")]
    rows = [groups[image.path.name] for image in images]
    formula = np.array([dose_view_score(row["dose"], row["views"]) for row in rows])
    noise = noise_levels(images)
    candidates = {}
    for name in FIDELITIES:
        values = np.array([row["fidelity"][name] for row in rows])
        surrogate = SurrogateScore.fit(name, values)
        candidates[name] = np.array([surrogate(v) for v in values])
    candidates["dose-and-view formula"] = formula
    return [_figures(name, scores, formula, noise, rows) for name, scores in candidates.items()]


def _figures(name: str, scores: np.ndarray, formula: np.ndarray, noise: np.ndarray, rows: list[dict]) -> dict[str, Any]:
    sources, doses, views = ([row[key] for row in rows] for key in ("source", "dose", "views"))
    order = pair_order(scores, sources, doses, views)
    settings = [(np.array(doses) == d) & (np.array(views) == v) for d in DOSES for v in VIEWS]
    explained = NoiseRegression.fit(noise, scores)(noise)
    return {
        "fidelity": name,
        "dose pairs": order["dose"].share,
        "view pairs": order["views"].share,
        "SROCC with formula": float(stats.spearmanr(scores, formula)[0]),
        "SD within a setting": float(np.mean([scores[s].std() for s in settings])),
        "R2 of noise": float(1 - np.var(scores - explained) / np.var(scores)),
        "100 % / 720": float(scores[settings[0]].mean()),
        "10 % / 720": float(scores[settings[9]].mean()),
        "100 % / 180": float(scores[settings[2]].mean()),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    rows = compare(parser.parse_args().data)
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(v if isinstance(v, str) else f"{v:.3f}" for v in row.values()) + " |")


if __name__ == "__main__":
    main()
