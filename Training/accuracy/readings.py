"""What a scorer says of many slices, kept by the hash of its weights so that a table is cheap to write again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from CTQualityAssessmentLib.assessment.scope import within_scope
from CTQualityAssessmentLib.assessment.slices import prepare_slice
from CTQualityAssessmentLib.assessment.volume_scoring import network_pixels
from CTQualityAssessmentLib.models import LoadedModel
from CTQualityAssessmentLib.reading.geometry import LPS_TO_RAS
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from numpy.typing import NDArray

from Training.scorers import load_scorer
from Training.whole_files import write_json

#: Columns to the left, rows to the feet, slices to the back, in LPS.
_UPRIGHT = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
#: Readings are written after so many slices, so that an interrupted table loses little.
_WRITE_EVERY = 20


@dataclass(frozen=True)
class Reading:
    """One slice as ``ctqa assess`` reads it, but with the score of refused slices too.

    Attributes:
        score: 0 to 4; None where the slice was refused before the network saw it.
        probabilities: of the scores 0.0, 0.2 ... 4.0; None from a network that gives the score alone.
        refusal: code of the refusal, None where ``ctqa assess`` gives the score.
        novelty: distance from the training data, over 1 is refused; None without such a model.
    """

    score: float | None
    probabilities: tuple[float, ...] | None
    refusal: str | None
    novelty: float | None


class Reader:
    """Reads slices with one scorer, each only once.

    Args:
        folder: a bundle, or the run folder of :mod:`Training.train`.
        held_out: patients that it must not have been trained on.
        cache: folder of the readings.
        device: see :func:`load_bundle`.

    Raises:
        SeenPatientsError: it may have seen one of the ``held_out`` patients.
    """

    def __init__(self, folder: Path, held_out: tuple[str, ...], cache: Path, device: str = "auto") -> None:
        self.model = load_scorer(folder, held_out, device)
        self.is_bundle = (folder / "configs").is_dir()
        picture = "" if self.model.picture == "whole" else f"-{self.model.picture}"
        self._file = cache / f"{self.model.identity.sha256[:16]}{picture}.json"
        known = json.loads(self._file.read_text(encoding="utf-8")) if self._file.is_file() else {}
        self._known: dict[str, dict[str, Any]] = known
        self.new = 0

    def __call__(self, slices: Sequence[NDArray[np.floating]], axial: bool = True) -> list[Reading]:
        """Readings of slices ``(rows, columns)`` in HU, axial or as coronal ones."""
        keys = [hashlib.sha256(np.ascontiguousarray(hu)).hexdigest()[:24] for hu in slices]
        for key, hu in zip(keys, slices, strict=True):
            if key not in self._known:
                self._known[key] = asdict(read_slice(self.model, hu))
                self.new += 1
                if self.new % _WRITE_EVERY == 0:
                    self.write()
        self.write()
        found = [_reading(self._known[key]) for key in keys]
        return [self._judged(one, hu, axial) for one, hu in zip(found, slices, strict=True)]

    def _judged(self, reading: Reading, hu: NDArray[np.floating], axial: bool) -> Reading:
        """With what the bundle's scope refuses, which is quick and not kept."""
        volume = _volume_of(hu, axial)
        slices = volume.canonical_slices()
        refusal = within_scope(prepare_slice(volume, slices, 0), slices, self.model.scope).refusal
        return reading if refusal is None else replace(reading, refusal=refusal.code)

    def write(self) -> None:
        """Keeps what was read."""
        write_json(self._file, self._known)


def _reading(values: dict[str, Any]) -> Reading:
    probabilities = values["probabilities"]
    return Reading(**{**values, "probabilities": None if probabilities is None else tuple(probabilities)})


def _volume_of(hu: NDArray[np.floating], axial: bool = True) -> Volume:
    """One slice on a 1 mm grid; axial, or coronal with its first row at the head."""
    # Rows to posterior and columns to the patient's left, as slices are stored: a turned slice gets another score.
    ijk_to_ras = LPS_TO_RAS.copy() if axial else LPS_TO_RAS @ _UPRIGHT
    return Volume(np.ascontiguousarray(hu)[None], ijk_to_ras, 2, AcquisitionFacts())


def read_slice(model: LoadedModel, hu: NDArray[np.floating]) -> Reading:
    """One slice ``(rows, columns)`` of HU on a 1 mm grid, alone, by the path of ``ctqa assess``."""
    volume = _volume_of(hu)
    prepared = prepare_slice(volume, volume.canonical_slices(), 0)
    if prepared.refusal is not None:
        return Reading(None, None, prepared.refusal.code, None)
    found = model.scorer(network_pixels(prepared, model))
    novelty = None if model.novelty is None else float(model.novelty(found.features)[0])
    probabilities = None
    if found.probabilities is not None:
        probabilities = tuple(round(float(p), 5) for p in found.probabilities[0])
    refusal = "out-of-distribution" if novelty is not None and novelty > 1 else None
    return Reading(float(found.scores[0]), probabilities, refusal, novelty)
