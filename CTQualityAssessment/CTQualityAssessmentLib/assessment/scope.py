"""What a network of trunk slices must not judge: slices that are not axial, or not composed like a trunk.

Novelty in the network's own features (models/novelty.py) takes a phantom or a head for a trunk that it has not met.
What a slice is made of says more: every trunk has fat and soft tissue, and little of what lies between fat and lung.
The limits lie outside of what the axial slices of the public CT at hand hold; ``Training/ACCURACY.md`` has the rates of
wrong refusals and wrong acceptances.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.slices import PreparedSlice
from CTQualityAssessmentLib.models.bundles import AXIAL_TRUNK
from CTQualityAssessmentLib.results import Refusal
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import CanonicalSlices

_ = marks_of(__file__)

#: Blocks along the longer side. Their means, about 6 mm across, hold a sixth of the noise of pixels.
_BLOCKS = 85
#: A patient of fewer whole blocks is not judged by its composition.
_FEWEST_BLOCKS = 5
#: The least spread of HU inside a patient.
_LEAST_SD_HU = 50.0
#: Steeper than 45 degrees to the patient's length is another reformat, no tilted gantry.
_LEAST_AXIAL = 0.7


@dataclass(frozen=True)
class _Part:
    """Share of the patient's blocks from ``low`` HU up to ``high`` that a trunk has."""

    low: float
    high: float
    least: float
    most: float
    too_little: str
    too_much: str


_PARTS = (
    _Part(-160, -30, 0.04, 0.75, _("too little fat"), _("too much fat")),
    _Part(0, 90, 0.06, 0.75, _("too little soft tissue"), _("too much soft tissue")),
    _Part(-500, -160, 0.0, 0.18, "", _("too much between fat and lung")),
    _Part(-30, 0, 0.0, 0.2, "", _("too much between fat and water")),
    _Part(90, 200, 0.0, 0.45, "", _("too much denser than soft tissue")),
    _Part(200, np.inf, 0.0, 0.25, "", _("too much bone")),
)


def is_axial(ijk_to_ras: NDArray[np.float64]) -> bool:
    """Whether slices along the third axis lie across the patient's length, by at most 45 degrees beside."""
    normal = ijk_to_ras[:3, 2] / np.linalg.norm(ijk_to_ras[:3, 2])
    return abs(float(normal[2])) >= _LEAST_AXIAL


def within_scope(prepared: PreparedSlice, slices: CanonicalSlices, scope: str) -> PreparedSlice:
    """The slice as it is, or refused where a network of this scope has never seen its like.

    Args:
        prepared: from :func:`prepare_slice`.
        slices: that it is one of.
        scope: what the bundle claims, of :data:`CTQualityAssessmentLib.models.bundles.SCOPES`.
    """
    if scope != AXIAL_TRUNK or prepared.refusal is not None or prepared.body is None:
        return prepared
    if not is_axial(slices.ijk_to_ras):
        reason = _("The slices are not axial; the model was trained on axial slices.")
    elif (what := unlike_a_trunk(prepared.hu, prepared.body)) is not None:
        reason = _("The slice is not made up like one of an adult trunk ({what}); the model knows no others.").format(
            what=what
        )
    else:
        return prepared
    return replace(prepared, refusal=Refusal("out-of-distribution", reason))


def unlike_a_trunk(hu: NDArray[np.generic], body: NDArray[np.bool_]) -> str | None:
    """What no trunk has, in words; None where the slice is made up like one.

    Args:
        hu: ``(rows, columns)`` in HU.
        body: the patient in it, of the same shape.
    """
    block = max(1, round(max(hu.shape) / _BLOCKS))
    inside = _blocks(body, block) > 0.99
    if np.count_nonzero(inside) < _FEWEST_BLOCKS:
        return None
    values = _blocks(hu, block)[inside]
    if values.std() < _LEAST_SD_HU:
        return _("all of one density")
    for part in _PARTS:
        share = float(np.mean((values >= part.low) & (values < part.high)))
        if share < part.least:
            return part.too_little
        if share > part.most:
            return part.too_much
    return None


def _blocks(values: NDArray[np.generic], size: int) -> NDArray[np.float32]:
    """Means of blocks of ``size`` pixels; what is left over at the far edges is cut off."""
    rows, columns = (n // size for n in values.shape)
    cut = np.asarray(values[: rows * size, : columns * size], dtype=np.float32)
    return cut.reshape(rows, size, columns, size).mean(axis=(1, 3))
