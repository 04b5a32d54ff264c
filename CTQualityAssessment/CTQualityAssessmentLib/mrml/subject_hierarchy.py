"""Where results stand in the subject hierarchy: beside what they were made from."""

from __future__ import annotations

from collections.abc import Iterable

import slicer


def place_beside(
    scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLVolumeNode, nodes: Iterable[slicer.vtkMRMLNode]
) -> None:
    """Put nodes under the parent of ``volume_node`` where the host keeps a subject hierarchy (the application)."""
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
    item = hierarchy.GetItemByDataNode(volume_node) if hierarchy is not None else 0
    if not item:
        return
    for node in nodes:
        own = hierarchy.GetItemByDataNode(node)
        if own:
            hierarchy.SetItemParent(own, hierarchy.GetItemParent(item))
