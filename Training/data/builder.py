"""How a data set is built from source slices: in several processes, and going on where a build was interrupted."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from Training.data.sources import PATIENTS, SourceSlice, phantom_sources, real_sources
from Training.whole_files import write_json

#: Patients that no shipped weights are trained on: an abdomen, a chest with two kernels, two phantoms.
HELD_OUT = ("acrin001", "lungdxA0001", "phantom900", "phantom901")


@dataclass(frozen=True)
class Origin:
    """Where source slices come from: a volume's file name, or a phantom's seed."""

    name: str
    count: int
    phantom_seed: int | None = None

    def slices(self) -> Iterator[SourceSlice]:
        """The noise-free slices of this origin."""
        if self.phantom_seed is None:
            return real_sources(self.name, self.count)
        return phantom_sources(self.phantom_seed, self.count)


def plan(real_count: int, phantom_seeds: tuple[int, ...], phantom_count: int) -> list[Origin]:
    """All origins of a training set, real volumes first."""
    return [Origin(name, real_count) for name in PATIENTS] + [
        Origin(f"phantom{seed:03d}", phantom_count, seed) for seed in phantom_seeds
    ]


def build_parser(description: str | None, *, real: int, phantom_slices: int) -> argparse.ArgumentParser:
    """The command line of a builder, with its defaults for slices a volume and a phantom."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--real", type=int, default=real, help="slices per public volume; 0 builds from phantoms only")
    parser.add_argument("--phantoms", type=int, default=6, help="phantoms to train on; two more are held out")
    parser.add_argument("--phantom-slices", type=int, default=phantom_slices, help="0 builds from public CT only")
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="VOLUME", help="public volumes not to use")
    return parser


def origins_of(arguments: argparse.Namespace) -> list[Origin]:
    """The origins that a command line of :func:`build_parser` asks for, those of held-out patients first.

    An interrupted build can then be evaluated on.
    """
    held_out = (int(name.removeprefix("phantom")) for name in HELD_OUT if name.startswith("phantom"))
    seeds = (*range(arguments.phantoms), *held_out) if arguments.phantoms else ()
    origins = plan(arguments.real, seeds, arguments.phantom_slices)
    wanted = [origin for origin in origins if origin.count > 0 and origin.name not in arguments.leave_out]
    return sorted(wanted, key=lambda origin: not any(name in origin.name for name in HELD_OUT))


def build(
    out: Path, folders: Sequence[str], build_origin: Callable[..., str], origins: list[Origin], workers: int, *more: Any
) -> None:
    """Builds each origin in a process of its own.

    Args:
        out: folder of the data set; ``folders`` and "parts" are made in it.
        folders: what the slices are written to.
        build_origin: called with an origin, ``out`` and ``more``; a function of a module, so that processes find it.
        origins: what to build.
        workers: processes.
    """
    for folder in (*folders, "parts"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        for job in [pool.submit(build_origin, origin, out, *more) for origin in origins]:
            print("built", job.result(), flush=True)


def part_file(out: Path, stem: str) -> Path:
    """The file that says, last of all, that the images of one source slice are complete."""
    return out / "parts" / f"{stem}.json"


def read_parts(out: Path) -> dict[str, Any]:
    """What the parts say, by the name of their source slice."""
    return {part.stem: json.loads(part.read_text(encoding="utf-8")) for part in sorted((out / "parts").glob("*.json"))}


def write_part(out: Path, stem: str, content: dict[str, Any]) -> None:
    """Marks the images of one source slice as complete."""
    write_json(part_file(out, stem), content)
