"""How often the drift rule errs, in simulated departments: ``python -m Testing.benchmarks.drift_rule``.

Three scanners, 12 months, 20 series a scanner and month, as in ``simulated.py``. Prints the table that README shows.
"""

from __future__ import annotations

import argparse

from CTQualityAssessmentLib.record.trend_page import find_trends

from Testing.record.simulated import Drift, department, month_name, name_of

#: Month of the planted change, counted from 0, and the scanner that has it.
MONTH, SCANNER = 8, 0
CHANGES = (-0.2, -0.3, -0.4, -0.6)


def alerts(departments: int, drifts: tuple[Drift, ...] = ()) -> list[set[tuple[str, str, str]]]:
    """Kind, group and month of the alerts of each department."""
    return [
        {(one.kind, one.group, one.month.month) for one in find_trends(department(seed, drifts=drifts)).alerts}
        for seed in range(departments)
    ]


def table(departments: int) -> str:
    """Markdown."""
    steady = alerts(departments)
    scanners = sum(kind == "Scanner" for found in steady for kind, _, _ in found)
    lines = [
        "| simulated department | share |",
        "|---|---|",
        f"| no change: departments with an alert of any kind in the year | {sum(map(bool, steady))} of {departments} |",
        f"| no change: scanner-months with an alert | {scanners} of {departments * 3 * 12} |",
    ]
    for change in CHANGES:
        found = alerts(departments, (Drift(SCANNER, MONTH, change),))
        at_once = sum(("Scanner", name_of(SCANNER), month_name(MONTH)) in one for one in found)
        soon = sum(
            any(("Scanner", name_of(SCANNER), month_name(MONTH + later)) in one for later in range(3)) for one in found
        )
        lines.append(f"| one scanner {change:+.1f}: alert in the first month | {at_once} of {departments} |")
        lines.append(f"| one scanner {change:+.1f}: alert within three months | {soon} of {departments} |")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--departments", type=int, default=100)
    print(table(parser.parse_args().departments))


if __name__ == "__main__":
    main()
