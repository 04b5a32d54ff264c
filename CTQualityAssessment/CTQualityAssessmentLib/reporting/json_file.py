"""``assessment.json``: the whole result as one document, described by ``assessment.schema.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from CTQualityAssessmentLib.results import VolumeAssessment

SCHEMA_PATH = Path(__file__).with_name("assessment.schema.json")


def assessment_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document, as plain values."""
    return json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def to_json(assessment: VolumeAssessment) -> str:
    """The document as text. It holds no patient tag, UID, date or path, and no attention map.

    Raises:
        ValueError: a number of the assessment is not finite.
    """
    return json.dumps(assessment.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, assessment: VolumeAssessment) -> None:
    """Write :func:`to_json` to ``path`` in UTF-8."""
    path.write_text(to_json(assessment), encoding="utf-8")


def read_json(path: Path) -> VolumeAssessment:
    """The assessment of a document that :func:`write_json` wrote, without attention maps.

    Raises:
        ValueError: the text is no JSON, or of another major schema version.
    """
    return VolumeAssessment.from_dict(json.loads(path.read_text(encoding="utf-8")))
