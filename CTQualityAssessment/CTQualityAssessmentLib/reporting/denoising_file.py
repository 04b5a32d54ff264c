"""``denoising.json``: what was done to a volume, what it changed, what it kept."""

from __future__ import annotations

import json
from pathlib import Path

from CTQualityAssessmentLib.denoising import DenoisingReport


def denoising_to_json(report: DenoisingReport) -> str:
    """The report as JSON text; no identifier of the patient or of a file is in it."""
    return json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n"


def write_denoising(folder: Path, report: DenoisingReport) -> None:
    """Write ``denoising.json``."""
    (folder / "denoising.json").write_text(denoising_to_json(report), encoding="utf-8")
