"""A whole assessment in the scene: add it, find it again, take it away without a trace."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import slicer
from numpy.typing import NDArray

from CTQualityAssessmentLib.calls import finished
from CTQualityAssessmentLib.mrml.colour_nodes import remove_unused_colour_nodes
from CTQualityAssessmentLib.mrml.overlays import (
    add_attention_overlay,
    add_quality_overlay,
    add_volume_map,
    attention_upper,
    map_image,
)
from CTQualityAssessmentLib.mrml.plots import add_chart, add_score_series, add_threshold_series
from CTQualityAssessmentLib.mrml.quality_image import QualityImage, quality_image
from CTQualityAssessmentLib.mrml.removal import all_or_nothing, clear_views, helpers_of
from CTQualityAssessmentLib.mrml.scene import batch, nodes_of_class
from CTQualityAssessmentLib.mrml.subject_hierarchy import place_beside
from CTQualityAssessmentLib.mrml.tables import add_slice_table, add_summary_table, add_threshold_table
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.translation import texts_of

_ = texts_of(__file__)

#: Node reference from the parameters to the assessed volume; the other references are "CTQA." and a field's name.
_VOLUME = "CTQA.volume"
#: Display and storage nodes, which stay behind when a user deletes what they belong to.
_HELPERS = "CTQA.helpers"
_IS_ASSESSMENT = "CTQA.assessment"
#: Fields that hold several nodes.
_SEVERAL = ("attention", "volume_maps")


@dataclass(frozen=True)
class AssessmentNodes:
    """The nodes of one assessment. A node that a user deleted by hand is None (or missing from ``attention``).

    Attributes:
        parameters: model, window, device and versions as parameters, and the references that hold the rest together.
        quality: score overlay; its second display node is the legend.
        attention: one overlay per map of the result.
        slice_table: one row per slice.
        summary_table: the volume in words and numbers.
        threshold_table: ends of the line at grade Fair.
        score_series: score against slice.
        threshold_series: the line at grade Fair.
        chart: both series.
        result: the exact assessment as JSON.
    """

    parameters: slicer.vtkMRMLScriptedModuleNode
    quality: slicer.vtkMRMLScalarVolumeNode | None
    attention: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    volume_maps: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    slice_table: slicer.vtkMRMLTableNode | None
    summary_table: slicer.vtkMRMLTableNode | None
    threshold_table: slicer.vtkMRMLTableNode | None
    score_series: slicer.vtkMRMLPlotSeriesNode | None
    threshold_series: slicer.vtkMRMLPlotSeriesNode | None
    chart: slicer.vtkMRMLPlotChartNode | None
    result: slicer.vtkMRMLTextNode | None

    @property
    def volume(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The assessed volume; None where it is gone."""
        return self.parameters.GetNodeReference(_VOLUME)

    def made(self) -> list[slicer.vtkMRMLNode]:
        """All nodes that are there, what refers before what it refers to: the order to remove them in."""
        single = (self.chart, self.score_series, self.threshold_series, self.slice_table, self.summary_table)
        rest = (self.threshold_table, self.result, self.quality, *self.attention, *self.volume_maps, self.parameters)
        return [node for node in (*single, *rest) if node is not None]


def add_assessment(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    assessment: VolumeAssessment,
    body: NDArray[np.bool_],
) -> AssessmentNodes:
    """Show an assessment: overlays, legends, tables, chart, parameters and the exact result.

    Earlier assessments of the volume stay; :func:`remove_assessment` takes them away. Views are left as they are.

    Args:
        scene: where the nodes go.
        volume_node: the assessed volume; overlays share its parent transform.
        assessment: what was found.
        body: ``(n, rows, columns)`` on the canonical slices of the assessed volume, True inside the patient
            (``assessment.body.body_mask`` of ``volume.canonical_slices().hu``).

    Raises:
        AssessmentMismatchError: node, assessment and body are not of the same volume.
    """
    return finished(assessment_steps(scene, volume_node, assessment, quality_image(assessment, body)))


def assessment_steps(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    assessment: VolumeAssessment,
    quality: QualityImage,
    text: str | None = None,
) -> Generator[None, None, AssessmentNodes]:
    """As :func:`add_assessment`, in steps, between which a window can answer; the last one alone touches the scene,
    and leaves it as it was where it fails.

    Args:
        scene: where the nodes go.
        volume_node: the assessed volume.
        assessment: what was found.
        quality: the scored slices, as far as they were put.
        text: the assessment as JSON, where it is known.

    Raises:
        AssessmentMismatchError: node, assessment and image are not of the same volume.
    """
    yield from quality.settle(assessment.slices)
    upper = attention_upper(assessment.attention)
    yield
    attention_images, map_images = [], []
    for one in assessment.attention:
        attention_images.append((yield from map_image(one.values)))
    for one in assessment.volume_maps:
        map_images.append((yield from map_image(one.values)))
    if text is None:
        text = json.dumps(assessment.to_dict(), allow_nan=False)
        yield
    with all_or_nothing(scene):
        with batch(scene):
            shown = add_quality_overlay(scene, volume_node, assessment, quality)
            attention = [
                add_attention_overlay(scene, volume_node, assessment, one, upper, image)
                for one, image in zip(assessment.attention, attention_images, strict=True)
            ]
            volume_maps = [
                add_volume_map(scene, volume_node, assessment, one, image)
                for one, image in zip(assessment.volume_maps, map_images, strict=True)
            ]
            slice_table, threshold_table = add_slice_table(scene, assessment), add_threshold_table(scene, assessment)
            score, threshold = add_score_series(scene, slice_table), add_threshold_series(scene, threshold_table)
            nodes = AssessmentNodes(
                parameters=_add_parameters(scene, assessment),
                quality=shown,
                attention=tuple(attention),
                volume_maps=tuple(volume_maps),
                slice_table=slice_table,
                summary_table=add_summary_table(scene, assessment),
                threshold_table=threshold_table,
                score_series=score,
                threshold_series=threshold,
                chart=add_chart(scene, score, threshold),
                result=_add_result(scene, text),
            )
            nodes.parameters.SetNodeReferenceID(_VOLUME, volume_node.GetID())
            for role, members in _by_role(nodes):
                for n, member in enumerate(members):
                    nodes.parameters.SetNthNodeReferenceID(role, n, member.GetID())
            for n, helper in enumerate(h for node in nodes.made() for h in helpers_of(node)):
                nodes.parameters.SetNthNodeReferenceID(_HELPERS, n, helper.GetID())
        place_beside(scene, volume_node, nodes.made())
    return nodes


def find_assessments(
    scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None
) -> list[AssessmentNodes]:
    """The assessments of a volume, oldest first, also in a scene that was loaded. None: those whose volume is gone."""
    found = []
    for parameters in nodes_of_class(scene, "vtkMRMLScriptedModuleNode"):
        if parameters.GetAttribute(_IS_ASSESSMENT) and parameters.GetNodeReference(_VOLUME) is volume_node:
            members = {f.name: _references(parameters, f"CTQA.{f.name}") for f in fields(AssessmentNodes)}
            single = {
                f.name: next(iter(members[f.name]), None)
                for f in fields(AssessmentNodes)
                if f.name not in ("parameters", *_SEVERAL)
            }
            several = {name: tuple(node for node in members[name] if node is not None) for name in _SEVERAL}
            found.append(AssessmentNodes(parameters=parameters, **several, **single))
    return found


def overlay_ids(scene: slicer.vtkMRMLScene) -> set[str]:
    """IDs of all overlays that assessments of any volume added: volumes, but nothing to assess."""
    found = set()
    for parameters in nodes_of_class(scene, "vtkMRMLScriptedModuleNode"):
        if parameters.GetAttribute(_IS_ASSESSMENT):
            roles = ("CTQA.quality", *(f"CTQA.{name}" for name in _SEVERAL))
            overlays = [node for role in roles for node in _references(parameters, role)]
            found |= {node.GetID() for node in overlays if node is not None}
    return found


def assessment_from_scene(
    scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None
) -> VolumeAssessment | None:
    """The newest assessment of a volume, exact, without its attention maps; None where there is none.

    Raises:
        ValueError: it was written by a version with another schema.
    """
    for nodes in reversed(find_assessments(scene, volume_node)):
        if nodes.result is not None:
            return VolumeAssessment.from_dict(json.loads(nodes.result.GetText()))
    return None


def remove_assessment(scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Take away all assessments of a volume and nothing else. None: those whose volume is gone.

    Views that show a removed node are emptied first, because they would pick another volume by themselves.
    """
    with batch(scene):
        for nodes in find_assessments(scene, volume_node):
            made, parameters = nodes.made(), nodes.parameters
            clear_views(scene, {node.GetID() for node in made})
            helpers = [*_references(parameters, _HELPERS), *(helper for owner in made for helper in helpers_of(owner))]
            for node in [*helpers, *made]:
                if node is not None and node.GetScene() is scene:  # a helper may be listed twice
                    scene.RemoveNode(node)
        remove_unused_colour_nodes(scene)


def _references(parameters: slicer.vtkMRMLScriptedModuleNode, role: str) -> list[slicer.vtkMRMLNode | None]:
    return [parameters.GetNthNodeReference(role, n) for n in range(parameters.GetNumberOfNodeReferences(role))]


def _by_role(nodes: AssessmentNodes) -> list[tuple[str, Sequence[slicer.vtkMRMLNode]]]:
    pairs = [(f"CTQA.{f.name}", getattr(nodes, f.name)) for f in fields(nodes) if f.name != "parameters"]
    return [(role, value if isinstance(value, tuple) else (value,)) for role, value in pairs]


def _add_parameters(scene: slicer.vtkMRMLScene, assessment: VolumeAssessment) -> slicer.vtkMRMLScriptedModuleNode:
    node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", _("Quality parameters"))
    node.SetAttribute(_IS_ASSESSMENT, assessment.schema_version)
    model = assessment.model
    values = {
        "model.name": model.name,
        "model.version": model.version,
        "model.sha256": model.sha256,
        "model.network": model.network,
        "model.window": model.window,
        "model.simulatedLabels": str(model.simulated_labels).lower(),
        "model.statement": model.statement,
        "device": assessment.device,
        "partial": str(assessment.partial).lower(),
        **{f"versions.{name}": version for name, version in assessment.versions.items()},
    }
    for name, value in values.items():
        node.SetParameter(name, value)
    return node


def _add_result(scene: slicer.vtkMRMLScene, text: str) -> slicer.vtkMRMLTextNode:
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", _("Quality result"))
    node.SetText(text)
    return node
