"""What the slice views show over the input: one overlay of ours at a time, or the plain image."""

from __future__ import annotations

from collections.abc import Collection

import slicer

from CTQualityAssessmentLib.mrml.scene import nodes_of_class


def show_overlay(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    overlay: slicer.vtkMRMLScalarVolumeNode,
    opacity: float,
) -> None:
    """Lay ``overlay`` over ``volume_node`` in all slice views that show it; where none does, in all slice views.

    Args:
        scene: with the views.
        volume_node: the assessed volume.
        overlay: one of its overlays.
        opacity: 0 (clear) to 1.
    """
    views = nodes_of_class(scene, "vtkMRMLSliceCompositeNode")
    shown = [view for view in views if view.GetBackgroundVolumeID() == volume_node.GetID()]
    for view in shown or views:
        view.SetBackgroundVolumeID(volume_node.GetID())
        view.SetForegroundVolumeID(overlay.GetID())
        view.SetForegroundOpacity(opacity)


def hide_overlays(scene: slicer.vtkMRMLScene, overlays: Collection[slicer.vtkMRMLScalarVolumeNode]) -> None:
    """Take these overlays out of the foreground of all slice views; other foregrounds stay."""
    ids = {overlay.GetID() for overlay in overlays}
    for view in nodes_of_class(scene, "vtkMRMLSliceCompositeNode"):
        if view.GetForegroundVolumeID() in ids:
            view.SetForegroundVolumeID(None)


def set_overlay_opacity(scene: slicer.vtkMRMLScene, overlay: slicer.vtkMRMLScalarVolumeNode, opacity: float) -> None:
    """The opacity, 0 to 1, in the slice views where ``overlay`` is the foreground."""
    for view in nodes_of_class(scene, "vtkMRMLSliceCompositeNode"):
        if view.GetForegroundVolumeID() == overlay.GetID():
            view.SetForegroundOpacity(opacity)
