"""What distinguishes two volumes of the same patient, voxel by voxel on the grid of the first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.removal import remove_nodes
from CTQualityAssessmentLib.mrml.scene import batch, nodes_of_class
from CTQualityAssessmentLib.mrml.subject_hierarchy import place_beside
from CTQualityAssessmentLib.mrml.volume_nodes import add_scalar_volume, ijk_to_ras, volume_from_node
from CTQualityAssessmentLib.volume import Volume

#: Voxel value where the second volume has none; the display threshold makes it clear.
NOT_COVERED = -32768
#: Differences are shown from minus this to plus this (HU), grey for none.
SHOWN_HU = 100.0
_IS_DIFFERENCE, _FIRST, _SECOND = "CTQA.difference", "CTQA.volume", "CTQA.compared"
#: Above this a voxel is patient, in either volume; air would only dilute the figures.
_PATIENT_HU = -300


class NoOverlapError(CTQAError):
    """Two volumes have no place in common."""

    def __init__(self) -> None:
        super().__init__("The two volumes do not overlap.", "Choose a second volume of the same patient and place.")


@dataclass(frozen=True)
class Difference:
    """Second minus first.

    Attributes:
        values: ``[k, j, i]`` int16 HU on the grid of the first volume, :data:`NOT_COVERED` where there is none.
        mean_hu: over the patient; None where no patient is covered.
        sd_hu: standard deviation over the patient.
        covered: share of the first volume's voxels that the second has, 0 to 1.
        resampled: whether the second volume lies on another grid and was interpolated, which smooths its noise.
    """

    values: NDArray[np.int16]
    mean_hu: float | None
    sd_hu: float | None
    covered: float
    resampled: bool


def subtract(first: Volume, second: Volume) -> Difference:
    """Second minus first, on the grid of the first; linear interpolation where the grids differ.

    Raises:
        NoOverlapError: no voxel of the first volume is covered.
    """
    resampled = not _same_grid(first, second)
    other = _on_grid_of(first, second) if resampled else second.hu
    covered = other != NOT_COVERED
    if not covered.any():
        raise NoOverlapError
    limit = np.iinfo(np.int16).max
    values = np.full(first.hu.shape, NOT_COVERED, dtype=np.int16)
    difference = np.subtract(other, first.hu, dtype=np.float32)
    np.copyto(values, np.clip(np.rint(difference), -limit, limit).astype(np.int16), where=covered)
    patient = covered & ((first.hu > _PATIENT_HU) | (other > _PATIENT_HU))
    inside = difference[patient]
    return Difference(
        values,
        float(inside.mean(dtype=np.float64)) if inside.size else None,
        float(inside.std(dtype=np.float64)) if inside.size else None,
        float(covered.mean()),
        resampled,
    )


def add_difference(
    scene: slicer.vtkMRMLScene, first: slicer.vtkMRMLScalarVolumeNode, second: slicer.vtkMRMLScalarVolumeNode
) -> tuple[slicer.vtkMRMLScalarVolumeNode, Difference]:
    """The node "Difference", beside the first volume; one of an earlier call is replaced.

    Raises:
        NoOverlapError, UnsuitableNodeError, NonLinearTransformError: see :func:`subtract` and ``volume_from_node``.
    """
    found = subtract(volume_from_node(first), volume_from_node(second))
    with batch(scene):
        remove_differences(scene, first)
        node = add_scalar_volume(scene, found.values, ijk_to_ras(first), "Difference")
        node.SetAttribute(_IS_DIFFERENCE, "1")
        node.SetAndObserveTransformNodeID(first.GetTransformNodeID())
        node.SetNodeReferenceID(_FIRST, first.GetID())
        node.SetNodeReferenceID(_SECOND, second.GetID())
        display = node.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(-SHOWN_HU, SHOWN_HU)
        display.SetAutoThreshold(False)
        display.SetThreshold(NOT_COVERED + 1, np.iinfo(np.int16).max)
        display.SetApplyThreshold(True)
    place_beside(scene, first, [node])
    return node, found


def is_difference(node: slicer.vtkMRMLNode) -> bool:
    """Whether :func:`add_difference` made the node."""
    return bool(node.GetAttribute(_IS_DIFFERENCE))


def find_differences(
    scene: slicer.vtkMRMLScene, first: slicer.vtkMRMLScalarVolumeNode
) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """The differences of other volumes to this one."""
    return [
        node
        for node in nodes_of_class(scene, "vtkMRMLScalarVolumeNode")
        if is_difference(node) and node.GetNodeReference(_FIRST) is first
    ]


def remove_differences(scene: slicer.vtkMRMLScene, first: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Take the differences to this volume away; harmless where there are none."""
    remove_nodes(scene, find_differences(scene, first))


def _same_grid(first: Volume, second: Volume) -> bool:
    """Same size, and no corner further apart than a hundredth of a voxel."""
    if first.hu.shape != second.hu.shape:
        return False
    i, j, k = (n - 1 for n in reversed(first.hu.shape))
    corners = np.array([(a, b, c, 1.0) for a in (0, i) for b in (0, j) for c in (0, k)]).T
    apart = np.linalg.norm(((first.ijk_to_ras - second.ijk_to_ras) @ corners)[:3], axis=0)
    return bool(apart.max() <= 0.01 * min(first.spacing))


def _on_grid_of(first: Volume, second: Volume) -> NDArray[np.float32]:
    from vtk.util import numpy_support

    voxels = np.ascontiguousarray(second.hu)
    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(voxels.shape))
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(voxels.reshape(-1)))
    to_second = vtk.vtkMatrix4x4()
    to_second.DeepCopy(np.linalg.solve(second.ijk_to_ras, first.ijk_to_ras).reshape(-1).tolist())
    transform = vtk.vtkTransform()
    transform.SetMatrix(to_second)
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image)
    reslice.SetResliceTransform(transform)
    reslice.SetInterpolationModeToLinear()
    reslice.SetOutputScalarType(vtk.VTK_FLOAT)
    reslice.SetBackgroundLevel(NOT_COVERED)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    reslice.SetOutputExtent(*(value for n in reversed(first.hu.shape) for value in (0, n - 1)))
    reslice.Update()
    scalars = numpy_support.vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars())
    return scalars.reshape(first.hu.shape).copy()
