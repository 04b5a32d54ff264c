"""``denoising.json``: what was done to a volume, what it changed, what it kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.reporting.volume_file import FORMATS
from CTQualityAssessmentLib.volume import Volume

SCHEMA_PATH = Path(__file__).with_name("denoising.schema.json")
_NAME = "denoising.json"


class DenoisingFolderError(CTQAError):
    """A folder does not hold the denoising that is asked for."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "Give the folder that 'ctqa denoise' wrote for this very input, unchanged.")


def denoising_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document, as plain values."""
    return json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))


def denoising_to_json(report: DenoisingReport) -> str:
    """The report as JSON text; no identifier of the patient or of a file is in it."""
    return json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n"


def write_denoising(folder: Path, report: DenoisingReport) -> None:
    """Write ``denoising.json``."""
    (folder / _NAME).write_text(denoising_to_json(report), encoding="utf-8")


def read_denoising(folder: Path, original: Volume) -> tuple[DenoisingReport, Volume]:
    """The report and the volume that ``ctqa denoise`` wrote into a folder.

    Args:
        folder: with ``denoising.json`` and ``denoised.nii.gz`` or ``denoised.nrrd``.
        original: what was denoised.

    Raises:
        DenoisingFolderError: a file is missing or damaged, or the denoising is of other voxels than ``original``.
        ReadingError: the volume cannot be read.
    """
    from CTQualityAssessmentLib.reading import read_volume

    try:
        report = DenoisingReport.from_dict(json.loads((folder / _NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DenoisingFolderError("The folder holds no denoising.json of this version of the program.") from None
    paths = [path for ending in FORMATS.values() if (path := folder / f"denoised{ending}").is_file()]
    if not paths:
        raise DenoisingFolderError("The folder holds no denoised volume.")
    if report.input_sha256 != original.voxel_sha256():
        raise DenoisingFolderError("The denoising is of another volume.")
    denoised = read_volume(paths[0])
    if report.result_sha256 != denoised.voxel_sha256():
        raise DenoisingFolderError("The denoised volume is not the one that denoising.json tells of.")
    return report, denoised
