"""Features of images for the baselines, kept by file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.windows import WINDOWS
from numpy.typing import NDArray

from Training.accuracy.baselines import Ridge, mscn_features
from Training.data.challenge import LabelledImage
from Training.data.noise_level import NoiseRegression
from Training.data.sources import noise_sd
from Training.whole_files import write_json

Predictor = Callable[[NDArray[np.float64]], NDArray[np.float64]]
NOISE, NATURAL = "noise level, regression", "natural-image statistics (MSCN), ridge regression"
BASELINES = (NOISE, NATURAL)


class Features:
    """Features ``(N, F)`` of images by baseline; each image is measured once."""

    def __init__(self, cache: Path) -> None:
        self._file = cache / "features.json"
        self._known: dict[str, list[float]] = (
            json.loads(self._file.read_text(encoding="utf-8")) if self._file.is_file() else {}
        )

    def __call__(self, images: Sequence[LabelledImage]) -> dict[str, NDArray[np.float64]]:
        """By the names of :data:`BASELINES`."""
        rows = []
        new = 0
        for image in images:
            state = image.path.stat()
            key = f"{image.path.name}:{state.st_size}:{state.st_mtime_ns}"
            if key not in self._known:
                self._known[key] = list(features_of(image.read()))
                new += 1
                if new % 50 == 0:
                    write_json(self._file, self._known)
            rows.append(self._known[key])
        write_json(self._file, self._known)
        found = np.array(rows)
        return {NOISE: found[:, :1], NATURAL: found[:, 1:]}


def features_of(pixels: NDArray[np.floating]) -> NDArray[np.float64]:
    """Noise level in HU, then :func:`mscn_features`, of pixels in [0, 1]."""
    return np.concatenate([[noise_sd(WINDOWS["ldctiqa"].invert(pixels))], mscn_features(pixels)])


def fit_baselines(features: dict[str, NDArray[np.float64]], scores: NDArray[np.floating]) -> dict[str, Predictor]:
    """Each baseline fitted on training images."""
    noise = NoiseRegression.fit(features[NOISE][:, 0], scores)
    return {NOISE: lambda x: noise(x[:, 0]), NATURAL: Ridge.fit(features[NATURAL], scores)}
