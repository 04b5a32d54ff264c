"""Scores every slice of a volume with a slice network: the path from a Volume to a VolumeAssessment."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.assessment.picture import moved_back, patient_alone
from CTQualityAssessmentLib.assessment.prompting import NOTHING_TOLD, Told
from CTQualityAssessmentLib.assessment.scope import is_axial, within_scope
from CTQualityAssessmentLib.assessment.slices import PreparedSlice, prepare_slice
from CTQualityAssessmentLib.assessment.summary import summarise
from CTQualityAssessmentLib.assessment.whole_volume import assess_whole
from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.results import (
    AttentionMap,
    Geometry,
    Refusal,
    SliceAssessment,
    VolumeAssessment,
    grade,
    snap_score,
)
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import CanonicalSlices, Volume, grid_affine

if TYPE_CHECKING:
    from torch import Tensor

    from CTQualityAssessmentLib.models import LoadedModel
    from CTQualityAssessmentLib.networks.slice_scorer import MapKey, SliceReading

_PREVIEW_SLICES = 16
_ = marks_of(__file__)

_NOT_RUN = Refusal("not-run", _("The run was cancelled before this slice."))


def _no_slice(found: SliceAssessment) -> None:
    pass


def _no_body(index: int, inside: NDArray[np.bool_]) -> None:
    pass


def assess_volume(
    volume: Volume,
    model: LoadedModel,
    *,
    batch_size: int | None = None,
    attention_stages: Sequence[int] = (),
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
    on_slice: Callable[[SliceAssessment], None] = _no_slice,
    on_body: Callable[[int, NDArray[np.bool_]], None] = _no_body,
    told: Told = NOTHING_TOLD,
    preview: bool = False,
) -> VolumeAssessment:
    """Scores the slices along the volume's acquisition axis, or the volume as a whole where the model reads volumes.

    Memory beside the volume: one batch of slices, the network's activations for it, and the attention maps asked for.

    Args:
        volume: in HU; for models that read volumes also MR.
        model: from :func:`CTQualityAssessmentLib.models.load_bundle`.
        batch_size: slices per network call; it does not change the scores. None for :func:`default_batch_size`.
        attention_stages: stages 1 to 4 whose maps are wanted, of attention one per temperature and stage; any stage
            asks for Grad-CAM of a network that has no attention to show.
        progress: called with (slices done, slices, message).
        cancelled: asked between batches; True returns what is there, marked partial.
        on_slice: called with each slice that was scored or refused, after its batch and in the order of the volume, or
            of the preview; of a volume as a whole after its end.
        on_body: called with index and mask ``(rows, columns)`` of the patient before the slice is told of; not by
            models that read volumes.
        told: what the user says about the volume, for models that are told something.
        preview: score about sixteen slices spread over the volume before the others, so that its curve can be seen at
            once. It does not change the scores.

    Raises:
        ValueError: a batch size or an attention stage that cannot be.
    """
    import torch

    batch_size = default_batch_size(model) if batch_size is None else batch_size
    if batch_size < 1 or not set(attention_stages) <= {1, 2, 3, 4}:
        raise ValueError("batch_size is at least 1 and attention stages are among 1, 2, 3, 4")
    started = time.monotonic()
    begun = begin_assessment(volume, model)
    if model.reads_volumes:
        whole, by_index = assess_whole(
            begun, volume, model, told=told, overlay=bool(attention_stages), progress=progress, cancelled=cancelled
        )
        for index in sorted(by_index):
            on_slice(by_index[index])
        seconds = {**whole.timings_s, "total": round(time.monotonic() - started, 3)}
        return replace(fill_assessment(whole, volume, by_index), timings_s=seconds)
    slices = volume.canonical_slices()
    count = volume.slice_count
    results: list[SliceAssessment | None] = [None] * count
    stages = tuple(sorted(set(attention_stages)))
    maps = _MapGrids(slices, model)
    seconds = {"prepare": 0.0, "network": 0.0}
    partial = False
    order = _previewed(count) if preview else range(count)
    progress(0, count, _("Assessing slices"))
    for first in range(0, count, batch_size):
        if cancelled():
            partial = True
            break
        clock = time.monotonic()
        prepared = [prepare_slice(volume, slices, k) for k in order[first : first + batch_size]]
        prepared = [within_scope(one, slices, model.scope) for one in prepared]
        readable = [p for p in prepared if p.refusal is None]
        seen = [_seen(p, model) for p in readable]
        pixels = [_pixels(hu, model) for hu, _ in seen]
        seconds["prepare"] += time.monotonic() - clock
        clock = time.monotonic()
        if readable:
            reading = model.scorer(torch.cat(pixels), stages)
            found = _slices_of(volume, model, readable, reading)
            maps.keep(found, reading, [moved for _, moved in seen])
            for result in found:
                results[result.index] = result
        seconds["network"] += time.monotonic() - clock
        for p in prepared:
            if p.refusal is not None:
                results[p.index] = _refused(volume, p.index, p.body_fraction, p.refusal)
        for p in prepared:
            if p.body is not None:
                on_body(p.index, p.body)
            on_slice(results[p.index])
        progress(min(first + batch_size, count), count, _("Assessing slices"))

    seconds["total"] = time.monotonic() - started
    return replace(
        fill_assessment(begun, volume, {one.index: one for one in results if one is not None}),
        timings_s={name: round(value, 3) for name, value in seconds.items()},
        partial=partial,
        attention=maps.finished(),
    )


def _previewed(count: int) -> list[int]:
    """The numbers of slices, those of a preview first."""
    every = max(1, round(count / _PREVIEW_SLICES))
    return [*range(0, count, every), *(k for k in range(count) if k % every)]


def begin_assessment(volume: Volume, model: LoadedModel) -> VolumeAssessment:
    """What is known before the first slice: the model, where it runs, the volume; no slice, marked partial."""
    return VolumeAssessment(
        model=model.identity,
        geometry=Geometry(
            tuple(int(n) for n in volume.hu.shape),  # type: ignore[arg-type]
            tuple(tuple(float(x) for x in row) for row in volume.ijk_to_ras),
            volume.acquisition_axis,
        ),
        slices=(),
        summary=summarise(()),
        device=str(model.device),
        versions=software_versions(),
        timings_s={},
        facts=volume.facts.known(),
        warnings=volume.warnings + _warnings(volume, volume.canonical_slices(), model),
        partial=True,
    )


def default_batch_size(model: LoadedModel) -> int:
    """One slice on the CPU, where more are no faster, take memory and make cancelling wait; four elsewhere."""
    return 1 if model.device.type == "cpu" else 4


def fill_assessment(begun: VolumeAssessment, volume: Volume, found: Mapping[int, SliceAssessment]) -> VolumeAssessment:
    """An assessment with these slices, by index; those that are not there are refused as not run.

    Args:
        begun: from :func:`begin_assessment`.
        volume: the one that is assessed.
        found: scored and refused slices.
    """
    complete = tuple(found.get(k) or _refused(volume, k, 0.0, _NOT_RUN) for k in range(volume.slice_count))
    if volume.exposures:
        complete = tuple(replace(one, **vars(volume.exposures[one.index])) for one in complete)
    return replace(begun, slices=complete, summary=summarise(complete), partial=len(found) < len(complete))


def network_pixels(prepared: PreparedSlice, model: LoadedModel) -> Tensor:
    """``(1, 1, H, W)`` in [0, 1] on the model's device: a slice as the network reads it in an assessment."""
    return _pixels(_seen(prepared, model)[0], model)


def _seen(prepared: PreparedSlice, model: LoadedModel) -> tuple[NDArray[np.generic], tuple[int, int]]:
    """The slice as the network was trained to see it, and by how many rows and columns that moved it."""
    if model.picture == "whole" or prepared.body is None:
        return prepared.hu, (0, 0)
    return patient_alone(prepared.hu, prepared.body)


def _pixels(hu: NDArray[np.generic], model: LoadedModel) -> Tensor:
    """``(1, 1, H, W)`` in [0, 1] on the model's device; the longer side has the size the model was trained at.

    Noise and edges mean what they meant in training only at the training size, so other matrices are resampled.
    """
    import torch
    import torch.nn.functional as F

    pixels = torch.from_numpy(model.window.apply(np.ascontiguousarray(hu)))[None, None].to(model.device)
    size = _network_size(hu.shape, model)
    if size == hu.shape:
        return pixels
    return F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True).clamp(0, 1)


def _network_size(shape: tuple[int, ...], model: LoadedModel) -> tuple[int, int]:
    """Rows and columns of a slice as the network reads it."""
    scale = model.input_size / max(shape)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _slices_of(
    volume: Volume, model: LoadedModel, prepared: list[PreparedSlice], reading: SliceReading
) -> list[SliceAssessment]:
    novelty = model.novelty(reading.features).tolist() if model.novelty is not None else [None] * len(prepared)
    results = []
    for n, p in enumerate(prepared):
        if novelty[n] is not None and novelty[n] > 1:
            reason = Refusal("out-of-distribution", _("The slice is unlike everything the model was trained on."))
            results.append(_refused(volume, p.index, p.body_fraction, reason, novelty[n]))
            continue
        score = float(reading.scores[n])
        found = SliceAssessment(
            index=p.index,
            centre_ras=volume.slice_centre_ras(p.index),
            body_fraction=p.body_fraction,
            score=score,
            snapped=snap_score(score),
            grade=grade(score)[0],
            novelty=novelty[n],
        )
        if reading.probabilities is not None and reading.sd is not None:
            probabilities = reading.probabilities[n].cpu().double()  # Apple's GPUs have no float64
            found = replace(
                found,
                distribution=tuple(probabilities.tolist()),
                sd=float(reading.sd[n]),
                entropy=float((-probabilities * probabilities.clamp_min(1e-12).log2()).sum()),
            )
        results.append(found)
    return results


def _refused(
    volume: Volume, index: int, body_fraction: float, refusal: Refusal, novelty: float | None = None
) -> SliceAssessment:
    return SliceAssessment(
        index=index,
        centre_ras=volume.slice_centre_ras(index),
        body_fraction=body_fraction,
        novelty=novelty,
        refusal=refusal,
    )


class _MapGrids:
    """Collects the maps of scored slices into one array for each key, on the map's own grid."""

    def __init__(self, slices: CanonicalSlices, model: LoadedModel) -> None:
        self._slices = slices
        shape = slices.hu.shape[1:]
        # The two differ where the shorter side was rounded to whole pixels.
        self._row_pixels, self._column_pixels = (
            n / seen for n, seen in zip(shape, _network_size(shape, model), strict=True)
        )
        self._grids: dict[MapKey, NDArray[np.float32]] = {}

    def keep(self, found: list[SliceAssessment], reading: SliceReading, moved: list[tuple[int, int]]) -> None:
        """Takes the maps of a batch, each back where its slice was; slices that were refused after all stay NaN."""
        for key, values in reading.maps.items():
            grid = values.cpu().numpy()
            if key not in self._grids:
                self._grids[key] = np.full((self._slices.hu.shape[0], *grid.shape[1:]), np.nan, dtype=np.float32)
            for n, one in enumerate(found):
                if one.score is not None:
                    down, right = moved[n]
                    cells = down / (key.pixels * self._row_pixels), right / (key.pixels * self._column_pixels)
                    self._grids[key][one.index] = moved_back(grid[n], *cells) if any(moved[n]) else grid[n]

    def finished(self) -> tuple[AttentionMap, ...]:
        """The maps with their affines, in the order in which the network gives them."""
        return tuple(
            AttentionMap(key.name, key.stage, v, self._affine(key), key.kind) for key, v in self._grids.items()
        )

    def _affine(self, key: MapKey) -> NDArray[np.float64]:
        factors = self._column_pixels, self._row_pixels
        # Centres of pixels are at whole numbers, so sizes scale from -0.5 on.
        first = tuple((key.centre + 0.5) * factor - 0.5 for factor in factors)
        return grid_affine(self._slices.ijk_to_ras, *(key.pixels * factor for factor in factors), first)


def _warnings(volume: Volume, slices: CanonicalSlices, model: LoadedModel) -> tuple[str, ...]:
    found = []
    if not model.reads_volumes and max(slices.hu.shape[1:]) != model.input_size:
        found.append(
            _(
                "Slices of {columns} x {rows} pixels were resampled to the {input_size} pixels that the model was "
                "trained at, which changes their noise."
            ).format(columns=slices.hu.shape[2], rows=slices.hu.shape[1], input_size=model.input_size)
        )
    if not is_axial(slices.ijk_to_ras):
        found.append(_("The slices are not axial; the model was trained on axial slices."))
    return tuple(found)


def software_versions() -> dict[str, str]:
    """Versions of what a result depends on, for its record."""
    import monai
    import torch

    return {
        "ctqualityassessment": __version__,
        "torch": torch.__version__,
        "monai": monai.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
