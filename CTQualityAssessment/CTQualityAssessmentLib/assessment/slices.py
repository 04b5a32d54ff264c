"""Slices as a network reads them: windowed, on its grid, or refused before it sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.results import Refusal
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import CanonicalSlices, Volume

_ = marks_of(__file__)

#: Under this share of the slice's area there is too little patient to judge.
SMALLEST_BODY = 0.04
#: A CT of a patient has air around or inside the body and no tissue below it.
_AIR_HU = -300.0


@dataclass(frozen=True)
class PreparedSlice:
    """One slice before scoring: its HU, where and how much of it is patient, or why it is refused."""

    index: int
    hu: NDArray[np.generic]
    body_fraction: float
    refusal: Refusal | None
    body: NDArray[np.bool_] | None = None


def prepare_slice(volume: Volume, slices: CanonicalSlices, index: int) -> PreparedSlice:
    """Looks at one slice and refuses it where no score can be meant.

    Refusals: the volume is declared to be another modality than CT; the slice's values cannot be HU of a patient; no
    patient in view.
    """
    hu = slices.hu[index]
    spacing = np.linalg.norm(slices.ijk_to_ras[:3, :2], axis=0)
    modality = volume.facts.modality
    if modality not in (None, "CT"):
        return PreparedSlice(
            index,
            hu,
            0.0,
            Refusal("not-ct", _("The volume is {modality}, and the model reads CT only.").format(modality=modality)),
        )
    low, high = int(hu.min()), int(hu.max())
    if high - low < 50 or high < _AIR_HU:
        return PreparedSlice(index, hu, 0.0, Refusal("no-body", _("The slice is empty.")))
    # Fat and noise take every slice of a patient below water, also where no air is in view.
    if low >= 0 or (low > _AIR_HU and float(np.median(hu)) > 400):
        return PreparedSlice(index, hu, 0.0, Refusal("not-ct", _("The values are not Hounsfield units of a patient.")))
    body = body_mask(hu, (float(spacing[1]), float(spacing[0])))
    fraction = float(body.mean())
    if fraction < SMALLEST_BODY:
        return PreparedSlice(
            index, hu, fraction, Refusal("no-body", _("There is no patient, or too little, in the slice."))
        )
    return PreparedSlice(index, hu, fraction, None, body)
