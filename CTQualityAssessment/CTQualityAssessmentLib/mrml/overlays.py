"""Scores and attention as volumes that lie over the input.

An overlay is a small float32 volume on the assessed slices with its own affine, in the radiological order of
``Volume.canonical_slices``; see ``quality_image`` for why it is coarse, and for what it holds where there is nothing.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from CTQualityAssessmentLib.mrml.colour_nodes import attention_colour_node, quality_colour_node
from CTQualityAssessmentLib.mrml.errors import AssessmentMismatchError
from CTQualityAssessmentLib.mrml.legend import add_legend
from CTQualityAssessmentLib.mrml.quality_image import NO_VALUE, QualityImage
from CTQualityAssessmentLib.mrml.volume_nodes import add_image, empty_image, ijk_to_ras, voxels_in
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

_ = texts_of(__file__)

#: Node attribute of an overlay: what it shows, in words that are the same in every language.
_SHOWS = "CTQA.overlay"

#: Voxels in a step: a few milliseconds on one core.
_STEP = 1_000_000
#: Values of a map that tell how high it reaches.
_SAMPLE = 250_000


@dataclass(frozen=True)
class GridImage:
    """Image data on a grid of its own: ``(column, row, n, 1)`` to RAS millimetres, as the assessed volume lay."""

    image: vtk.vtkImageData
    ijk_to_ras: NDArray[np.float64]


def attention_upper(maps: Sequence[AttentionMap]) -> float:
    """Upper end of the display window that all maps share: their 99.5th percentile in tenths, at least 2.

    One scale for all of a result, because how differently sharp they look is what they are there to show. Of a fine map
    every so-manieth value is taken, so that the window does not wait.
    """
    sampled = [m.values.ravel()[:: -(-m.values.size // _SAMPLE)] if m.values.size else m.values for m in maps]
    finite = [values[np.isfinite(values)] for values in sampled]
    tops = [float(np.percentile(values, 99.5)) for values in finite if values.size]
    return math.ceil(10 * max(2.0, *tops)) / 10 if tops else 2.0


def map_image(values: NDArray[np.float32]) -> Generator[None, None, vtk.vtkImageData]:
    """Image data of a map, :data:`NO_VALUE` where it has none; in steps, because a fine map is large.

    Args:
        values: ``(n, rows, columns)``, NaN where there is nothing.
    """
    image = empty_image(values.shape, np.dtype(np.float32))
    target = voxels_in(image)
    thick = max(1, _STEP // max(1, values[0].size))
    for first in range(0, len(values), thick):
        slab = values[first : first + thick]
        target[first : first + thick] = np.where(np.isfinite(slab), slab, np.float32(NO_VALUE))
        yield
    return image


def add_quality_overlay(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    assessment: VolumeAssessment,
    quality: QualityImage,
) -> slicer.vtkMRMLScalarVolumeNode:
    """The node "Quality": score 0 to 4 in colour inside the patient, clear elsewhere; takes the voxels over."""
    grid = GridImage(quality.image, quality.ijk_to_ras)
    node = _add_overlay(scene, volume_node, assessment.geometry, grid, _("Quality"))
    _show(node, quality_colour_node(scene), 0.0, MAX_SCORE, visible_from=NO_VALUE / 2)
    add_legend(scene, node, _("Quality"), label_count=5, on_left=False)
    return node


def add_attention_overlay(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    assessment: VolumeAssessment,
    attention: AttentionMap,
    upper: float,
    image: vtk.vtkImageData,
) -> slicer.vtkMRMLScalarVolumeNode:
    """A node such as "Attention focus stage 3" or "Grad-CAM lowers", in colour from the neutral 1 up to ``upper``.

    Clear below a tenth of that range: the colours start at black, which would only darken the image there. ``image``,
    of :func:`map_image`, is taken over.
    """
    grid = GridImage(image, attention.ijk_to_ras)
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
    image: vtk.vtkImageData,
) -> slicer.vtkMRMLScalarVolumeNode:
    """A map in 3D of a network that reads volumes, on its own coarse grid: "Score map" or "Weights of the score".

    ``image``, of :func:`map_image`, is taken over.
    """
    grid = GridImage(image, found.ijk_to_ras)
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


def _add_overlay(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    geometry: Geometry,
    grid: GridImage,
    name: str,
) -> slicer.vtkMRMLScalarVolumeNode:
    image = volume_node.GetImageData()
    if image is None or tuple(reversed(image.GetDimensions())) != geometry.shape_kji:
        raise AssessmentMismatchError
    # By way of the input's voxel indices: the overlay stays on the anatomy when the input was moved after the
    # assessment, and shares its parent transform instead of having it applied twice.
    to_input_voxels = np.linalg.solve(np.array(geometry.ijk_to_ras), grid.ijk_to_ras)
    node = add_image(scene, grid.image, ijk_to_ras(volume_node) @ to_input_voxels, name)
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
