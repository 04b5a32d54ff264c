"""The accuracy table as a page in Markdown."""

from __future__ import annotations

from typing import Any

_INTRODUCTION = """# Accuracy

Written by `{command}` (`make accuracy` takes all methods); the same figures stand in `ACCURACY.json`.

**Simulated images, computed labels.** {images} images of {slices} source slices of the patients {patients}, whom no
method here was trained or fitted on. The figures say how well a method learned the simulation's surrogate score, not
how well it agrees with radiologists. Intervals are 95 % bootstrap intervals over source slices; two patients and two
phantoms are few, and the intervals do not know that. Some decisions on networks and data were taken by looking at these
images: this is a validation, not a blind test.
"""


def accuracy_page(table: dict[str, Any], command: str) -> str:
    """``ACCURACY.md`` from what :func:`accuracy_table` found."""
    data = table["data"]
    parts = [
        _INTRODUCTION.format(
            command=command, images=data["images"], slices=data["slices"], patients=", ".join(data["patients"])
        ),
        _agreement(table["methods"], data["fitted"]),
        _order(table["methods"]),
        _coverage(table["methods"]),
        _refusals(table["refusals"]),
        _scanners(table["scanners"]),
        _singles(table["singles"]),
    ]
    return "\n".join(part for part in parts if part)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def _interval(value: Any, digits: int = 3) -> str:
    return f"{value[0]:.{digits}f} [{value[1]:.{digits}f}, {value[2]:.{digits}f}]" if value else ""


def _ratio(pair: Any) -> str:
    return f"{pair[0]} of {pair[1]}" if pair and pair[1] else "n/a"


def _name(row: dict[str, Any]) -> str:
    kinds = {"bundle": "**{}**", "baseline": "baseline: {}"}
    guessed = f" ({row['guessed']} images without a score, taken as 2.0)" if row["guessed"] else ""
    return kinds.get(row["kind"], "{}").format(row["name"]) + guessed


def _agreement(methods: list[dict[str, Any]], fitted: int) -> str:
    head = ["method", "sum", "PLCC", "SROCC", "KROCC", "MAE (points)", "sum above noise level"]
    keys = ("sum", "PLCC", "SROCC", "KROCC", "MAE", "sum above noise")
    rows = [[_name(row), *(_interval(row["figures"].get(key)) for key in keys)] for row in methods]
    bands = sorted({band for row in methods for band in row["bands"]})
    banded = [[_name(row), *(_interval(row["bands"].get(band), 2) for band in bands)] for row in methods]
    return (
        "## Agreement with the surrogate score\n\nBold: bundles in the store. The others are training runs at smaller "
        f"budgets, and baselines fitted on {fitted} images of the patients that are not held out.\n\n"
        + _table(head, rows)
        + "\nPLCC within one-point bands of the true score:\n\n"
        + _table(["method", *bands], banded)
    )


def _order(methods: list[dict[str, Any]]) -> str:
    kinds = ["dose", "dose, next step", "views", "views, next step"]
    rows = [
        [_name(row), *(_ratio(row["pairs"].get(kind)) for kind in kinds), _ratio(row["kernels"])] for row in methods
    ]
    return (
        "## Order of pairs\n\nTwo images of one slice whose dose, or number of views, differs twofold or more; of "
        "these the next steps, less than fourfold. Kernels: slices of one real scan in which the soft kernel scores "
        "higher than the sharp one, which has more noise.\n\n"
        + _table(["method", *kinds, "soft over sharp kernel"], rows)
    )


def _coverage(methods: list[dict[str, Any]]) -> str:
    known = [row for row in methods if row["coverage"]]
    if not known:
        return ""
    shares = list(known[0]["coverage"])
    head = ["method", *(f"{float(share):.0%} interval" for share in shares)]
    rows = [
        [_name(row), *(f"{share:.0%}, {width:.2f} wide" for share, width in row["coverage"].values())] for row in known
    ]
    return (
        "## Uncertainty\n\nShare of true scores inside the central interval of the network's own distribution, and how "
        "wide it is on average, in points. An interval that means what it says holds its share.\n\n"
        + _table(head, rows)
    )


def _refusals(refusals: list[dict[str, Any]]) -> str:
    if not refusals:
        return ""
    names = [one["name"] for one in refusals]
    text = "## Refusals\n\n"
    for key, words in (
        ("wrong_refusals", "Wrong refusals: slices of body CT without a score, of patients that were not trained on."),
        ("wrong_acceptances", "Wrong acceptances: what is no axial body CT and got a score all the same."),
    ):
        rows = [[kind, *(_ratio(one[key][kind]) for one in refusals)] for kind in refusals[0][key]]
        total = [[sum(pair[n] for pair in one[key].values()) for n in (0, 1)] for one in refusals]
        rows.append(["**all**", *(f"**{_ratio(pair)}**" for pair in total)])
        text += f"{words}\n\n" + _table(["", *names], rows) + "\n"
    return text


def _scanners(scanners: dict[str, list[dict[str, Any]]]) -> str:
    rows = [
        [scanner, row["name"], str(row["images"]), _interval(row["figures"]["sum"]), _interval(row["figures"]["MAE"])]
        for scanner, methods in scanners.items()
        for row in methods
    ]
    return (
        "## Leave one scanner out\n\nFitted without the patients of the scanner, and without the held-out ones; "
        "measured on the scanner's simulated images.\n\n"
        + _table(["scanner", "method", "images", "sum", "MAE (points)"], rows)
        if rows
        else ""
    )


def _singles(looks: list[dict[str, Any]]) -> str:
    text = ""
    for look in looks:
        scores = [f"{one['score']:.1f}" if one["refusal"] is None else "refused" for one in look["slices"]]
        text += f"- {look['name']}: {', '.join(scores)}\n" if scores else ""
    return (
        f"## The single slices with natural artefacts\n\nA look, not a figure: nobody rated them.\n\n{text}"
        if text
        else ""
    )
