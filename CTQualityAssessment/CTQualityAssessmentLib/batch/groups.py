"""What belongs together, and what stands out of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from CTQualityAssessmentLib.batch.plan import Entry
from CTQualityAssessmentLib.batch.records import SCORED
from CTQualityAssessmentLib.batch.table import report_link

#: Fewest studies of a group to tell an outlier by.
FEWEST = 8
#: Modified z-score of Iglewicz and Hoaglin 1993 ("How to Detect and Handle Outliers"), and the factor that makes the
#: median absolute deviation a standard deviation for normal values.
_LIMIT, _MAD_TO_SD = 3.5, 1.4826
#: Spread in score points below which none is believed: half a step of the readers' scale.
_LEAST_SPREAD = 0.1

OUTLIER_RULE = (
    f"A study is marked where its score lies more than {_LIMIT} robust standard deviations from the median of its "
    f"group: the studies of the same protocol and kernel where there are at least {FEWEST}, else of the same kernel, "
    "else of the same protocol, else all. The robust standard deviation is "
    f"{_MAD_TO_SD} times the median absolute deviation, at least {_LEAST_SPREAD}. "
    "A mark is a reason to look, not a verdict."
)


@dataclass(frozen=True)
class Scored:
    """A study with a score, the groups it belongs to, and its report relative to the page, "" where there is none."""

    name: str
    score: float
    values: dict[str, Any]
    protocol: str
    kernel: str
    scanner: str
    link: str


@dataclass(frozen=True)
class Outlier:
    """A study that stands out: its group, the group's size and median, and by how many robust deviations."""

    study: Scored
    group: str
    size: int
    median: float
    deviations: float

    @property
    def sentence(self) -> str:
        """What is unusual, for the table."""
        side = "below" if self.deviations < 0 else "above"
        return (
            f"{abs(self.deviations):.1f} robust standard deviations {side} the median {self.median:.2f} of "
            f"{self.size} studies ({self.group})"
        )


def scored_studies(entries: Sequence[Entry], identify: bool = False) -> list[Scored]:
    """The studies that have a score.

    Args:
        entries: all series.
        identify: whether groups are named by ProtocolName, free text that may identify a patient, instead of by what
            the protocol sets.
    """
    found = []
    for entry in entries:
        record = entry.record
        if record is None or record.state != SCORED:
            continue
        protocol = (entry.protocol if identify else None) or protocol_of(record.values)
        kernel = record.values.get("kernel") or "Kernel n/a"
        score = float(record.values["mean"])
        link = report_link(entry) or ""
        found.append(Scored(record.name, score, record.values, protocol, kernel, scanner_of(record.values), link))
    return found


def protocol_of(values: dict[str, Any]) -> str:
    """Body part, tube voltage, slice thickness and contrast: what a protocol sets, without its name."""
    parts = [str(values["body_part"]).capitalize() if "body_part" in values else "Body part n/a"]
    if "kvp" in values:
        parts.append(f"{values['kvp']:g} kV")
    if "slice_thickness_mm" in values:
        parts.append(f"{values['slice_thickness_mm']:g} mm")
    if "contrast" in values:
        parts.append("contrast" if values["contrast"] else "no contrast")
    return ", ".join(parts)


def scanner_of(values: dict[str, Any]) -> str:
    """Vendor and model."""
    return " ".join(str(values[name]) for name in ("manufacturer", "scanner_model") if name in values) or "Scanner n/a"


def grouped(studies: Sequence[Scored], by: Callable[[Scored], str]) -> dict[str, list[Scored]]:
    """Studies by group, the group with the lowest median score first."""
    groups: dict[str, list[Scored]] = {}
    for one in studies:
        groups.setdefault(by(one), []).append(one)
    return dict(sorted(groups.items(), key=lambda item: (statistics.median(s.score for s in item[1]), item[0])))


def find_outliers(studies: Sequence[Scored]) -> list[Outlier]:
    """The studies that stand out by :data:`OUTLIER_RULE`, the most deviating first."""
    levels: list[tuple[Callable[[Scored], str], dict[str, list[Scored]]]] = [
        (by, grouped(studies, by))
        for by in (
            lambda s: f"{s.protocol}, {s.kernel}",
            lambda s: s.kernel,
            lambda s: s.protocol,
            lambda s: "all studies",
        )
    ]
    found = []
    for one in studies:
        for by, groups in levels:
            members = groups[by(one)]
            if len(members) < FEWEST:
                continue
            scores = [member.score for member in members]
            median = statistics.median(scores)
            spread = max(_MAD_TO_SD * statistics.median(abs(score - median) for score in scores), _LEAST_SPREAD)
            deviations = (one.score - median) / spread
            if abs(deviations) > _LIMIT:
                found.append(Outlier(one, by(one), len(members), median, deviations))
            break
    return sorted(found, key=lambda outlier: -abs(outlier.deviations))
