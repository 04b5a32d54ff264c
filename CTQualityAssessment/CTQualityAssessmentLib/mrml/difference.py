"""The difference of two volumes in the scene, with a window that is even around zero."""

from __future__ import annotations

import slicer
import vtk

from CTQualityAssessmentLib.assessment.difference import NOT_COVERED, VolumeDifference
from CTQualityAssessmentLib.mrml.colour_nodes import difference_colour_node
from CTQualityAssessmentLib.mrml.removal import all_or_nothing, remove_nodes
from CTQualityAssessmentLib.mrml.scene import batch, nodes_of_class
from CTQualityAssessmentLib.mrml.subject_hierarchy import place_beside
from CTQualityAssessmentLib.mrml.volume_nodes import add_image, add_scalar_volume, ijk_to_ras
from CTQualityAssessmentLib.translation import texts_of

_ = texts_of(__file__)

_IS_DIFFERENCE, _FIRST, _SECOND = "CTQA.difference", "CTQA.volume", "CTQA.compared"
_NARROWEST_HU = 2.0
_HIGHEST_HU = 1e9


def add_difference(
    scene: slicer.vtkMRMLScene,
    first: slicer.vtkMRMLScalarVolumeNode,
    second: slicer.vtkMRMLScalarVolumeNode,
    difference: VolumeDifference,
    half_width_hu: float = 100.0,
    image: vtk.vtkImageData | None = None,
) -> slicer.vtkMRMLScalarVolumeNode:
    """The node "Difference", beside the first volume: blue below zero, dark at zero, orange above, clear where the
    second volume does not reach. One of an earlier call is replaced.

    Args:
        scene: where it goes.
        first: the node on whose grid the difference lies, and under whose transform.
        second: what it was compared with.
        difference: of the two.
        half_width_hu: the difference that has the last colour.
        image: ``difference.hu`` as image data, which is then taken over and not copied.
    """
    with all_or_nothing(scene):
        with batch(scene):
            remove_differences(scene, first)
            if image is not None:
                node = add_image(scene, image, ijk_to_ras(first), _("Difference"))
            else:
                node = add_scalar_volume(scene, difference.hu, ijk_to_ras(first), _("Difference"))
            node.SetAttribute(_IS_DIFFERENCE, "1")
            node.SetAndObserveTransformNodeID(first.GetTransformNodeID())
            node.SetNodeReferenceID(_FIRST, first.GetID())
            node.SetNodeReferenceID(_SECOND, second.GetID())
            display = node.GetDisplayNode()
            display.SetAndObserveColorNodeID(difference_colour_node(scene).GetID())
            display.SetAutoThreshold(False)
            display.SetThreshold(NOT_COVERED + 1, _HIGHEST_HU)
            display.SetApplyThreshold(True)
            set_half_width(node, half_width_hu)
        place_beside(scene, first, [node])
    return node


def half_width(node: slicer.vtkMRMLScalarVolumeNode) -> float:
    """The difference in HU that has the last colour."""
    return node.GetDisplayNode().GetWindow() / 2


def set_half_width(node: slicer.vtkMRMLScalarVolumeNode, half_width_hu: float) -> None:
    """Window from minus to plus ``half_width_hu``: zero keeps its colour whatever the width."""
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(2 * max(half_width_hu, _NARROWEST_HU), 0.0)


def is_difference(node: slicer.vtkMRMLNode) -> bool:
    """Whether :func:`add_difference` made the node."""
    return bool(node.GetAttribute(_IS_DIFFERENCE))


def find_differences(
    scene: slicer.vtkMRMLScene, first: slicer.vtkMRMLScalarVolumeNode | None
) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """The differences of other volumes to this one."""
    return [
        node
        for node in nodes_of_class(scene, "vtkMRMLScalarVolumeNode")
        if is_difference(node) and node.GetNodeReference(_FIRST) is first
    ]


def second_of(node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode | None:
    """What was compared with the first volume; None where it is gone."""
    return node.GetNodeReference(_SECOND)


def remove_differences(scene: slicer.vtkMRMLScene, first: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Take the differences to this volume away; harmless where there are none."""
    remove_nodes(scene, find_differences(scene, first))
