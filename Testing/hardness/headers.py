"""``python -m Testing.hardness.headers --cases N``: broken DICOM files, each read or refused, nothing else.

``--first`` is the number of the first case. ``--log`` appends what came of each case to a file, goes on behind the last
case in it, and counts all of them; ``--seconds`` hands out no more cases after that time. ``--show`` prints one case's
outcome in this process, without its bounds, to look for the cause of a defect.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from itertools import takewhile
from math import inf
from pathlib import Path

from Testing.hardness.bases import BASES
from Testing.hardness.cases import look_at, write_case
from Testing.hardness.pool import DEFECTS, Outcome, run_cases


def broken_header(seed: int, folder: Path, bases: Sequence[str] = BASES) -> tuple[str, str, str]:
    """A case for :func:`~Testing.hardness.pool.run_cases`."""
    tried = write_case(seed, folder, bases)
    return tried, *look_at(folder)


def table(outcomes: list[Outcome]) -> str:
    """What was tried, how often, and what happened, as Markdown."""
    by_mutation: dict[str, Counter[str]] = {}
    for one in outcomes:
        for name in set(one.tried.partition(": ")[2].split()) or {"?"}:
            by_mutation.setdefault(name, Counter())[one.kind] += 1
    lines = ["| mutation | cases | read | refused | defects |", "|---|---|---|---|---|"]
    for name, counts in sorted(by_mutation.items()):
        defects = sum(counts[kind] for kind in DEFECTS)
        lines.append(f"| `{name}` | {counts.total()} | {counts['volume']} | {counts['refused']} | {defects} |")
    return "\n".join(lines)


def _earlier(log: Path | None) -> list[Outcome]:
    if log is None or not log.exists():
        return []
    return [Outcome(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]


def main() -> int:
    """Run the cases, print the table and every defect with its number; 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--show", type=int)
    parser.add_argument("--base", choices=BASES, help="start from this encoding only")
    parser.add_argument("--log", type=Path, help="a file to go on with")
    parser.add_argument("--seconds", type=float, default=inf)
    options = parser.parse_args()
    case = partial(broken_header, bases=(options.base,)) if options.base else broken_header
    if options.show is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(options.show, *case(options.show, Path(folder)))
        return 0
    begun = time.monotonic()
    outcomes = _earlier(options.log)
    first = max([options.first, *(one.seed + 1 for one in outcomes)])
    seeds = takewhile(lambda _: time.monotonic() - begun < options.seconds, range(first, first + options.cases))
    for one in run_cases(case, seeds, options.workers):
        outcomes.append(one)
        if options.log:
            with options.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(one)) + "\n")
        if one.kind in DEFECTS:
            print(f"{one.kind}: case {one.seed} ({one.tried}): {one.detail}", flush=True)
    counts = Counter(one.kind for one in outcomes)
    print(table(outcomes))
    print(", ".join(f"{number} {kind}" for kind, number in counts.most_common()), f"of {len(outcomes)}")
    for kind in ("refused", "volume"):
        details = Counter(one.detail for one in outcomes if one.kind == kind)
        print(f"{kind}: " + ", ".join(f"{detail} {number}" for detail, number in details.most_common()))
    slowest = max(outcomes, key=lambda one: one.seconds)
    print(f"{time.monotonic() - begun:.0f} s by the clock; slowest case {slowest.seed}, {slowest.seconds:.1f} s")
    print(f"most memory of a process: {max(one.peak_mib for one in outcomes):.0f} MiB")
    return int(any(counts[kind] for kind in DEFECTS))


if __name__ == "__main__":
    sys.exit(main())
