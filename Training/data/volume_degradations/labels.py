"""The score of a degraded volume, in [0, 1]. It stands for the simulation's own measure, not for a reader.

CT: the mean over the slices of the surrogate score of ``Training/data/surrogate.json``, divided by 4. That score is
the PSNR of the slice against the same slice without any degradation, inside the body, in the soft-tissue window,
brought to the distribution of the published LDCTIQAG2023 training scores. So noise, streaks, blur and motion count in
one currency.

MR: ``1 - sum of penalties``, at least 0, with a penalty for each kind by its level alone (:func:`mr_score`). No public
score of MR gives a scale, and PSNR would condemn a bias field that no reader minds.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.results import MAX_SCORE
from numpy.typing import NDArray

from Training.data.surrogate import SurrogateScore
from Training.metrics.fidelity import FIDELITIES

#: Signal-to-noise ratios at which noise costs nothing and everything.
_SNR_FREE, _SNR_LOST = 60.0, 3.0
#: What a doubling of the acceleration, a ghost of full amplitude and a doubling of the bias field cost.
_ACCELERATION, _GHOST, _BIAS = 0.3, 2.0, 0.15


@cache
def _surrogate() -> SurrogateScore:
    file = Path(__file__).parents[1] / "surrogate.json"
    return SurrogateScore.from_dict(json.loads(file.read_text(encoding="utf-8")))


def ct_score(reference: NDArray[np.floating], degraded: NDArray[np.floating], body: NDArray[np.bool_]) -> float:
    """Score of a CT volume in [0, 1]; NaN where no slice shows a patient.

    Args:
        reference: HU of the volume without degradation, ``(slices, rows, columns)``.
        degraded: on the same grid.
        body: where the patient is.
    """
    surrogate = _surrogate()
    measure = FIDELITIES[surrogate.fidelity]
    scores = [surrogate(measure(a, b, m)) for a, b, m in zip(reference, degraded, body, strict=True) if m.any()]
    return float(np.mean(scores)) / MAX_SCORE if scores else math.nan


def mr_score(*, snr: float = math.inf, acceleration: float = 1.0, ghost: float = 0.0, bias: float = 1.0) -> float:
    """Score of an MR volume in [0, 1] by the levels of its degradations.

    Args:
        snr: costs ``log(60 / snr) / log(20)`` below 60, so everything at 3.
        acceleration: costs 0.3 for each doubling.
        ghost: amplitude; costs twice itself.
        bias: ratio of the field; costs 0.15 for each doubling.
    """
    noise = max(0.0, math.log(_SNR_FREE / min(snr, _SNR_FREE))) / math.log(_SNR_FREE / _SNR_LOST)
    cost = noise + _ACCELERATION * math.log2(acceleration) + _GHOST * ghost + _BIAS * math.log2(bias)
    return min(max(1.0 - cost, 0.0), 1.0)
