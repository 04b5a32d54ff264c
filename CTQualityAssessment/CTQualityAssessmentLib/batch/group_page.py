"""``index.html`` of a batch: all studies on one page that needs nothing from outside."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from CTQualityAssessmentLib.batch.charts import WIDTH, scatter_chart, strip_chart
from CTQualityAssessmentLib.batch.groups import OUTLIER_RULE, Outlier, protocol_of, scanner_of, scored_studies
from CTQualityAssessmentLib.batch.plan import Entry
from CTQualityAssessmentLib.batch.records import FAILED, SCORED, SKIPPED, UNSCORED, Settings
from CTQualityAssessmentLib.batch.table import report_link
from CTQualityAssessmentLib.reporting.fact_labels import DISCLAIMER
from CTQualityAssessmentLib.reporting.page_parts import page_template
from CTQualityAssessmentLib.results import FAIR_SCORE, grade

_TEMPLATES = Path(__file__).with_name("templates")

#: Columns of the page's table: name of the figure, heading, digits after the point.
_NUMBERS = (
    ("mean", "Score", 2),
    ("percentile_10", "10th pct.", 2),
    ("scored", "Slices scored", 0),
    ("ctdivol_mgy", "CTDIvol, mGy", 1),
    ("noise_hu", "Noise, HU", 1),
    ("ssde_mgy", "SSDE, mGy", 1),
)


@dataclass(frozen=True)
class _Row:
    name: str
    link: str | None
    state: str
    reason: str
    numbers: tuple[tuple[float | None, str], ...]
    words: tuple[str, ...]
    outlier: bool


def group_page(
    entries: Sequence[Entry],
    outliers: Sequence[Outlier],
    settings: Settings,
    statement: str,
    *,
    identify: bool = False,
) -> str:
    """The page as text.

    Args:
        entries: all series of the input; those without a record were not reached.
        outliers: studies to mark.
        settings: how the studies were done.
        statement: of the model, what its labels were.
        identify: whether to show paths and protocol names, which may identify a patient.
    """
    studies = scored_studies(entries, identify)
    marked = {outlier.study.name for outlier in outliers}
    records = [entry.record for entry in entries if entry.record]
    scores = [one.score for one in studies]
    kinds = (
        ("protocol", "By protocol", lambda s: s.protocol),
        ("kernel", "By kernel", lambda s: s.kernel),
        ("scanner", "By scanner", lambda s: s.scanner),
    )
    return page_template("group.html", _TEMPLATES).render(
        width=WIDTH,
        headline=f"Median score {statistics.median(scores):.1f} of 4: {grade(statistics.median(scores))[0]}"
        if scores
        else "No study has a score",
        counts=_counts(entries),
        below_fair=sum(score < FAIR_SCORE for score in scores),
        fair=FAIR_SCORE,
        scored=len(scores),
        statement=statement,
        disclaimer=DISCLAIMER,
        strips=[(name, title, strip_chart(studies, by, marked)) for name, title, by in kinds] if studies else [],
        scatters=[
            ("ctdivol_mgy", "Score against dose", "CTDIvol, mGy", scatter_chart(studies, "ctdivol_mgy", "mGy", marked)),
            (
                "noise_hu",
                "Score against noise",
                "global noise level, HU",
                scatter_chart(studies, "noise_hu", "HU", marked),
            ),
        ]
        if studies
        else [],
        outliers=outliers,
        rule=OUTLIER_RULE,
        problems=[_row(entry, marked, identify) for entry in entries if _is_problem(entry)],
        headings=[heading for _, heading, _ in _NUMBERS],
        word_headings=["Protocol", "Kernel", "Scanner", *(["Path"] if identify else [])],
        rows=[_row(entry, marked, identify) for entry in entries if entry.record and entry.record.state != SKIPPED],
        skipped=Counter(record.reason or "" for record in records if record.state == SKIPPED),
        settings=settings,
        identify=identify,
    )


def _counts(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    count = Counter(entry.record.state if entry.record else "" for entry in entries)
    words = {SCORED: "scored", UNSCORED: "without a score", FAILED: "failed", SKIPPED: "skipped", "": "not reached"}
    return [("series found", len(entries)), *((word, count[state]) for state, word in words.items() if count[state])]


def _is_problem(entry: Entry) -> bool:
    return entry.record is not None and entry.record.state in (FAILED, UNSCORED)


def _row(entry: Entry, marked: set[str], identify: bool) -> _Row:
    record = entry.record
    values = record.values
    numbers = tuple(
        (values.get(name), "n/a" if values.get(name) is None else f"{values[name]:.{digits}f}")
        for name, _, digits in _NUMBERS
    )
    if values:
        protocol = (entry.protocol if identify else None) or protocol_of(values)
        words = [protocol, str(values.get("kernel", "n/a")), scanner_of(values)]
    else:
        words = [(entry.protocol if identify else None) or entry.label, "n/a", "n/a"]
    words += [entry.where] if identify else []
    return _Row(
        record.name,
        report_link(entry),
        record.state,
        record.reason or "",
        numbers,
        tuple(words),
        record.name in marked,
    )
