"""A hospital's own scores: a CSV of files and scores, and the slices that it names, as the engine reads them."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.assessment.slices import PreparedSlice, prepare_slice
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.results import MAX_SCORE
from CTQualityAssessmentLib.volume import Volume

from Training.data.challenge import TrainingDataError

COLUMNS = ("file", "score", "patient", "slice")
#: Fewer scores than these cannot be trained on and validated.
FEWEST_ROWS, FEWEST_LEVELS, FEWEST_GROUPS = 20, 3, 5
#: A score of a whole volume stands for so many of its slices, evenly spaced.
_SLICES_A_VOLUME = 8
_SHOWN = 10


class ScoreTableError(TrainingDataError):
    """The table, or rows of it, cannot be used."""

    exit_code = 3


@dataclass(frozen=True)
class RatedSlice:
    """One slice with the score of its row.

    Attributes:
        prepared: the slice as the engine prepares it.
        score: 0 to 4.
        patient: whose slices stay together: the table's patient, else the file.
        dose, views: nobody knows them.
    """

    prepared: PreparedSlice
    score: float
    patient: str
    dose: None = None
    views: None = None

    @property
    def source(self) -> str:
        """What intervals are taken over."""
        return self.patient


@dataclass(frozen=True)
class ScoreTable:
    """The slices of a table, and whether it says whose they are."""

    slices: list[RatedSlice]
    rows: int
    names_patients: bool


def read_score_table(path: Path) -> ScoreTable:
    """Reads a table and all slices that it names.

    Columns: "file" (DICOM file or folder, NIfTI and whatever else ``ctqa`` reads; relative to the table), "score" (0 to
    4), and optionally "patient" and "slice" (as in ``slices.csv``, from 0). Without "slice" a score stands for the
    volume: up to eight slices of it, evenly spaced, get it.

    Raises:
        ScoreTableError: the table cannot be read or is too small, or rows are bad; it names these by their numbers, the
            heading being row 1, and never by file or patient.
    """
    rows = _rows(path)
    problems: list[str] = []
    found: list[RatedSlice] = []
    opened: tuple[Path, Volume] | None = None
    for number, row in enumerate(rows, start=2):
        try:
            score = _score(row)
            file = path.parent / row["file"]
            if opened is None or opened[0] != file:
                opened = file, read_volume(file)
            patient = (row.get("patient") or "").strip() or row["file"]
            found += [RatedSlice(one, score, patient) for one in _slices(opened[1], row.get("slice"))]
        except CTQAError as error:
            problems.append(f"row {number}: {error.problem}")
    if problems:
        more = f" And {len(problems) - _SHOWN} more." if len(problems) > _SHOWN else ""
        raise ScoreTableError(
            f"{len(problems)} of {len(rows)} rows cannot be used. {' '.join(problems[:_SHOWN])}{more}",
            "Mend or remove these rows.",
        )
    names_patients = all((row.get("patient") or "").strip() for row in rows)
    _check_size(rows, found)
    return ScoreTable(found, len(rows), names_patients)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if any(isinstance(value, str) and value.strip() for value in row.values())]
            columns = set(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScoreTableError("The table cannot be read as CSV.", "Save it as CSV in UTF-8.") from error
    if not {"file", "score"} <= columns or not columns <= set(COLUMNS):
        raise ScoreTableError(
            "The heading of the table is not as expected.",
            "Name the columns file, score and, if you have them, patient and slice.",
        )
    return rows


def _score(row: dict[str, str]) -> float:
    try:
        score = float(row["score"])
    except (TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= MAX_SCORE:
        raise ScoreTableError("the score is no number from 0 to 4.", "")
    if not (row["file"] or "").strip():
        raise ScoreTableError("no file is named.", "")
    return score


def _slices(volume: Volume, wanted: str | None) -> list[PreparedSlice]:
    count = volume.slice_count
    if (wanted or "").strip():
        if not wanted.strip().isdecimal() or int(wanted) >= count:
            raise ScoreTableError(f"the slice is no whole number from 0 to {count - 1}.", "")
        chosen = np.array([int(wanted)])
    else:
        chosen = np.unique(np.linspace(0, count - 1, min(count, _SLICES_A_VOLUME) + 2).round().astype(int)[1:-1])
        chosen = chosen if len(chosen) else np.array([0])
    slices = volume.canonical_slices()
    prepared = [prepare_slice(volume, slices, int(k)) for k in chosen]
    readable = [one for one in prepared if one.refusal is None]
    if not readable:
        raise ScoreTableError(prepared[0].refusal.reason.lower() if prepared[0].refusal else "no slice.", "")
    return readable


def _check_size(rows: list[dict[str, str]], found: list[RatedSlice]) -> None:
    levels, groups = len({one.score for one in found}), len({one.patient for one in found})
    if len(rows) < FEWEST_ROWS or levels < FEWEST_LEVELS or groups < FEWEST_GROUPS:
        raise ScoreTableError(
            f"The table has {len(rows)} rows with {levels} different scores of {groups} patients or files; that is too "
            "few to train on and to validate.",
            f"Give at least {FEWEST_ROWS} rows with {FEWEST_LEVELS} different scores of {FEWEST_GROUPS} patients.",
        )
