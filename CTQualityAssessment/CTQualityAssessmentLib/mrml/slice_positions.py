"""Slices of a volume and the slice views: which index is in view, and how to bring one there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import slicer.util
from numpy.typing import NDArray

from CTQualityAssessmentLib.mrml.volume_nodes import ijk_to_world

#: A view turned by less than this against the slices shows them without a visible step (0.1 degree).
_PARALLEL = float(np.cos(np.deg2rad(0.1)))


def slice_centre_world(
    node: slicer.vtkMRMLScalarVolumeNode, acquisition_axis: int, index: int
) -> tuple[float, float, float]:
    """World position in millimetres of the centre of a slice, parent transforms included.

    Args:
        node: the volume.
        acquisition_axis: 0, 1 or 2 for i, j or k.
        index: of the slice along that axis, from 0.

    Raises:
        NonLinearTransformError: the volume is under a transform that is not linear.
    """
    ijk = [(n - 1) / 2 for n in node.GetImageData().GetDimensions()]
    ijk[acquisition_axis] = float(index)
    x, y, z = (ijk_to_world(node) @ np.array([*ijk, 1.0]))[:3]
    return float(x), float(y), float(z)


def view_along(
    views: Sequence[slicer.vtkMRMLSliceNode], node: slicer.vtkMRMLScalarVolumeNode, acquisition_axis: int
) -> slicer.vtkMRMLSliceNode | None:
    """The view whose plane is nearest to the slices of the volume; None without views."""
    normal = _slice_normal(node, acquisition_axis)
    return max(views, key=lambda view: abs(_view_normal(view) @ normal), default=None)


def jump_to_slice(
    view: slicer.vtkMRMLSliceNode, node: slicer.vtkMRMLScalarVolumeNode, acquisition_axis: int, index: int
) -> None:
    """Show one slice of the volume in a view, turning the view into the slices' plane where it is not."""
    if abs(_view_normal(view) @ _slice_normal(node, acquisition_axis)) < _PARALLEL:
        view.RotateToVolumePlane(node)  # else the slice would be cut at an angle and the index be wrong off centre
    view.JumpSliceByOffsetting(*slice_centre_world(node, acquisition_axis, index))


def slice_in_view(
    view: slicer.vtkMRMLSliceNode, node: slicer.vtkMRMLScalarVolumeNode, acquisition_axis: int
) -> int | None:
    """Index of the slice that a view shows; None where it is turned away from the slices or outside the volume."""
    if abs(_view_normal(view) @ _slice_normal(node, acquisition_axis)) < _PARALLEL:
        return None
    matrix = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
    ijk = np.linalg.solve(ijk_to_world(node), matrix[:, 3])
    index = round(float(ijk[acquisition_axis]))
    return index if 0 <= index < node.GetImageData().GetDimensions()[acquisition_axis] else None


def _slice_normal(node: slicer.vtkMRMLScalarVolumeNode, acquisition_axis: int) -> NDArray[np.float64]:
    """Normal of the slices' plane: with a gantry tilt it is not the direction in which they are stacked."""
    first, second = (ijk_to_world(node)[:3, axis] for axis in (0, 1, 2) if axis != acquisition_axis)
    normal = np.cross(first, second)
    return normal / np.linalg.norm(normal)


def _view_normal(view: slicer.vtkMRMLSliceNode) -> NDArray[np.float64]:
    normal = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())[:3, 2]
    return normal / np.linalg.norm(normal)
