"""``measures.json`` and ``measures.csv``: the physical measures, whole and as one row per slice."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from CTQualityAssessmentLib.measures import FIGURES, TISSUES, PhysicalMeasures, SliceMeasures

SCHEMA_PATH = Path(__file__).with_name("measures.schema.json")

_TISSUE_COLUMNS = tuple(f"{tissue}_{what}" for tissue in TISSUES for what in ("mean_hu", "sd_hu", "area_mm2"))

#: Slices count from 0 along the acquisition axis; positions are RAS millimetres; what could not be measured is empty,
#: and ``missing`` lists why as ``figure=code``, separated by blanks.
COLUMNS: tuple[str, ...] = ("slice", "r_mm", "a_mm", "s_mm", *FIGURES, *_TISSUE_COLUMNS, "missing")


def measures_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document, as plain values."""
    return json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def measures_to_json(measures: PhysicalMeasures) -> str:
    """The document as text. It holds no patient tag, UID, date or path.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(measures.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_measures(folder: Path, measures: PhysicalMeasures) -> None:
    """Write ``measures.json`` and ``measures.csv`` into a folder, in UTF-8."""
    (folder / "measures.json").write_text(measures_to_json(measures), encoding="utf-8")
    with (folder / "measures.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(_row(one) for one in measures.slices)


def read_measures(path: Path) -> PhysicalMeasures:
    """The measures of a document that :func:`write_measures` wrote.

    Raises:
        ValueError: the text is no JSON, or of another major schema version.
    """
    return PhysicalMeasures.from_dict(json.loads(path.read_text(encoding="utf-8")))


def _row(one: SliceMeasures) -> dict[str, object]:
    r, a, s = one.centre_ras
    numbers: dict[str, float | None] = {"r_mm": r, "a_mm": a, "s_mm": s}
    numbers |= {name: getattr(one, name) for name in FIGURES}
    for name, tissue in one.tissues.items():
        numbers |= {
            f"{name}_mean_hu": tissue.mean_hu,
            f"{name}_sd_hu": tissue.sd_hu,
            f"{name}_area_mm2": tissue.area_mm2,
        }
    return {
        "slice": one.index,
        "missing": " ".join(f"{name}={code}" for name, code in one.missing.items()),
        **{name: None if value is None else f"{value:.6g}" for name, value in numbers.items()},
    }
