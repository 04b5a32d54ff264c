"""A volume in, the same volume with less noise out: slice by slice, on the same grid, in HU.

Outside the patient nothing changes: air, table and padding keep their voxels. The volume that is given is only read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.assessment.scope import is_axial
from CTQualityAssessmentLib.assessment.slices import prepare_slice
from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import Volume

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models.denoisers import LoadedDenoiser
    from CTQualityAssessmentLib.results import ModelIdentity

_ = marks_of(__file__)

#: Voxels at or below are padding, or air that the reader cut off.
_PADDING_HU = -1024
#: From the skin outwards the correction fades out over this distance.
_FADE_MM = 4.0
#: Noise is whole up to the first of these standard deviations of itself, and none beyond the second.
_NOISE_SDS = (2.5, 5.0)
_BLOCK, _MEDIAN_PER_SD, _MOST_UNEVEN, _TISSUE_HU = 16, 0.6745, 1.5, -300.0
#: A slice with a longer side is computed in tiles of this size plus their margins.
LARGEST_TILE = 768


class NotDenoisableError(CTQAError):
    """The volume is nothing that a CT denoiser was made for."""

    exit_code = 3

    def __init__(self, what: str) -> None:
        super().__init__(_("{what} cannot be denoised.").format(what=what), _("Give a CT of a patient in HU."))


@dataclass(frozen=True)
class Denoising:
    """A volume that was denoised.

    Attributes:
        volume: same grid as the input, int16 HU.
        model: which weights did it.
        denoised: for each slice along the acquisition axis whether the network saw it.
        partial: True when it was cancelled; slices that it did not reach are the input's.
        device: where it ran.
        seconds: how long it took, and how long of that the network.
        warnings: sentences to read before trusting it.
    """

    volume: Volume
    model: ModelIdentity
    denoised: tuple[bool, ...]
    partial: bool
    device: str
    seconds: float
    network_seconds: float
    warnings: tuple[str, ...]


def denoise_volume(
    volume: Volume,
    model: LoadedDenoiser,
    *,
    tile: int = LARGEST_TILE,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> Denoising:
    """Denoise every slice with a patient in it.

    Memory beside the input: the output, int16, and the network's activations for one tile.

    Args:
        volume: in HU; not changed.
        model: from :func:`CTQualityAssessmentLib.models.load_denoiser`.
        tile: slices with a longer side are computed in tiles of this many pixels; it does not change the result.
        progress: called with (slices done, slices, message).
        cancelled: asked between slices; True returns what is there, marked partial.

    Raises:
        NotDenoisableError: another modality than CT, or no slice with a patient.
        ValueError: a tile that is not positive.
    """
    if tile < 1:
        raise ValueError("tile is at least 1")
    if volume.facts.modality not in (None, "CT"):
        raise NotDenoisableError(_("A volume of {modality}").format(modality=volume.facts.modality))
    started = time.monotonic()
    result = np.array(volume.hu, copy=True)
    if result.dtype != np.int16:
        result = np.clip(np.rint(result), -32768, 32767).astype(np.int16)
    slices = volume.canonical_slices()
    out = Volume(result, volume.ijk_to_ras, volume.acquisition_axis).canonical_slices().hu
    spacing = np.linalg.norm(slices.ijk_to_ras[:3, :2], axis=0)
    row_column_mm = (float(spacing[1]), float(spacing[0]))
    done = [False] * volume.slice_count
    network_seconds, partial = 0.0, False
    for k in range(volume.slice_count):
        progress(k, volume.slice_count, _("Denoising slices"))
        if cancelled():
            partial = True
            break
        if prepare_slice(volume, slices, k).refusal is not None:
            continue
        hu = np.ascontiguousarray(slices.hu[k])
        begun = time.monotonic()
        noise = estimate_noise(hu, model, tile)
        network_seconds += time.monotonic() - begun
        corrected = np.rint(hu - noise * correction_weight(hu, row_column_mm))
        out[k] = np.where(hu > _PADDING_HU, np.clip(corrected, _PADDING_HU, 32767), out[k])
        done[k] = True
    else:
        progress(volume.slice_count, volume.slice_count, _("Denoising slices"))
    if not partial and not any(done):
        raise NotDenoisableError(_("A volume without a patient in any slice"))
    return Denoising(
        volume=Volume(
            result,
            volume.ijk_to_ras,
            volume.acquisition_axis,
            facts=volume.facts,
            warnings=volume.warnings,
            units=volume.units,
            exposures=volume.exposures,
        ),
        model=model.identity,
        denoised=tuple(done),
        partial=partial,
        device=str(model.device),
        seconds=round(time.monotonic() - started, 3),
        network_seconds=round(network_seconds, 3),
        warnings=_warnings(volume, slices.ijk_to_ras, row_column_mm, model),
    )


def residual(original: Volume, denoised: Volume) -> Volume:
    """What was taken away, original minus denoised in HU, int16 on the same grid."""
    difference = original.hu.astype(np.int32 if original.hu.dtype.kind == "i" else np.float32) - denoised.hu
    return Volume(
        np.clip(np.rint(difference), -32768, 32767).astype(np.int16), original.ijk_to_ras, original.acquisition_axis
    )


def estimate_noise(hu: NDArray[np.generic], model: LoadedDenoiser, tile: int = LARGEST_TILE) -> NDArray[np.float32]:
    """What is taken away from one slice in HU, float32 ``(rows, columns)``: the network's noise, without edges."""
    return without_edges(network_noise(hu, model, tile), hu)


def without_edges(noise: NDArray[np.float32], hu: NDArray[np.generic]) -> NDArray[np.float32]:
    """The noise without what is too large to be noise, and less of it where the image has an edge.

    Scanners draw edges sharper than the images that the shipped network learned from, and it takes a part of them for
    noise. So noise beyond 2.5 of its own local standard deviations is taken away less and less, beyond 5 not at all;
    and where the denoised image rises by as many HU a pixel as the noise has, half of it. Edges of bone, vessels and
    skin stay as they are, with their noise. The standard deviation is robust (a median over blocks of 16 x 16 pixels
    and their neighbours) and at most 1.5 times the one of the slice's tissue, so that a region full of edges does not
    count as noisy.

    Args:
        noise: ``(rows, columns)`` in HU.
        hu: the slice that it belongs to.
    """
    from scipy.ndimage import gaussian_gradient_magnitude, median_filter, zoom

    rows, columns = noise.shape
    padding = ((0, -rows % _BLOCK), (0, -columns % _BLOCK))
    blocks = _blocks(np.pad(np.abs(noise), padding, mode="edge"))
    sd = median_filter(np.median(blocks, axis=-1) / _MEDIAN_PER_SD, 3, mode="nearest")
    tissue = _blocks(np.pad(np.asarray(hu, dtype=np.float32), padding, mode="edge")).mean(axis=-1) > _TISSUE_HU
    if tissue.any():
        sd = np.minimum(sd, _MOST_UNEVEN * float(np.median(sd[tissue])))
    sd = zoom(sd.astype(np.float32), _BLOCK, order=1, mode="nearest", grid_mode=True)[:rows, :columns]
    sd = np.maximum(sd, np.float32(1e-3))
    low, high = _NOISE_SDS
    kept = noise * np.clip((high - np.abs(noise) / sd) / (high - low), 0, 1)
    rise = gaussian_gradient_magnitude(np.asarray(hu, dtype=np.float32) - kept, 1.0)
    return kept / (1 + (rise / sd) ** 2)


def network_noise(hu: NDArray[np.generic], model: LoadedDenoiser, tile: int = LARGEST_TILE) -> NDArray[np.float32]:
    """The network's noise of one slice in HU, float32 ``(rows, columns)``, in tiles where the slice is larger.

    Tiles overlap by the network's margin and begin at multiples of its stride, so each pixel gets what it would get
    from the whole slice.
    """
    import torch

    pixels = torch.from_numpy(model.window.apply(hu))[None, None]
    rows, columns = pixels.shape[2:]
    noise = np.empty((rows, columns), dtype=np.float32)
    stride = model.network.stride
    step = max(stride, tile // stride * stride)
    margin = -(-model.network.margin // stride) * stride
    with torch.inference_mode():
        for top, bottom in _spans(rows, step):
            for left, right in _spans(columns, step):
                first_row, first_column = max(0, top - margin), max(0, left - margin)
                part = pixels[..., first_row : bottom + margin, first_column : right + margin].to(model.device)
                found = model.network(part)[0, 0].float().cpu().numpy()
                noise[top:bottom, left:right] = found[
                    top - first_row : bottom - first_row, left - first_column : right - first_column
                ]
    return noise


def correction_weight(hu: NDArray[np.generic], spacing_mm: tuple[float, float]) -> NDArray[np.float32]:
    """1 inside the patient, falling to 0 over a few millimetres outside the skin."""
    from scipy.ndimage import distance_transform_edt

    body = body_mask(hu, spacing_mm)
    if body.all():
        return np.ones(hu.shape, dtype=np.float32)
    outside = distance_transform_edt(~body, sampling=spacing_mm).astype(np.float32)
    return np.clip(1 - outside / np.float32(_FADE_MM), 0, 1)


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(rows / 16, columns / 16, 256)`` of a slice whose sides are multiples of 16."""
    rows, columns = (n // _BLOCK for n in values.shape)
    return values.reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2).reshape(rows, columns, -1)


def _spans(size: int, step: int) -> list[tuple[int, int]]:
    """Tiles of a side: one where it fits, else steps of equal length."""
    return [(0, size)] if size <= step else [(at, min(at + step, size)) for at in range(0, size, step)]


def _warnings(
    volume: Volume, ijk_to_ras: NDArray[np.float64], spacing_mm: tuple[float, float], model: LoadedDenoiser
) -> tuple[str, ...]:
    found = []
    low, high = model.pixel_mm
    if not low <= float(np.mean(spacing_mm)) <= high:
        found.append(
            _(
                "The pixels of {mean:.2f} mm lie outside the {low:.2f} to {high:.2f} mm that the denoiser was trained "
                "on."
            ).format(mean=np.mean(spacing_mm), low=low, high=high)
        )
    if not is_axial(ijk_to_ras):
        found.append(_("The slices are not axial; the denoiser was trained on axial slices."))
    if volume.units != "HU":
        found.append(_("The voxels were mapped back to HU from the challenge's scale, without the size of the pixels."))
    return tuple(found)
