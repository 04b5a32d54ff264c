"""``python -m Testing.hardness``, ``make hardness``: ten thousand broken inputs, and the table of what became of them.

Each family's cases are numbered from 0, and the number of a case is its seed. What is done is kept in ``--log`` and
not done again. ``--show FAMILY N`` does one case in this process, without its bounds, to look for a defect's cause.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from itertools import takewhile
from pathlib import Path

from Testing.hardness.defects import archive_defect
from Testing.hardness.formats import broken_image, hostile_zip
from Testing.hardness.headers import broken_header
from Testing.hardness.pool import DEFECTS, Case, Outcome, run_cases
from Testing.hardness.voxels import strange_voxels

README = Path(__file__).with_name("README.md")
_BEGIN, _END = "<!-- made by 'make hardness' -->\n", "<!-- end -->\n"
#: What each case is, how many there are, and what is counted apart.
FAMILIES: dict[str, tuple[Case, int, Callable[[str], list[str]]]] = {
    "headers": (broken_header, 6000, lambda tried: tried.partition(": ")[2].split()),
    "images": (broken_image, 2000, lambda tried: [tried.partition(":")[0]]),
    "zips": (hostile_zip, 500, lambda tried: [tried]),
    "defects": (archive_defect, 1000, lambda tried: tried.split()),
    "voxels": (strange_voxels, 500, lambda tried: [tried.partition(",")[0]]),
}
_WORDS = {
    "headers": "DICOM files broken in one to three ways",
    "images": "NIfTI, NRRD, MetaImage, TIFF and zip files broken in one to three ways",
    "zips": "zips made to harm",
    "defects": "series with one to three defects of real archives",
    "voxels": "voxels and sizes that no patient has",
}


def table(outcomes: dict[str, list[Outcome]]) -> str:
    """What was tried, how often, and what happened, as Markdown."""
    lines = ["| family | cases | read | refused | defects | longest, processor | most memory |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, found in outcomes.items():
        lines.append(_row(f"{name}: {_WORDS[name]}", found))
    lines.append(_row("**all**", [one for found in outcomes.values() for one in found]))
    refused = Counter(one.detail for found in outcomes.values() for one in found if one.kind == "refused")
    lines += ["", f"Refused as: {', '.join(f'{error} {number}' for error, number in refused.most_common())}."]
    for name, found in outcomes.items():
        apart: dict[str, Counter[str]] = {}
        for one in found:
            for what in set(FAMILIES[name][2](one.tried)) or {"?"}:
                apart.setdefault(what, Counter())[one.kind] += 1
        lines += ["", f"**{name}**: cases, of them read / refused / defects.", ""]
        told = (f"`{what}` {count.total()} ({_counts(count)})" for what, count in sorted(apart.items()))
        lines.append(", ".join(told) + ".")
    return "\n".join(lines) + "\n"


def _counts(kinds: Counter[str]) -> str:
    return f"{kinds['volume']} / {kinds['refused']} / {sum(kinds[kind] for kind in DEFECTS)}"


def _row(name: str, found: list[Outcome]) -> str:
    kinds = Counter(one.kind for one in found)
    worst = max((one.seconds for one in found), default=0.0)
    peak = max((one.peak_mib for one in found), default=0.0)
    counts = (len(found), kinds["volume"], kinds["refused"], sum(kinds[kind] for kind in DEFECTS))
    return f"| {name} | {' | '.join(map(str, counts))} | {worst:.1f} s | {peak:.0f} MiB |"


def _earlier(log: Path) -> list[Outcome]:
    if not log.exists():
        return []
    return [Outcome(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]


def main() -> int:
    """Run what is not done yet, print the table and every defect; 1 where there is one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, default=Path("build/hardness"), help="folder of what is done")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="hand out no more cases afterwards")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--table", action="store_true", help="write the table into README.md")
    parser.add_argument("--show", nargs=2, metavar=("FAMILY", "N"))
    options = parser.parse_args()
    if options.show:
        with tempfile.TemporaryDirectory() as folder:
            print(*FAMILIES[options.show[0]][0](int(options.show[1]), Path(folder)))
        return 0
    options.log.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + options.seconds
    outcomes: dict[str, list[Outcome]] = {}
    for name, (case, count, _) in FAMILIES.items():
        log = options.log / f"{name}.jsonl"
        found = outcomes[name] = _earlier(log)
        done = {one.seed for one in found}
        seeds = (n for n in range(round(count * options.share)) if n not in done)
        with log.open("a", encoding="utf-8") as file:
            for one in run_cases(case, takewhile(lambda _: time.monotonic() < end, seeds), options.workers):
                found.append(one)
                file.write(json.dumps(asdict(one)) + "\n")
                file.flush()
                if one.kind in DEFECTS:
                    print(f"{name} {one.seed} ({one.tried}): {one.kind}: {one.detail}", flush=True)
    text = table(outcomes)
    print(text)
    if options.table:
        before, _, rest = README.read_text(encoding="utf-8").partition(_BEGIN)
        README.write_text(before + _BEGIN + "\n" + text + "\n" + _END + rest.partition(_END)[2], encoding="utf-8")
    return int(any(one.kind in DEFECTS for found in outcomes.values() for one in found))


if __name__ == "__main__":
    sys.exit(main())
