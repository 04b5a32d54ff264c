"""Pictures of slice views, off screen, with Slicer's own slice logic and displayable managers.

For looking at overlays without the application, and for the pictures in the documentation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from trame_slicer.views import SliceView
from trame_slicer.views.render_scheduler import NoScheduleRendering
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

ORIENTATIONS = ("Axial", "Coronal", "Sagittal")


def render_slice_views(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    overlay_node: slicer.vtkMRMLScalarVolumeNode | None,
    png_path: Path,
    *,
    opacity: float = 0.4,
    centre_ras: tuple[float, float, float] | None = None,
    size: int = 480,
    rotate_to_volume: bool = False,
) -> np.ndarray:
    """Axial, coronal and sagittal views side by side as a PNG.

    Args:
        scene: what is shown; view nodes are added for the picture and taken away again.
        volume_node: background.
        overlay_node: foreground, with its colours, threshold and legend; None for the bare volume.
        png_path: written, or replaced.
        opacity: of the overlay, 0 to 1.
        centre_ras: point that all three planes go through; the middle of the volume by default.
        size: side of each view in pixels.
        rotate_to_volume: turn the planes into the volume's own axes (oblique or tilted acquisitions).

    Returns:
        the picture, ``(size, 3 * size, 3)`` uint8, first row on top.
    """
    before = {node.GetID() for node in nodes_of_class(scene, "vtkMRMLNode")}
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.SetSliceLogics(vtk.vtkCollection())
    views = []
    try:
        for orientation in ORIENTATIONS:
            views.append(_view(scene, application, orientation, size))
            _show(views[-1], volume_node, overlay_node, opacity, centre_ras, rotate_to_volume)
        for legend in nodes_of_class(scene, "vtkMRMLColorLegendDisplayNode"):
            scene.InvokeEvent(scene.NodeAddedEvent, legend)  # views that are younger than a legend overlook it
            legend.Modified()
        picture = np.concatenate([_pixels(view) for view in views], axis=1)
    finally:
        for view in views:
            view._logic.SetMRMLScene(None)
            view.finalize()
        application.SetMRMLScene(None)  # else it puts its nodes back
        for node in nodes_of_class(scene, "vtkMRMLNode"):
            if node.GetID() not in before:
                scene.RemoveNode(node)
    _write_png(picture, Path(png_path))
    return picture


def _view(
    scene: slicer.vtkMRMLScene, application: slicer.vtkSlicerApplicationLogic, orientation: str, size: int
) -> SliceView:
    view = SliceView(scene, application, f"Picture {orientation}", NoScheduleRendering())
    view.render_window().SetOffScreenRendering(True)
    view.render_window().SetSize(size, size)
    view.set_orientation(orientation)
    return view


def _show(
    view: SliceView,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    overlay_node: slicer.vtkMRMLScalarVolumeNode | None,
    opacity: float,
    centre_ras: tuple[float, float, float] | None,
    rotate_to_volume: bool,
) -> None:
    view.set_background_volume_id(volume_node.GetID())
    view.set_foreground_volume_id(overlay_node.GetID() if overlay_node is not None else None)
    view.set_foreground_opacity(opacity)
    slice_node = view._logic.GetSliceNode()
    if rotate_to_volume:
        slice_node.RotateToVolumePlane(volume_node)
    view.fit_view_to_content()
    if centre_ras is not None:
        slice_node.JumpSliceByOffsetting(*centre_ras)


def _pixels(view: SliceView) -> np.ndarray:
    view.render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(view.render_window())
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    columns, rows, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(rows, columns, -1)
    return pixels[::-1, :, :3].copy()  # VTK counts rows from below


def _write_png(picture: np.ndarray, path: Path) -> None:
    rows, columns, _ = picture.shape
    image = vtk.vtkImageData()
    image.SetDimensions(columns, rows, 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(picture[::-1]).reshape(-1, 3), deep=True))
    part = path.with_name(f".{path.name}")
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(part))
    writer.SetInputData(image)
    writer.Write()
    part.replace(path)
