"""Our colour maps as MRML nodes, one per map and scene, so that the application and a bare scene look the same."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from CTQualityAssessmentLib.colours import ATTENTION, DIFFERENCE, QUALITY, ColourMap, DivergingMap
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.results import MAX_SCORE
from CTQualityAssessmentLib.translation import texts_of

_ = texts_of(__file__)

_MAP = "CTQA.colourMap"


def quality_colour_node(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLProceduralColorNode:
    """The scene's node of :data:`QUALITY` over scores 0 to 4, made if there is none."""
    return _colour_node(scene, QUALITY, MAX_SCORE)


def attention_colour_node(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLProceduralColorNode:
    """The scene's node of :data:`ATTENTION` over 0 to 1, made if there is none; display windows stretch it."""
    return _colour_node(scene, ATTENTION, 1.0)


def difference_colour_node(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLProceduralColorNode:
    """The scene's node of :data:`DIFFERENCE` over -1 to 1, made if there is none; display windows stretch it."""
    return _colour_node(scene, DIFFERENCE, 1.0, lower=-1.0)


def remove_unused_colour_nodes(scene: slicer.vtkMRMLScene) -> None:
    """Take away our colour nodes that no display node refers to any more."""
    used = {display.GetColorNodeID() for display in nodes_of_class(scene, "vtkMRMLDisplayNode")}
    for node in nodes_of_class(scene, "vtkMRMLProceduralColorNode"):
        if node.GetAttribute(_MAP) and node.GetID() not in used:
            if node.GetStorageNode() is not None:
                scene.RemoveNode(node.GetStorageNode())
            scene.RemoveNode(node)


def _colour_node(
    scene: slicer.vtkMRMLScene, colour_map: ColourMap | DivergingMap, upper: float, lower: float = 0.0
) -> slicer.vtkMRMLProceduralColorNode:
    # Found by attribute, not made a singleton: closing a scene resets singletons, which would empty the map.
    for node in nodes_of_class(scene, "vtkMRMLProceduralColorNode"):
        if node.GetAttribute(_MAP) == colour_map.name:
            return node
    rgb = colour_map.rgb(256)
    function = vtk.vtkColorTransferFunction()
    for value, (r, g, b) in zip(np.linspace(lower, upper, len(rgb)), rgb, strict=True):
        function.AddRGBPoint(value, r, g, b)
    node = slicer.vtkMRMLProceduralColorNode()
    node.SetName(_colours_words(colour_map.name))
    node.SetAttribute(_MAP, colour_map.name)
    node.SetHideFromEditors(False)  # so that a user can choose it for other volumes
    node.SetAndObserveColorTransferFunction(function)
    return scene.AddNode(node)


def _colours_words(name: str) -> str:
    words = {
        QUALITY.name: _("Quality colours"),
        ATTENTION.name: _("Attention colours"),
        DIFFERENCE.name: _("Difference colours"),
    }
    return words[name]
