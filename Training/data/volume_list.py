"""Reads lists of scored volumes: JSON or CSV rows of image, score, modality and organ.

``image`` is a NIfTI, NRRD or MHA file or a DICOM folder, relative to the list; ``score`` lies in 0 ... ``score_max``
of the recipe; ``modality`` is CT or MR; ``organ`` is a word of ``prompts.ORGANS``, empty where it is not known.
``patient`` keeps the volumes of one patient on one side of a split; without it every image is a patient of its own.
Other columns are passed over.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from CTQualityAssessmentLib.assessment.volume_input import patient_in, volume_input
from CTQualityAssessmentLib.prompts import MODALITIES, ORGANS, UNKNOWN, Prompt
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.reading.wanted import Wanted
from CTQualityAssessmentLib.windows import Window
from numpy.typing import NDArray

from Training.data.challenge import TrainingDataError


@dataclass(frozen=True)
class LabelledVolume:
    """One volume with its label.

    Attributes:
        path: file or DICOM folder.
        score: in [0, 1].
        prompt: modality and organ as the list says.
        patient: whose it is.
        levels: of the degradations of a simulated volume; empty for others.
    """

    path: Path
    score: float
    prompt: Prompt
    patient: str
    levels: dict[str, Any]


@dataclass(frozen=True)
class PreparedVolume:
    """A labelled volume as the network reads it: ``pixels`` and ``patient_mask``, both ``(slices, rows, columns)``."""

    label: LabelledVolume
    pixels: NDArray[np.float16]
    patient_mask: NDArray[np.bool_]


def read_volume_list(path: Path, score_max: float = 1.0) -> list[LabelledVolume]:
    """The rows of a list, in their order.

    Args:
        path: ``*.json`` (a list of objects) or ``*.csv`` (with a header).
        score_max: the best score of the list's scale; scores are divided by it.

    Raises:
        TrainingDataError: the list cannot be read, or a row lacks a column, an image, or has an impossible value.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = list(csv.DictReader(text.splitlines())) if path.suffix.lower() == ".csv" else json.loads(text)
        volumes = [_labelled(path, number, row, score_max) for number, row in enumerate(rows, start=1)]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise TrainingDataError(
            "The list of volumes cannot be read.", "Give JSON or CSV rows of image, score, modality and organ."
        ) from error
    if not volumes:
        raise TrainingDataError("The list of volumes is empty.", "Add a row for each volume.")
    return volumes


def _labelled(path: Path, number: int, row: dict[str, Any], score_max: float) -> LabelledVolume:
    where = f"Row {number} of the list of volumes"
    missing = [name for name in ("image", "score", "modality") if row.get(name) in (None, "")]
    if missing:
        raise TrainingDataError(f"{where} lacks {' and '.join(missing)}.", "Fill it in, or leave the row out.")
    modality = str(row["modality"]).strip().upper()
    organ = str(row.get("organ") or UNKNOWN).strip().lower()
    if modality not in MODALITIES[1:]:
        raise TrainingDataError(f"{where} has another modality than CT or MR.", "Leave the row out.")
    if organ not in ORGANS:
        raise TrainingDataError(f"{where} has an unknown organ.", f"Choose one of {', '.join(ORGANS)}.")
    try:
        score = float(row["score"]) / score_max
    except (TypeError, ValueError):
        score = np.nan
    if not 0 <= score <= 1:
        raise TrainingDataError(f"{where} has a score outside of 0 to {score_max:g}.", "Correct the score.")
    image = path.parent / str(row["image"])
    if not image.exists():
        raise TrainingDataError(f"The image of row {number} of the list of volumes is not there.", "Check its path.")
    patient = str(row.get("patient") or row["image"])
    return LabelledVolume(image, score, Prompt(modality, organ), patient, row.get("levels") or {})


def prepare(label: LabelledVolume, window: Window, size: int) -> PreparedVolume:
    """Reads a volume and brings it to the network's grid, exactly as an assessment does.

    Args:
        label: from :func:`read_volume_list`.
        window: of CT.
        size: pixels of the longer side that the network reads.

    Raises:
        ReadingError: the image cannot be read as what the list says that it is.
    """
    modality = label.prompt.modality
    volume = read_volume(label.path, wanted=Wanted((modality,), modality))
    found = volume_input(volume, window, size)
    return PreparedVolume(label, found.pixels.astype(np.float16), patient_in(volume, size))
