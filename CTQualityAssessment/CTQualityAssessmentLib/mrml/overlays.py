"""Scores and attention as volumes that lie over the input.

An overlay is a small float32 volume on the assessed slices with its own affine, in the radiological order of
``Volume.canonical_slices``. In plane it has at most 256 voxels a side: float32 keeps the score itself under the mouse
(scaled integers would show "24" for 2.4), and the coarser grid keeps a 300-slice overlay of 512 x 512 pixels at 79 MB
instead of 315 MB, as much as one byte a pixel would take. The patient's outline is then exact to one pixel.

Slices without a score, and everything outside the patient, hold :data:`NO_VALUE`, which the display threshold makes
transparent. NaN would do for the eye, but spoils automatic windows and statistics in other modules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer
from numpy.typing import NDArray

from CTQualityAssessmentLib.mrml.colour_nodes import attention_colour_node, quality_colour_node
from CTQualityAssessmentLib.mrml.errors import AssessmentMismatchError
from CTQualityAssessmentLib.mrml.legend import add_legend
from CTQualityAssessmentLib.mrml.volume_nodes import add_scalar_volume, ijk_to_ras
from CTQualityAssessmentLib.results import (
    MAP_KINDS,
    MAX_SCORE,
    AttentionMap,
    Geometry,
    VolumeAssessment,
    VolumeMap,
    map_of_title,
)
from CTQualityAssessmentLib.translation import said, texts_of
from CTQualityAssessmentLib.volume import CanonicalSlices, Volume, grid_affine

_ = texts_of(__file__)

#: Node attribute of an overlay: what it shows, in words that are the same in every language.
_SHOWS = "CTQA.overlay"

#: Voxel value where there is nothing to show. Scores and attention are never negative.
NO_VALUE = -1.0

_MAX_SIDE = 256


@dataclass(frozen=True)
class GridMap:
    """Values on a grid of their own.

    Attributes:
        values: ``(n, rows, columns)`` float32, :data:`NO_VALUE` where there is nothing.
        ijk_to_ras: ``(column, row, n, 1)`` to RAS millimetres, in the coordinates of the assessed volume.
    """

    values: NDArray[np.float32]
    ijk_to_ras: NDArray[np.float64]


def quality_map(assessment: VolumeAssessment, body: NDArray[np.bool_]) -> GridMap:
    """Each slice's body filled with the slice's expected score.

    Args:
        assessment: the scores.
        body: ``(n, rows, columns)`` on the canonical slices of the assessed volume, True inside the patient.

    Returns:
        a map in which a voxel belongs to the body when at least half of the pixels it covers do.

    Raises:
        AssessmentMismatchError: ``body`` has another shape than the assessed volume's canonical slices.
    """
    canonical = _canonical(assessment.geometry)
    if body.shape != canonical.hu.shape:
        raise AssessmentMismatchError
    factor = -(-max(body.shape[1:]) // _MAX_SIDE)
    rows, columns = (np.arange(0, n, factor) for n in body.shape[1:])
    covered = np.outer(
        *(np.diff(np.append(starts, n)) for starts, n in zip((rows, columns), body.shape[1:], strict=True))
    )
    counts = np.min_scalar_type(factor**2)  # this runs in the window: small numbers are counted faster
    half = ((covered + 1) // 2).astype(counts)
    values = np.full((len(body), len(rows), len(columns)), NO_VALUE, dtype=np.float32)
    for slice_, inside, out in zip(assessment.slices, body, values, strict=True):
        if slice_.score is not None:
            pixels = np.zeros(out.shape, dtype=counts)
            for row, column in np.ndindex(factor, factor):
                part = inside[row::factor, column::factor].view(np.uint8)
                pixels[: part.shape[0], : part.shape[1]] += part
            np.copyto(out, np.float32(slice_.score), where=pixels >= half)
    return GridMap(values, grid_affine(canonical.ijk_to_ras, factor, factor))


def attention_upper(maps: Sequence[AttentionMap]) -> float:
    """Upper end of the display window that all maps share: their 99.5th percentile in tenths, at least 2.

    One scale for all of a result, because how differently sharp they look is what they are there to show.
    """
    finite = [m.values[np.isfinite(m.values)] for m in maps]
    tops = [float(np.percentile(values, 99.5)) for values in finite if values.size]
    return math.ceil(10 * max(2.0, *tops)) / 10 if tops else 2.0


def add_quality_overlay(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    assessment: VolumeAssessment,
    body: NDArray[np.bool_],
) -> slicer.vtkMRMLScalarVolumeNode:
    """The node "Quality": score 0 to 4 in colour inside the patient, clear elsewhere; see :func:`quality_map`."""
    node = _add_overlay(scene, volume_node, assessment.geometry, quality_map(assessment, body), _("Quality"))
    _show(node, quality_colour_node(scene), 0.0, MAX_SCORE, visible_from=NO_VALUE / 2)
    add_legend(scene, node, _("Quality"), label_count=5, on_left=False)
    return node


def add_attention_overlay(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    assessment: VolumeAssessment,
    attention: AttentionMap,
    upper: float,
) -> slicer.vtkMRMLScalarVolumeNode:
    """A node such as "Attention focus stage 3" or "Grad-CAM lowers", in colour from the neutral 1 up to ``upper``.

    Clear below a tenth of that range: the colours start at black, which would only darken the image there.
    """
    values = np.where(np.isfinite(attention.values), attention.values, np.float32(NO_VALUE)).astype(np.float32)
    grid = GridMap(values, attention.ijk_to_ras)
    node = _add_overlay(scene, volume_node, assessment.geometry, grid, map_words(attention.title))
    node.SetAttribute(_SHOWS, attention.title)
    _show(node, attention_colour_node(scene), 1.0, upper, visible_from=1.0 + 0.1 * (upper - 1.0))
    add_legend(scene, node, said(MAP_KINDS[attention.kind].title), label_count=3, on_left=True)
    return node


def add_volume_map(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    assessment: VolumeAssessment,
    found: VolumeMap,
) -> slicer.vtkMRMLScalarVolumeNode:
    """A map in 3D of a network that reads volumes, on its own coarse grid: "Score map" or "Weights of the score"."""
    grid = GridMap(found.values, found.ijk_to_ras)
    node = _add_overlay(scene, volume_node, assessment.geometry, grid, said(found.title))
    node.SetAttribute(_SHOWS, found.title)
    if found.name == "score":
        _show(node, quality_colour_node(scene), 0.0, MAX_SCORE, visible_from=NO_VALUE / 2)
    else:
        _show(node, attention_colour_node(scene), 0.0, 1.0, visible_from=0.05)
    return node


def shown_map(overlay: slicer.vtkMRMLScalarVolumeNode) -> str:
    """Which map an overlay shows, as :attr:`AttentionMap.title` says it, whatever the node is called by now.

    Scenes of earlier versions have nothing but the name.
    """
    return overlay.GetAttribute(_SHOWS) or overlay.GetName()


def map_words(title: str) -> str:
    """The title of a map in the reader's language."""
    named = map_of_title(title)
    if named is None:
        return title
    kind, name, stage = named
    words = {"kind": said(MAP_KINDS[kind].title), "name": said(name)}
    if stage is None:
        return _("{kind} {name}").format(**words)
    return _("{kind} {name} stage {stage}").format(**words, stage=stage)


def set_overlay_threshold(overlay: slicer.vtkMRMLScalarVolumeNode, threshold: float, quality: bool) -> None:
    """Show only what is looked for: of quality the scores up to ``threshold``, of attention what is at least that.

    At its end (4 for quality, 1 for attention) everything shows that has a value at all.

    Args:
        overlay: made by :func:`add_quality_overlay` or :func:`add_attention_overlay`.
        threshold: a score, or attention in multiples of an even spread.
        quality: whether the overlay shows scores.
    """
    display = overlay.GetDisplayNode()
    everything = float(np.finfo(np.float32).max)
    if quality:
        display.SetThreshold(NO_VALUE / 2, float(threshold) if threshold < MAX_SCORE else everything)
    else:
        display.SetThreshold(max(float(threshold), 0.0), everything)


def _canonical(geometry: Geometry) -> CanonicalSlices:
    """Shape and affine of the assessed volume's canonical slices, from a volume that takes no memory."""
    nothing = np.broadcast_to(np.int16(0), geometry.shape_kji)
    return Volume(nothing, np.array(geometry.ijk_to_ras), geometry.acquisition_axis).canonical_slices()


def _add_overlay(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    geometry: Geometry,
    grid_map: GridMap,
    name: str,
) -> slicer.vtkMRMLScalarVolumeNode:
    image = volume_node.GetImageData()
    if image is None or tuple(reversed(image.GetDimensions())) != geometry.shape_kji:
        raise AssessmentMismatchError
    # By way of the input's voxel indices: the overlay stays on the anatomy when the input was moved after the
    # assessment, and shares its parent transform instead of having it applied twice.
    to_input_voxels = np.linalg.solve(np.array(geometry.ijk_to_ras), grid_map.ijk_to_ras)
    node = add_scalar_volume(scene, grid_map.values, ijk_to_ras(volume_node) @ to_input_voxels, name)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    return node


def _show(
    node: slicer.vtkMRMLScalarVolumeNode,
    colours: slicer.vtkMRMLColorNode,
    lower: float,
    upper: float,
    visible_from: float,
) -> None:
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(lower, upper)
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetAutoThreshold(False)
    display.SetThreshold(visible_from, float(np.finfo(np.float32).max))
    display.SetApplyThreshold(True)
    display.SetInterpolate(False)  # between a score and NO_VALUE lie scores that nobody gave
