"""Taking nodes away so that nothing of them stays: not in views, and not as display or storage nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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


@contextmanager
def all_or_nothing(scene: slicer.vtkMRMLScene) -> Iterator[None]:
    """Where the block fails, take away the nodes that it added: half a result would look like a whole one."""
    before = set(nodes_of_class(scene, "vtkMRMLNode"))
    try:
        yield
    except BaseException:
        added = [node for node in nodes_of_class(scene, "vtkMRMLNode") if node not in before]
        # What views make for themselves at the sight of a node is not ours: singletons, and what no file keeps.
        ours = [node for node in added if node.GetSaveWithScene() and not node.GetSingletonTag()]
        remove_nodes(scene, ours[::-1])  # what was added later refers to what was there
        raise
