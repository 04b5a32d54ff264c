"""Taking nodes away so that nothing of them stays: not in views, and not as display or storage nodes."""

from __future__ import annotations

from collections.abc import Sequence

import slicer

from CTQualityAssessmentLib.mrml.scene import nodes_of_class


def clear_views(scene: slicer.vtkMRMLScene, ids: set[str]) -> None:
    """Empty the slice, plot and table views that show one of these nodes; else they pick another by themselves."""
    for view in nodes_of_class(scene, "vtkMRMLSliceCompositeNode"):
        for layer in reversed(range(view.LayerLabel + 1 + view.GetNumberOfAdditionalLayers())):
            if view.GetNthLayerVolumeID(layer) in ids:
                view.SetNthLayerVolumeID(layer, None)
    for view in nodes_of_class(scene, "vtkMRMLPlotViewNode"):
        if view.GetPlotChartNodeID() in ids:
            view.SetPlotChartNodeID(None)
    for view in nodes_of_class(scene, "vtkMRMLTableViewNode"):
        if view.GetTableNodeID() in ids:
            view.SetTableNodeID(None)


def helpers_of(node: slicer.vtkMRMLNode) -> list[slicer.vtkMRMLNode]:
    """The node's display nodes (its legend is one) and storage nodes, which the scene keeps when the node goes."""
    found = []
    if node.IsA("vtkMRMLDisplayableNode"):
        found += [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        found += [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]
    return [helper for helper in found if helper is not None]


def remove_nodes(scene: slicer.vtkMRMLScene, nodes: Sequence[slicer.vtkMRMLNode]) -> None:
    """Remove nodes with their helpers, in this order, after the views let go of them."""
    clear_views(scene, {node.GetID() for node in nodes})
    for node in [*(helper for owner in nodes for helper in helpers_of(owner)), *nodes]:
        if node.GetScene() is scene:
            scene.RemoveNode(node)
