"""``python -m Testing.hardness.volumes``: inputs that no scanner made, too large or hostile; each read or refused."""

from __future__ import annotations

import sys
from pathlib import Path

from Testing.hardness.cases import look_at
from Testing.hardness.inputs import QUICK, SLOW
from Testing.hardness.pool import DEFECTS, run_cases

_MAKERS = QUICK + SLOW
#: To write thousands of files takes its time too.
_PATIENCE = 6.0


def strange_input(number: int, folder: Path) -> tuple[str, str, str]:
    """A case for :func:`~Testing.hardness.pool.run_cases`."""
    make = _MAKERS[number]
    path = make(folder)
    return make.__name__, *look_at(path)


def main() -> int:
    """Do all, or those that are named, and print the table; 1 where there is a defect."""
    wanted = [n for n, make in enumerate(_MAKERS) if make.__name__ in sys.argv[1:] or not sys.argv[1:]]
    outcomes = sorted(run_cases(strange_input, wanted, patience=_PATIENCE), key=lambda one: one.seed)
    print("| input | what it is | outcome | processor |", "|---|---|---|---|", sep="\n")
    for one in outcomes:
        told = (_MAKERS[one.seed].__doc__ or "").strip()
        print(f"| `{_MAKERS[one.seed].__name__}` | {told} | {one.kind}: {one.detail} | {one.seconds:.1f} s |")
    return int(any(one.kind in DEFECTS for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
