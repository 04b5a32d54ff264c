"""Writes the accuracy table: ``Training/ACCURACY.md`` and ``ACCURACY.json``.

    make accuracy
    python -m Training.accuracy --data build/simulated NAME=FOLDER ...

Without names it takes every scorer of slices in the store of bundles, and the runs of the ablations in ``runs``. What a
scorer said of an image is kept in ``build/readings`` by the hash of its weights, so that only what is new is computed.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from CTQualityAssessmentLib.models import installed_bundles, read_bundle
from CTQualityAssessmentLib.networks.names import SLICE_SCORERS

from Training.accuracy.page import accuracy_page
from Training.accuracy.table import accuracy_table
from Training.command import run_command
from Training.data.builder import HELD_OUT
from Training.recipe import read_recipe
from Training.whole_files import write_json, write_text

_HERE = Path(__file__).parents[1]


def known_scorers(runs: Path) -> dict[str, Path]:
    """Bundles of the store that score slices, and finished runs of the ablations."""
    found = {
        name: folder
        for name, folder in installed_bundles("score").items()
        if read_bundle(folder).network in SLICE_SCORERS
    }
    for folder in sorted(runs.glob("ablation_*")):
        if (folder / "weights.safetensors").is_file():
            found[f"ablation: {folder.name.removeprefix('ablation_').replace('_', ' ')}"] = folder
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scorers", nargs="*", metavar="NAME=FOLDER", help="bundles and run folders instead of all")
    parser.add_argument("--data", type=Path, default=Path("build/simulated"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--cache", type=Path, default=Path("build/readings"))
    parser.add_argument("--held-out", nargs="+", default=list(HELD_OUT), metavar="PATIENT")
    parser.add_argument("--scanner-recipe", type=Path, help="also train this network without each scanner in turn")
    parser.add_argument("--strangers", type=int, default=16, help="slices of each kind that should be refused")
    parser.add_argument("--repeats", type=int, default=500, help="bootstrap repeats")
    parser.add_argument(
        "--out", type=Path, default=_HERE / "ACCURACY.md", help="a .json of the same name goes beside it"
    )
    arguments = parser.parse_args()
    named = {name: Path(folder) for name, folder in (item.split("=", 1) for item in arguments.scorers)}
    table = accuracy_table(
        arguments.data,
        named or known_scorers(arguments.runs),
        tuple(arguments.held_out),
        arguments.cache,
        repeats=arguments.repeats,
        strangers_each=arguments.strangers,
        scanner_recipe=read_recipe(arguments.scanner_recipe) if arguments.scanner_recipe else None,
        runs=arguments.runs,
        say=lambda line: print(line, flush=True),
    )
    write_json(arguments.out.with_suffix(".json"), table)
    write_text(arguments.out, accuracy_page(table, shlex.join(["python", "-m", "Training.accuracy", *sys.argv[1:]])))
    print(arguments.out)


if __name__ == "__main__":
    run_command(main)
