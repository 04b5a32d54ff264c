"""Scores a volume as a whole: one score, a profile along the patient, and two maps in 3D."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.prompting import NOTHING_TOLD, Told, prompt_of
from CTQualityAssessmentLib.assessment.slices import SMALLEST_BODY
from CTQualityAssessmentLib.assessment.token_maps import TokenMaps, token_maps
from CTQualityAssessmentLib.assessment.volume_input import VolumeInput, patient_in, volume_input
from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.prompts import Prompt
from CTQualityAssessmentLib.results import (
    MAX_SCORE,
    AttentionMap,
    Refusal,
    SliceAssessment,
    VolumeAssessment,
    VolumeMap,
    grade,
    snap_score,
)
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models import LoadedModel

_ = marks_of(__file__)

_NO_PATIENT = Refusal("no-body", _("There is no patient, or too little, in the slice."))


def assess_whole(
    begun: VolumeAssessment,
    volume: Volume,
    model: LoadedModel,
    *,
    told: Told = NOTHING_TOLD,
    overlay: bool = True,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> tuple[VolumeAssessment, dict[int, SliceAssessment]]:
    """Runs a network that reads volumes.

    Every slice is read; slices carry the profile ``sum(f w) / sum(w)`` of the layers of tokens, interpolated. A slice
    without a patient gets no score, and where no slice has one the network is not run.

    Args:
        begun: what is known before, see ``volume_scoring.begin_assessment``.
        volume: CT or MR, of any depth, spacing and orientation.
        model: one that reads volumes.
        told: what the user says about the volume.
        overlay: whether the weights are wanted slice by slice as well, to lie over the image.
        progress: called with (slices done, slices, message).
        cancelled: asked between slabs of slices; True gives no score at all, for a part is not the volume.

    Returns:
        the assessment without its slices, and the slices by index; none of them where it was cancelled.
    """
    clock = time.monotonic()
    prompt = prompt_of(volume, told)
    begun = replace(begun, prompt=prompt)
    refusal = _refusal(volume)
    given = volume_input(volume, model.window, model.input_size)
    patient = patient_in(volume, model.input_size).mean(axis=(1, 2))
    prepared = time.monotonic() - clock
    maps = None
    if refusal is None and (patient >= SMALLEST_BODY).any():
        maps = token_maps(
            model.scorer.network,
            given.pixels,
            Prompt(prompt.modality, prompt.organ),
            progress=progress,
            cancelled=cancelled,
        )
        if maps is None:
            return begun, {}
    seconds = {"prepare": prepared, "network": time.monotonic() - clock - prepared}
    slices = _slices(volume, maps, patient, refusal)
    found = replace(begun, timings_s={name: round(value, 3) for name, value in seconds.items()})
    if maps is None:
        return found, slices
    scored = np.array([slices[n].score is not None for n in range(volume.slice_count)])
    return (
        replace(
            found,
            volume_score=_on_scale(maps.score),
            volume_maps=_maps_in_3d(given, maps),
            attention=(_weights_on_slices(given, maps, scored),) if overlay else (),
        ),
        slices,
    )


def _slices(
    volume: Volume, maps: TokenMaps | None, patient: NDArray[np.floating], refusal: Refusal | None
) -> dict[int, SliceAssessment]:
    profile = maps.profile(volume.slice_count) if maps else np.zeros(volume.slice_count)
    slices = {}
    for n, share in enumerate(patient):
        one = SliceAssessment(n, volume.slice_centre_ras(n), float(share))
        if refusal is not None or share < SMALLEST_BODY:
            slices[n] = replace(one, refusal=refusal or _NO_PATIENT)
        else:
            score = _on_scale(float(profile[n]))
            slices[n] = replace(one, score=score, snapped=snap_score(score), grade=grade(score)[0])
    return slices


def _on_scale(score: float) -> float:
    """From the network's 0 to 1 to 0 ... 4; what it says beyond its scale is held at the ends."""
    return min(max(MAX_SCORE * score, 0.0), MAX_SCORE)


def _maps_in_3d(given: VolumeInput, maps: TokenMaps) -> tuple[VolumeMap, ...]:
    affine = maps.affine(given.ijk_to_ras)
    return (
        VolumeMap("score", (MAX_SCORE * maps.scores).astype(np.float32), affine),
        VolumeMap("weight", maps.weights, affine),
    )


def _weights_on_slices(given: VolumeInput, maps: TokenMaps, scored: NDArray[np.bool_]) -> AttentionMap:
    """The weight map relative to an even spread over the volume, interpolated along the patient to each slice."""
    count = len(scored)
    at = np.clip((np.arange(count) - maps.first) / maps.distance, 0, len(maps.weights) - 1)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, len(maps.weights) - 1)
    part = (at - below).astype(np.float32)[:, None, None]
    values = (maps.weights[below] * (1 - part) + maps.weights[above] * part) / maps.weights.mean()
    values[~scored] = np.nan
    affine = maps.affine(given.ijk_to_ras)
    affine[:3, 2] = given.ijk_to_ras[:3, 2]
    affine[:3, 3] = given.ijk_to_ras[:3, 3]
    return AttentionMap("map", None, values.astype(np.float32), affine, "weight")


def _refusal(volume: Volume) -> Refusal | None:
    """Why nothing of the volume can be scored."""
    modality = volume.facts.modality
    if modality not in (None, "CT", "MR"):
        return Refusal(
            "not-ct", _("The volume is {modality}, and the model reads CT and MR only.").format(modality=modality)
        )
    if not volume.is_mr and volume.hu.min() >= 0:
        return Refusal(
            "not-ct", _("The values are not Hounsfield units of a patient, and nothing says that this is MR.")
        )
    return None
