"""Compares scorers on patients that none of them was trained on.

    python -m Training.evaluate --data build/simulated ClinReadNet=runs/clinreadnet plain-Swin=runs/plain ...

Prints and writes (``--out``) PLCC, SROCC, KROCC, their sum, MAE and PLCC by band, each with a 95 % bootstrap interval
over source slices, and the share of pairs in the right order. The first row is the noise-level regression; for the
others the sum's gain over it is given, paired: both scorers on the same resampled slices. The labels are surrogate
scores of simulated images: the figures say how well a network learned them, nothing about readers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from Training.command import run_command
from Training.data.builder import HELD_OUT
from Training.data.challenge import LabelledImage, read_challenge_folder
from Training.data.noise_level import NoiseRegression, noise_levels
from Training.metrics.agreement import MEASURES, band_plcc, bootstrap, overall, pair_order
from Training.scorers import load_scorer, predict_with
from Training.whole_files import write_json


@dataclass(frozen=True)
class Row:
    """One scorer's figures, as plain types."""

    name: str
    images: int
    figures: dict[str, tuple[float, float, float]]
    bands: dict[str, tuple[float, float, float]]
    pairs: dict[str, tuple[int, int]]

    def line(self) -> str:
        """One line of the printed table."""
        figures = "  ".join(f"{k} {v[0]:.4f} [{v[1]:.4f}, {v[2]:.4f}]" for k, v in self.figures.items())
        bands = "  ".join(f"{k} {v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]" for k, v in self.bands.items())
        pairs = "  ".join(
            f"{k} {right}/{total} ({right / total:.2%})" for k, (right, total) in self.pairs.items() if total
        )
        return f"{self.name} (n = {self.images})\n  {figures}\n  PLCC by band: {bands}\n  pairs in order: {pairs}"


def measure(
    name: str,
    predicted: NDArray[np.floating],
    images: list[LabelledImage],
    repeats: int = 500,
    baseline: NDArray[np.floating] | None = None,
) -> Row:
    """All figures of one scorer; with the scores of a ``baseline`` also the sum's gain over it."""
    true = np.array([image.score for image in images])
    sources = [image.source for image in images]
    figures = {key: tuple(bootstrap(f, predicted, true, sources, repeats)) for key, f in MEASURES.items()}
    if baseline is not None:

        def gain(indices: NDArray[np.floating], _: NDArray[np.floating]) -> float:
            chosen = indices.astype(int)
            return overall(predicted[chosen], true[chosen]) - overall(baseline[chosen], true[chosen])

        figures["sum above noise"] = tuple(bootstrap(gain, np.arange(len(true)), true, sources, repeats))
    bands = {
        band: tuple(bootstrap(lambda p, t, b=band: band_plcc(p, t).get(b, np.nan), predicted, true, sources, repeats))
        for band in band_plcc(predicted, true)
    }
    known = [n for n, image in enumerate(images) if image.dose is not None and image.views is not None]
    order = pair_order(
        predicted[known],
        [images[n].source for n in known],
        [images[n].dose or 0.0 for n in known],
        [images[n].views or 0 for n in known],
    )
    return Row(name, len(images), figures, bands, {k: (v.right, v.pairs) for k, v in order.items()})


def evaluate(data: Path, scorers: dict[str, Path], held_out: tuple[str, ...], repeats: int = 500) -> Iterator[Row]:
    """Rows for the noise regression and for each scorer on the held-out patients of a data folder, as they are done."""
    images = read_challenge_folder(data)
    tested = [image for image in images if image.patient in held_out]
    trained = [image for image in images if image.patient not in held_out]
    if not tested:
        raise ValueError("none of the held-out patients is in the data folder")
    regression = NoiseRegression.fit(noise_levels(trained), np.array([image.score for image in trained]))
    noise = regression(noise_levels(tested))
    yield measure("noise-level regression", noise, tested, repeats)
    for name, folder in scorers.items():
        scores = predict_with(load_scorer(folder, held_out), tested)
        yield measure(name, scores, tested, repeats, baseline=noise)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scorers", nargs="+", metavar="NAME=FOLDER", help="run folders or bundles")
    parser.add_argument("--data", type=Path, default=Path("build/simulated"))
    parser.add_argument("--held-out", nargs="+", default=list(HELD_OUT), metavar="PATIENT")
    parser.add_argument("--repeats", type=int, default=500, help="bootstrap repeats")
    parser.add_argument("--out", type=Path, help="JSON file for the table")
    arguments = parser.parse_args()
    scorers: dict[str, Any] = dict(item.split("=", 1) for item in arguments.scorers)
    rows = []
    for row in evaluate(
        arguments.data, {k: Path(v) for k, v in scorers.items()}, tuple(arguments.held_out), arguments.repeats
    ):
        print(row.line(), flush=True)
        rows.append(row)
    if arguments.out:
        write_json(arguments.out, [vars(row) for row in rows])


if __name__ == "__main__":
    run_command(main)
