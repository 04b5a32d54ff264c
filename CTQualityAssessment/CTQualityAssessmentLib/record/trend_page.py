"""The page of trends: quality against dose by scanner, protocol, kernel and month; one file that loads nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import CTQualityAssessmentLib.batch
from CTQualityAssessmentLib.batch.charts import WIDTH, ScatterChart, scatter_chart
from CTQualityAssessmentLib.batch.groups import Scored, protocol_of, scanner_of
from CTQualityAssessmentLib.batch.records import SCORED
from CTQualityAssessmentLib.record.drift import DRIFT_RULE, MonthOfGroup, months_of
from CTQualityAssessmentLib.record.store import Result
from CTQualityAssessmentLib.record.trend_charts import MonthChart, month_chart
from CTQualityAssessmentLib.reporting.fact_labels import DISCLAIMER
from CTQualityAssessmentLib.reporting.page_parts import page_template

_TEMPLATES = Path(__file__).with_name("templates")
_SHARED = Path(CTQualityAssessmentLib.batch.__file__).with_name("templates")
#: Groups of a kind, and series of a chart, that are drawn; the table has all groups.
_MOST_GROUPS, _MOST_DOTS = 12, 600
#: Series of an alert that are named: those to look at first.
_NAMED = 3

_KINDS: tuple[tuple[str, Callable[[Scored], str]], ...] = (
    ("Scanner", lambda s: s.scanner),
    ("Protocol", lambda s: s.protocol),
    ("Kernel", lambda s: s.kernel),
)


@dataclass(frozen=True)
class Alert:
    """A month that :data:`~.drift.DRIFT_RULE` marks, and its series to look at first."""

    kind: str
    group: str
    month: MonthOfGroup
    worst: tuple[Scored, ...]


@dataclass(frozen=True)
class Group:
    """A scanner, protocol or kernel with its charts."""

    name: str
    count: int
    months: tuple[MonthOfGroup, ...]
    chart: MonthChart
    doses: ScatterChart | None


@dataclass(frozen=True)
class Trends:
    """What the page shows.

    Attributes:
        studies: series with a score and a month.
        undated, unscored: how many others there are, without a month, or without a score.
        span: all months from the first to the last.
        kinds: heading, groups with charts, and the number of smaller groups without.
        months: kind, group and month of every group.
        alerts: newest first.
    """

    studies: tuple[Scored, ...]
    undated: int
    unscored: int
    span: tuple[str, ...]
    kinds: tuple[tuple[str, tuple[Group, ...], int], ...]
    months: tuple[tuple[str, str, MonthOfGroup], ...]
    alerts: tuple[Alert, ...]


def find_trends(results: Iterable[Result], link_of: Callable[[str], str] = lambda name: "") -> Trends:
    """Group, compare and draw.

    Args:
        results: of one model.
        link_of: from the page to the report of a series, "" where there is none.
    """
    newest = {one.series_key: one for one in results}  # with other settings a series has several; the last counts
    scored = [one for one in newest.values() if one.state == SCORED]
    studies = tuple(_study(one, link_of) for one in scored if one.figures.get("month"))
    span = _span(sorted({one.values["month"] for one in studies}))
    kinds, table, alerts = [], [], []
    for kind, by in _KINDS:
        found = months_of(studies, by)
        groups = sorted(found, key=lambda name: (-sum(len(m.studies) for m in found[name]), name))
        drawn = tuple(_group(name, found[name], span) for name in groups[:_MOST_GROUPS])
        kinds.append((f"By {kind.lower()}", drawn, len(groups) - len(drawn)))
        for name in groups:
            table += [(kind, name, month) for month in found[name]]
            alerts += [Alert(kind, name, month, _first(month)) for month in found[name] if month.alert]
    newest_first = sorted(alerts, key=lambda one: one.month.month, reverse=True)
    undated, unscored = len(scored) - len(studies), len(newest) - len(scored)
    return Trends(studies, undated, unscored, span, tuple(kinds), tuple(table), tuple(newest_first))


def trend_page(trends: Trends, model: str, statement: str | None) -> str:
    """The page as text.

    Args:
        trends: see :func:`find_trends`.
        model: SHA-256 of the weights.
        statement: of the model, what its labels were; None where it is not installed here.
    """
    return page_template("trends.html", _TEMPLATES, _SHARED).render(
        t=trends, model=model, statement=statement, disclaimer=DISCLAIMER, rule=DRIFT_RULE, width=WIDTH
    )


def report_links(page: Path, folders: Sequence[Path]) -> Callable[[str], str]:
    """Links from a page to the reports in output folders.

    Args:
        page: where it will lie.
        folders: the output folders; the first that has a report is taken.
    """

    def link_of(name: str) -> str:
        for folder in folders:
            report = folder / "studies" / name / "index.html"
            if report.is_file():
                return quote(Path(os.path.relpath(report.absolute(), page.absolute().parent)).as_posix())
        return ""

    return link_of


def _study(one: Result, link_of: Callable[[str], str]) -> Scored:
    figures = one.figures
    scanner = scanner_of(figures) + (f" #{figures['scanner_unit']}" if "scanner_unit" in figures else "")
    kernel = figures.get("kernel") or "Kernel n/a"
    link = link_of(one.series_key)
    return Scored(one.series_key, float(figures["mean"]), figures, protocol_of(figures), kernel, scanner, link)


def _group(name: str, months: list[MonthOfGroup], span: Sequence[str]) -> Group:
    studies = [study for month in months for study in month.studies]
    doses = scatter_chart(studies[-_MOST_DOTS:], "ctdivol_mgy", "mGy", set())
    return Group(name, len(studies), tuple(months), month_chart(months, span, _MOST_DOTS), doses)


def _first(month: MonthOfGroup) -> tuple[Scored, ...]:
    """Those that went furthest where the month went."""
    fell = (month.change or 0) < 0
    return tuple(sorted(month.studies, key=lambda one: one.score, reverse=not fell)[:_NAMED])


def _span(months: Sequence[str]) -> tuple[str, ...]:
    if not months:
        return ()
    first, last = (int(month[:4]) * 12 + int(month[5:7]) - 1 for month in (months[0], months[-1]))
    return tuple(f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(first, last + 1))
