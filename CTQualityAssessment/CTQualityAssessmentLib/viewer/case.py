"""The one volume that is open, with its assessment, in the scene."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import slicer
import slicer.util

from CTQualityAssessmentLib.assessment import patient_mask
from CTQualityAssessmentLib.calls import Progress
from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.mrml.assessment_nodes import (
    AssessmentNodes,
    add_assessment,
    assessment_from_scene,
    find_assessments,
    remove_assessment,
)
from CTQualityAssessmentLib.mrml.denoised_nodes import remove_denoised
from CTQualityAssessmentLib.mrml.overlays import shown_map
from CTQualityAssessmentLib.mrml.removal import remove_nodes
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import load_scene
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume, ijk_to_ras, volume_from_node
from CTQualityAssessmentLib.reading import SeriesInfo, Wanted, read_volume
from CTQualityAssessmentLib.reporting.measures_file import read_measures
from CTQualityAssessmentLib.results import AttentionMap, VolumeAssessment, map_of_title
from CTQualityAssessmentLib.viewer.read_ahead import MODALITIES, ReadAhead, is_scene
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume


class NoVolumeInSceneError(CTQAError):
    """A scene file without an assessed CT."""

    def __init__(self) -> None:
        super().__init__(
            "This scene holds no assessed CT.", "Open the CT itself, or a scene.mrb that this program wrote."
        )


@dataclass
class Denoised:
    """A denoised volume.

    Attributes:
        folder: holds the network's own answer, so that another strength does not need the network; goes with the case.
        model: name of the bundle.
        volume: with the strength that is in view; its voxels are those of the node.
        node: the volume in the scene.
        report: of that strength.
        reports: what was looked at so far, by strength.
        boxes: of the lesion detector, in the scene.
    """

    folder: Path
    model: str
    volume: Volume
    node: slicer.vtkMRMLScalarVolumeNode
    report: DenoisingReport
    reports: dict[Strength, DenoisingReport] = field(default_factory=dict)
    boxes: list[slicer.vtkMRMLMarkupsROINode] = field(default_factory=list)


@dataclass
class Case:
    """An open volume.

    Attributes:
        volume: the voxels and what is known about them.
        node: the volume in the scene.
        assessment: the newest result; None before the first.
        nodes: the result in the scene.
        overlays: what can lie over the CT, by the names of :meth:`name_overlays`.
        measures: the physical measures; None before they were made.
        denoised: the same volume with less noise; None before it was made.
    """

    volume: Volume
    node: slicer.vtkMRMLScalarVolumeNode
    assessment: VolumeAssessment | None = None
    nodes: AssessmentNodes | None = None
    overlays: dict[str, slicer.vtkMRMLScalarVolumeNode] = field(default_factory=dict)
    measures: PhysicalMeasures | None = None
    denoised: Denoised | None = None

    def name_overlays(self) -> list[list[str]]:
        """Names and titles of what can lie over the CT; fills ``overlays``."""
        self.overlays, titles = {}, []
        if self.nodes is not None and self.nodes.quality is not None:
            self.overlays["quality"] = self.nodes.quality
            titles.append(["quality", "Quality"])
        for n, node in enumerate(self.nodes.attention if self.nodes is not None else ()):
            self.overlays[f"attention-{n}"] = node
            titles.append([f"attention-{n}", shown_map(node)])
        return titles


async def open_case(
    scene: slicer.vtkMRMLScene,
    path: Path,
    series: str | None,
    scenes: bool,
    progress: Progress,
    on_series: Callable[[tuple[SeriesInfo, ...]], None] | None = None,
    ahead: ReadAhead | None = None,
) -> Case:
    """Read a CT, or where ``scenes`` allows it a saved scene, and put it into the scene.

    A CT is read in a thread, in which ``on_series`` is told what there is to choose from; a scene does not allow that.
    Where ``ahead`` has begun to read the same, its answer is taken, if it has one.

    Raises:
        CTQAError: the input cannot be read.
    """
    scene_file = is_scene(path) if scenes else None
    if scene_file is not None:
        case = _open_scene(scene, scene_file)
        case.measures = _measures_beside(scene_file, case.volume)
        return case
    found = await ahead.result(progress) if ahead is not None else None
    if found is not None:
        volume, listed = found
        if on_series is not None:
            on_series(listed)
    else:
        volume = await asyncio.to_thread(
            read_volume, path, series=series, progress=progress, on_series=on_series, wanted=Wanted(MODALITIES)
        )
    node = add_volume(scene, volume)
    return Case(shared(volume, node), node)


def shared(volume: Volume, node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The volume with the voxels of its node in place of its own: they are large, and one copy is enough."""
    return replace(volume, hu=slicer.util.arrayFromVolume(node))


async def show_assessment(scene: slicer.vtkMRMLScene, case: Case, assessment: VolumeAssessment) -> None:
    """Put a result into the scene in place of the one before."""
    body = await asyncio.to_thread(patient_mask, case.volume)
    remove_assessment(scene, case.node)
    case.assessment = assessment
    case.nodes = add_assessment(scene, case.node, assessment, body)


def close_case(scene: slicer.vtkMRMLScene, case: Case) -> None:
    """Take the volume and its results out of the scene."""
    drop_denoised(scene, case)
    remove_assessment(scene, case.node)
    remove_nodes(scene, [case.node])


def drop_denoised(scene: slicer.vtkMRMLScene, case: Case) -> None:
    """Take the denoised volume away; harmless where there is none."""
    denoised, case.denoised = case.denoised, None
    if denoised is not None:
        remove_denoised(scene, case.node)
        shutil.rmtree(denoised.folder, ignore_errors=True)


def _measures_beside(scene_file: Path, volume: Volume) -> PhysicalMeasures | None:
    """What 'ctqa assess' measured and wrote beside its scene; None where nothing of this volume can be read."""
    try:
        measures = read_measures(scene_file.with_name("measures.json"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    centres = [one.centre_ras for one in measures.slices]
    own = [volume.slice_centre_ras(n) for n in range(volume.slice_count)]
    return measures if len(centres) == len(own) and np.allclose(centres, own, atol=0.01) else None


def _open_scene(scene: slicer.vtkMRMLScene, path: Path) -> Case:
    before = {node.GetID() for node in nodes_of_class(scene, "vtkMRMLNode")}
    load_scene(scene, path)
    for node in nodes_of_class(scene, "vtkMRMLScalarVolumeNode"):
        if node.GetID() in before or not find_assessments(scene, node):
            continue
        assessment = assessment_from_scene(scene, node)
        if assessment is not None:
            facts = AcquisitionFacts(**assessment.facts)
            volume = replace(volume_from_node(node, assessment.geometry.acquisition_axis), facts=facts)
            nodes = find_assessments(scene, node)[-1]
            remove_denoised(scene, node)  # it lacks the network's own answer, without which no other strength is made
            maps = tuple(m for m in (_attention_map(assessment, node, a) for a in nodes.attention) if m is not None)
            return Case(volume, node, replace(assessment, attention=maps), nodes)
    for node in nodes_of_class(scene, "vtkMRMLNode"):
        if node.GetID() not in before:
            scene.RemoveNode(node)
    raise NoVolumeInSceneError


def _attention_map(
    assessment: VolumeAssessment, volume_node: slicer.vtkMRMLScalarVolumeNode, node: slicer.vtkMRMLScalarVolumeNode
) -> AttentionMap | None:
    """The map that an overlay was made from, so that a scene saved again holds it; None for a renamed node."""
    named = map_of_title(shown_map(node))
    if named is None:
        return None
    kind, name, stage = named
    values = slicer.util.arrayFromVolume(node).astype(np.float32)
    values[values < 0] = np.nan
    to_input_voxels = np.linalg.solve(ijk_to_ras(volume_node), ijk_to_ras(node))
    return AttentionMap(name, stage, values, np.array(assessment.geometry.ijk_to_ras) @ to_input_voxels, kind)
