"""Where the lesion detector sees something, as boxes that reach over neighbouring slices.

The detector was trained beside the denoiser, on lesions that were put in; its boxes show whether it sees the same in
both volumes. They are no diagnosis.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from CTQualityAssessmentLib.assessment.slices import prepare_slice
from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.denoising import Finding
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models.denoisers import LoadedDenoiser

_ = marks_of(__file__)

#: Boxes of neighbouring slices are one finding from this intersection over union.
_SAME = 0.3
LEAST_PROBABILITY = 0.5
MOST_FINDINGS = 20


def find_lesions(
    volume: Volume,
    model: LoadedDenoiser,
    *,
    least: float = LEAST_PROBABILITY,
    most: int = MOST_FINDINGS,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> tuple[Finding, ...]:
    """The most probable findings of a volume, most probable first.

    Args:
        volume: in HU.
        model: a denoiser with a detector; without one there are no findings.
        least: least probability of a box.
        most: at most so many findings.
        progress: called with (slices done, slices, message).
        cancelled: asked between slices; what was found by then is returned.
    """
    import torch

    from CTQualityAssessmentLib.networks.lesion_detector import find_boxes

    if model.detector is None:
        return ()
    slices = volume.canonical_slices()
    done: list[Finding] = []
    growing: list[Finding] = []
    for k in range(volume.slice_count):
        progress(k, volume.slice_count, _("Looking for findings"))
        if cancelled():
            break
        here: list[Finding] = []
        if prepare_slice(volume, slices, k).refusal is None:
            unit = model.window.apply(np.ascontiguousarray(slices.hu[k]))
            with torch.inference_mode():
                found = find_boxes(model.detector(torch.from_numpy(unit)[None, None].to(model.device)), threshold=least)
            boxes = zip(found[0].boxes.tolist(), found[0].scores.tolist(), strict=True)
            here = [Finding(k, k, *box, probability) for box, probability in boxes]
        growing, ended = _joined(growing, here)
        done += ended
    else:
        progress(volume.slice_count, volume.slice_count, _("Looking for findings"))
    return tuple(sorted([*done, *growing], key=lambda one: -one.probability)[:most])


def _joined(growing: list[Finding], here: list[Finding]) -> tuple[list[Finding], list[Finding]]:
    """The findings of the slices before, each continued by the box of this slice that fits it best, and those that end.

    A new box that fits none begins a finding.
    """
    left, continued, ended = list(here), [], []
    for one in sorted(growing, key=lambda one: -one.probability):
        best = max(left, key=lambda box: overlap(one, box), default=None)
        if best is None or overlap(one, best) < _SAME:
            ended.append(one)
            continue
        left.remove(best)
        continued.append(
            replace(
                one,
                last_slice=best.last_slice,
                left=min(one.left, best.left),
                top=min(one.top, best.top),
                right=max(one.right, best.right),
                bottom=max(one.bottom, best.bottom),
                probability=max(one.probability, best.probability),
            )
        )
    return continued + left, ended


def overlap(first: Finding, second: Finding) -> float:
    """Intersection over union of two boxes in the plane of the slice."""
    wide = min(first.right, second.right) - max(first.left, second.left)
    high = min(first.bottom, second.bottom) - max(first.top, second.top)
    shared = max(0.0, wide) * max(0.0, high)
    areas = sum((one.right - one.left) * (one.bottom - one.top) for one in (first, second))
    return shared / (areas - shared) if shared else 0.0
