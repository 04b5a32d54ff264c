"""Colour legends in the slice views."""

from __future__ import annotations

import slicer

from CTQualityAssessmentLib.mrml.scene import register_node_classes
from CTQualityAssessmentLib.translation import texts_of

_ = texts_of(__file__)


def add_legend(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    title: str,
    label_count: int,
    on_left: bool,
) -> slicer.vtkMRMLColorLegendDisplayNode:
    """A legend that follows the colours and the window of the volume's display node.

    It is a second display node of the volume: whoever removes the volume removes it too. ``on_left`` keeps two
    overlays' legends apart.
    """
    register_node_classes(scene)
    legend = slicer.vtkMRMLColorLegendDisplayNode()
    legend.SetName(_("{name} legend").format(name=volume_node.GetName()))
    legend.SetTitleText(title)
    legend.SetLabelFormat("%.1f")
    legend.SetNumberOfLabels(label_count)
    legend.SetPosition(0.02 if on_left else 0.98, 0.5)
    legend.SetSize(0.12, 0.5)
    legend.SetVisibility3D(False)
    legend = scene.AddNode(legend)
    legend.SetAndObservePrimaryDisplayNode(volume_node.GetDisplayNode())
    volume_node.AddAndObserveDisplayNodeID(legend.GetID())
    return legend
