"""What a scorer says of many slices, kept by the hash of its weights so that a table is cheap to write again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from CTQualityAssessmentLib.assessment.slices import prepare_slice
from CTQualityAssessmentLib.assessment.volume_scoring import network_pixels
from CTQualityAssessmentLib.models import LoadedModel
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from numpy.typing import NDArray

from Training.scorers import load_scorer
from Training.whole_files import write_json

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

    def __call__(self, slices: Sequence[NDArray[np.floating]]) -> list[Reading]:
        """Readings of slices ``(rows, columns)`` in HU."""
        keys = [hashlib.sha256(np.ascontiguousarray(hu)).hexdigest()[:24] for hu in slices]
        for key, hu in zip(keys, slices, strict=True):
            if key not in self._known:
                self._known[key] = asdict(read_slice(self.model, hu))
                self.new += 1
                if self.new % _WRITE_EVERY == 0:
                    self.write()
        self.write()
        return [_reading(self._known[key]) for key in keys]

    def write(self) -> None:
        """Keeps what was read."""
        write_json(self._file, self._known)


def _reading(values: dict[str, Any]) -> Reading:
    probabilities = values["probabilities"]
    return Reading(**{**values, "probabilities": None if probabilities is None else tuple(probabilities)})


def read_slice(model: LoadedModel, hu: NDArray[np.floating]) -> Reading:
    """One slice ``(rows, columns)`` of HU on a 1 mm grid, alone, by the path of ``ctqa assess``."""
    volume = Volume(np.ascontiguousarray(hu)[None], np.diag([1.0, 1.0, 1.0, 1.0]), 2, AcquisitionFacts())
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
