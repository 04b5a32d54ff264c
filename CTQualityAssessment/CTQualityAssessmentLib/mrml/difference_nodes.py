"""A difference of two volumes in the scene, with a window that is even around zero."""

from __future__ import annotations

import numpy as np
import slicer
from numpy.typing import NDArray

from CTQualityAssessmentLib.mrml.colour_nodes import difference_colour_node
from CTQualityAssessmentLib.mrml.volume_nodes import add_scalar_volume

_NARROWEST_HU = 2.0


def add_difference(
    scene: slicer.vtkMRMLScene, hu: NDArray[np.generic], ijk_to_ras: NDArray[np.float64], half_width_hu: float = 100.0
) -> slicer.vtkMRMLScalarVolumeNode:
    """The node "Difference": blue below zero, dark at zero, orange above. It is not saved with the scene.

    Args:
        scene: where it goes.
        hu: ``[k, j, i]``, differences in HU; copied.
        ijk_to_ras: 4 x 4, millimetres.
        half_width_hu: the difference that has the last colour.
    """
    node = add_scalar_volume(scene, hu, ijk_to_ras, "Difference")
    node.SetSaveWithScene(False)
    node.GetDisplayNode().SetAndObserveColorNodeID(difference_colour_node(scene).GetID())
    set_half_width(node, half_width_hu)
    return node


def half_width(node: slicer.vtkMRMLScalarVolumeNode) -> float:
    """The difference in HU that has the last colour."""
    return node.GetDisplayNode().GetWindow() / 2


def set_half_width(node: slicer.vtkMRMLScalarVolumeNode, half_width_hu: float) -> None:
    """Window from minus to plus ``half_width_hu``: zero keeps its colour whatever the width."""
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(2 * max(half_width_hu, _NARROWEST_HU), 0.0)
