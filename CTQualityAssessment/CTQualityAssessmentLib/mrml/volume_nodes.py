"""Volumes in and out of the scene."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import get_vtk_array_type, vtk_to_numpy

from CTQualityAssessmentLib.assessment.display import display_window
from CTQualityAssessmentLib.mrml.errors import NonLinearTransformError, UnsuitableNodeError
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import Volume, acquisition_axis_from_affine
from CTQualityAssessmentLib.windows import WINDOWS, Window

_ = marks_of(__file__)

#: Node attribute that keeps the acquisition axis where a header told it; the affine alone cannot always say it.
ACQUISITION_AXIS = "CTQA.acquisitionAxis"

#: As in reading: what lies below the 12-bit scale becomes air, padding such as -2000 and -3024 and noise in air alike,
#: so that a series gives the same voxels whether our reader or the application loaded it.
AIR_HU = -1024
_IN_CACHE = 2**18


def add_volume(scene: slicer.vtkMRMLScene, volume: Volume, name: str | None = None) -> slicer.vtkMRMLScalarVolumeNode:
    """A scalar volume node with the values of ``volume`` (copied), shown in the window of its modality.

    ``name`` appears in the scene and in saved files: keep patient identifiers out of it. None for "CT" or "MR".
    """
    name = name or ("MR" if volume.is_mr else "CT")
    node = add_scalar_volume(scene, volume.hu, volume.ijk_to_ras, name)
    if not volume.is_mr:
        return show_as_ct(node, volume.acquisition_axis)
    node.SetAttribute(ACQUISITION_AXIS, str(volume.acquisition_axis))
    return _show_in(node, display_window(volume))  # the signal of MR has no unit to name


def show_as_ct(node: slicer.vtkMRMLScalarVolumeNode, acquisition_axis: int) -> slicer.vtkMRMLScalarVolumeNode:
    """Say on a node that it is CT in HU, with this acquisition axis, and give it the soft-tissue window."""
    node.SetAttribute(ACQUISITION_AXIS, str(acquisition_axis))
    node.SetVoxelValueQuantity(_code("112031", "DCM", "Attenuation Coefficient"))
    node.SetVoxelValueUnits(_code("[hnsf'U]", "UCUM", "Hounsfield unit"))
    return _show_in(node, WINDOWS["soft-tissue"])


def _show_in(node: slicer.vtkMRMLScalarVolumeNode, window: Window) -> slicer.vtkMRMLScalarVolumeNode:
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(window.width, window.level)
    return node


def add_scalar_volume(
    scene: slicer.vtkMRMLScene, values: NDArray[np.generic], ijk_to_ras: NDArray[np.float64], name: str
) -> slicer.vtkMRMLScalarVolumeNode:
    """A scalar volume node with a display node, whose window the caller sets.

    Args:
        scene: where it goes.
        values: ``[k, j, i]``; copied.
        ijk_to_ras: 4 x 4, millimetres; may be oblique, sheared and left-handed.
        name: of the node.
    """
    node = _empty_volume(scene, ijk_to_ras, name)
    slicer.util.updateVolumeFromArray(node, values)
    return node


def add_image(
    scene: slicer.vtkMRMLScene, image: vtk.vtkImageData, ijk_to_ras: NDArray[np.float64], name: str
) -> slicer.vtkMRMLScalarVolumeNode:
    """As :func:`add_scalar_volume`, from image data that is taken over and not copied."""
    node = _empty_volume(scene, ijk_to_ras, name)
    node.SetAndObserveImageData(image)
    return node


def _empty_volume(
    scene: slicer.vtkMRMLScene, ijk_to_ras: NDArray[np.float64], name: str
) -> slicer.vtkMRMLScalarVolumeNode:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.asarray(ijk_to_ras, dtype=np.float64)))
    node.CreateDefaultDisplayNodes()
    # Before there are voxels: looking for a window by itself holds Slicer for seconds where there are many.
    node.GetDisplayNode().SetAutoWindowLevel(False)
    node.AddDefaultStorageNode()
    # Else a left-handed grid comes back from a saved scene turned over, and slice indices point at other slices.
    node.GetStorageNode().SetForceRightHandedIJKCoordinateSystem(False)
    return node


def volume_from_node(node: slicer.vtkMRMLScalarVolumeNode, acquisition_axis: int | None = None) -> Volume:
    """The volume of a node in world coordinates, parent transforms included.

    Voxels are shared with the node where they already are int16 or float32 HU of at least -1024, and copied otherwise:
    do not write into them.

    Args:
        node: a scalar volume in HU.
        acquisition_axis: 0, 1 or 2 for i, j or k where the caller knows it; else the node's attribute
            :data:`ACQUISITION_AXIS`, else a guess from the grid.

    Raises:
        UnsuitableNodeError: the node is no scalar volume or is empty.
        NonLinearTransformError: it is under a transform that is not linear.
    """
    check_scalar_volume(node)
    matrix, axis = node_grid(node, acquisition_axis)
    hu, warnings = settled_voxels(slicer.util.arrayFromVolume(node))
    return Volume(hu, matrix, axis, warnings=(*warnings, *node_warnings(node)))


def check_scalar_volume(node: slicer.vtkMRMLNode | None) -> None:
    """Say what is wrong with a node that holds no grey values.

    Raises:
        UnsuitableNodeError: it is no scalar volume or is empty.
    """
    if node is None or node.GetClassName() != "vtkMRMLScalarVolumeNode":
        raise UnsuitableNodeError(
            _("The input is not a grey-value volume."),
            _("Choose a CT volume, not a label map, colour image or vector field."),
        )
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetNumberOfScalarComponents() != 1:
        raise UnsuitableNodeError(_("The volume holds no voxels."), _("Load it again, or choose another volume."))


def node_warnings(node: slicer.vtkMRMLScalarVolumeNode) -> list[str]:
    """What the node itself says against it, without a look at its voxels."""
    units = node.GetVoxelValueUnits()
    if units is not None and units.GetCodeValue() and units.GetCodeValue() != "[hnsf'U]":
        return [_("The volume says that its values are not in Hounsfield units.")]
    return []


def empty_image(shape: tuple[int, int, int], dtype: np.dtype) -> vtk.vtkImageData:
    """Image data for voxels ``[k, j, i]`` of that type, not filled yet: see :func:`voxels_in`."""
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(shape))
    image.AllocateScalars(get_vtk_array_type(dtype), 1)
    return image


def image_of(values: NDArray[np.generic]) -> vtk.vtkImageData:
    """Image data with a copy of the voxels ``[k, j, i]``."""
    image = empty_image(values.shape, values.dtype)
    voxels_in(image)[:] = values
    return image


def voxels_in(image: vtk.vtkImageData) -> NDArray[np.generic]:
    """The voxels ``[k, j, i]`` of image data with one component, shared with it."""
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(tuple(reversed(image.GetDimensions())))


def node_grid(
    node: slicer.vtkMRMLScalarVolumeNode, acquisition_axis: int | None = None
) -> tuple[NDArray[np.float64], int]:
    """The 4 x 4 matrix from voxel indices to world millimetres, and the acquisition axis; see volume_from_node.

    Raises:
        NonLinearTransformError: the volume is under a transform that is not linear.
    """
    matrix = ijk_to_world(node)
    if acquisition_axis is not None:
        return matrix, acquisition_axis
    stored = node.GetAttribute(ACQUISITION_AXIS)
    if stored in ("0", "1", "2"):
        return matrix, int(stored)
    return matrix, acquisition_axis_from_affine(matrix, tuple(reversed(node.GetImageData().GetDimensions())))


def ijk_to_ras(node: slicer.vtkMRMLVolumeNode) -> NDArray[np.float64]:
    """The node's own 4 x 4 matrix from voxel indices to millimetres, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def ijk_to_world(node: slicer.vtkMRMLVolumeNode) -> NDArray[np.float64]:
    """The 4 x 4 matrix from voxel indices to world millimetres, parent transforms included.

    Raises:
        NonLinearTransformError: a parent transform is not linear.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return ijk_to_ras(node)
    if not parent.IsTransformToWorldLinear():
        raise NonLinearTransformError
    to_world = vtk.vtkMatrix4x4()
    parent.GetMatrixTransformToWorld(to_world)
    return slicer.util.arrayFromVTKMatrix(to_world) @ ijk_to_ras(node)


def settled_voxels(array: NDArray[np.generic]) -> tuple[NDArray[np.generic], list[str]]:
    """Voxels as int16 or float32, finite and at least -1024 HU; copied only where something had to change."""
    warnings = []
    lowest, highest = value_range(array)
    if np.issubdtype(array.dtype, np.floating):
        hu = array.astype(np.float32, copy=False)
    else:
        fits = np.iinfo(np.int16).min <= lowest and highest <= np.iinfo(np.int16).max
        hu = array.astype(np.int16 if fits else np.float32, copy=False)
    # The usual volume needs nothing, and one pass without memory of its own tells it, in a window that waits.
    if lowest >= AIR_HU and highest <= np.finfo(np.float32).max:
        return hu, warnings
    # One comparison finds what lies below air and, being false for it, NaN; the upper bound finds infinity.
    bad = ~((hu >= AIR_HU) & (hu <= np.finfo(np.float32).max))
    if bad.any():
        if not np.isfinite(hu).all():
            warnings.append(_("Voxels without a value were taken for air."))
        hu = np.where(bad, hu.dtype.type(AIR_HU), hu)
    return hu, warnings


def value_range(array: NDArray[np.generic]) -> tuple[float, float]:
    """Lowest and highest value, both NaN where one is; in pieces that the processor's cache holds, so read once."""
    thick = max(1, _IN_CACHE // max(1, array[0].size))
    pieces = [array[first : first + thick] for first in range(0, len(array), thick)]
    return float(np.min([piece.min() for piece in pieces])), float(np.max([piece.max() for piece in pieces]))


def _code(value: str, scheme: str, meaning: str) -> slicer.vtkCodedEntry:
    entry = slicer.vtkCodedEntry()
    entry.SetValueSchemeMeaning(value, scheme, meaning)
    return entry
