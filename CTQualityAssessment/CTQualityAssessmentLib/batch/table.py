"""``studies.csv``: one row per series, and what stands in it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.batch.plan import Entry
from CTQualityAssessmentLib.batch.records import FAILED, SKIPPED
from CTQualityAssessmentLib.measures import FIGURES, PhysicalMeasures
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.volume import AcquisitionFacts

FACTS = tuple(f.name for f in fields(AcquisitionFacts))
_SUMMARY = (
    "slices",
    "scored",
    "refused",
    "mean",
    "median",
    "percentile_10",
    "minimum",
    "maximum",
    "share_below_fair",
    "grade",
    "scored_range_mm",
)
#: Month of the scan, and a pseudonym of the scanner that is the same within one output folder.
ORIGIN = ("month", "scanner_unit")
#: Figures of one study: the summary's (scores 0 to 4), the physical measures and the acquisition facts, with the units
#: that their names tell. What is not known is empty.
VALUES: tuple[str, ...] = (
    *_SUMMARY,
    *FIGURES,
    *FACTS,
    *ORIGIN,
    "model",
    "model_version",
    "program_version",
    "device",
    "warnings",
)
COLUMNS: tuple[str, ...] = ("study", "state", "reason", "input", *VALUES, "outlier", "seconds", "report")
#: Only where they were asked for, since they may identify a patient.
IDENTIFYING: tuple[str, ...] = ("path", "protocol")


def study_values(
    assessment: VolumeAssessment, measures: PhysicalMeasures, month: str | None = None, unit: str | None = None
) -> dict[str, Any]:
    """The figures of a study by the names of :data:`VALUES`; what is not known is left out.

    Args:
        assessment, measures: of the study.
        month: in which it was scanned, ``YYYY-MM``.
        unit: pseudonym of the scanner.
    """
    values = {
        **dict(zip(ORIGIN, (month, unit), strict=True)),
        **{name: getattr(assessment.summary, name) for name in _SUMMARY},
        **{name: getattr(measures.volume, name) for name in FIGURES},
        **{name: assessment.facts.get(name) for name in FACTS},
        "model": assessment.model.name,
        "model_version": assessment.model.version,
        "program_version": __version__,
        "device": assessment.device,
        "warnings": " ".join(assessment.warnings) or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def table_text(entries: Sequence[Entry], outliers: dict[str, str], identify: bool) -> str:
    """The table as CSV text in UTF-8's repertoire; entries that were not reached are left out.

    Args:
        entries: all series of the input.
        outliers: sentence by name of the study.
        identify: whether to add path and protocol name, which may identify a patient.
    """
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS + (IDENTIFYING if identify else ()), extrasaction="ignore")
    writer.writeheader()
    for entry in entries:
        if (record := entry.record) is None:
            continue
        row = {
            "study": record.name,
            "state": record.state,
            "reason": record.reason,
            "input": entry.label,
            **record.values,
            "outlier": outliers.get(record.name),
            "seconds": record.seconds or None,
            "report": report_link(entry),
            "path": entry.where,
            "protocol": entry.protocol,
        }
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def report_link(entry: Entry) -> str | None:
    """The page of a study relative to the output folder, None where it has none."""
    record = entry.record
    return f"studies/{record.name}/index.html" if record and record.state not in (FAILED, SKIPPED) else None


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    # A header's text must not become a formula in a spreadsheet.
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
