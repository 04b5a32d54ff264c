"""Physical measures in the scene: as exact JSON in a text node that belongs to its volume."""

from __future__ import annotations

import json

import slicer

from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.subject_hierarchy import place_beside
from CTQualityAssessmentLib.translation import texts_of

_ = texts_of(__file__)

_VOLUME = "CTQA.volume"
_IS_MEASURES = "CTQA.measures"


def add_measures(
    scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode, measures: PhysicalMeasures
) -> slicer.vtkMRMLTextNode:
    """Keep measures with their volume; earlier ones of the same volume are replaced."""
    remove_measures(scene, volume_node)
    node = scene.AddNewNodeByClass("vtkMRMLTextNode", _("Physical measures"))
    node.SetAttribute(_IS_MEASURES, measures.schema_version)
    node.SetText(json.dumps(measures.to_dict(), allow_nan=False))
    node.SetNodeReferenceID(_VOLUME, volume_node.GetID())
    place_beside(scene, volume_node, [node])
    return node


def measures_from_scene(
    scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> PhysicalMeasures | None:
    """The measures that were kept with a volume; None where there are none.

    Raises:
        ValueError: they were written by a version with another schema.
    """
    for node in find_measures(scene, volume_node):
        return PhysicalMeasures.from_dict(json.loads(node.GetText()))
    return None


def remove_measures(scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Take the kept measures of a volume away; harmless where there are none."""
    for node in find_measures(scene, volume_node):
        storage = node.GetStorageNode()
        if storage is not None:
            scene.RemoveNode(storage)
        scene.RemoveNode(node)


def find_measures(
    scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None
) -> list[slicer.vtkMRMLTextNode]:
    """The text nodes with measures of a volume. None: of volumes that are no longer in the scene."""
    return [
        node
        for node in nodes_of_class(scene, "vtkMRMLTextNode")
        if node.GetAttribute(_IS_MEASURES) and node.GetNodeReference(_VOLUME) is volume_node
    ]
