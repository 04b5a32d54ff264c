"""Grids that real scanners and files produce, and coordinates computed without the code under test."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from Testing.assessment_factory import affine, make_volume

SPACING = (1.5, 1.25, 4.0)
GRIDS = {
    "axial": (affine(SPACING), 2),
    "oblique": (affine(SPACING, rotation_deg=(12, -8, 25)), 2),
    "head-up": (affine(SPACING, flip=(1, 1, -1)), 2),
    "left-handed": (affine(SPACING, flip=(-1, 1, 1)), 2),
    "prone": (affine(SPACING, flip=(-1, -1, 1)), 2),
    "gantry tilt": (affine(SPACING, rotation_deg=(0, 0, 5), shear=0.36), 2),
    "slices along i": (affine((4.0, 1.5, 1.25), permutation=(2, 0, 1)), 0),
    "slices along j, oblique": (affine((1.5, 4.0, 1.25), rotation_deg=(5, 0, 20), permutation=(0, 2, 1)), 1),
    "coronal acquisition": (affine(SPACING, rotation_deg=(90, 0, 0)), 2),
    "sagittal acquisition, flipped": (affine(SPACING, rotation_deg=(0, 90, 0), flip=(1, -1, -1)), 2),
}
every_grid = pytest.mark.parametrize("grid", GRIDS)


def volume_on(grid: str, shape: tuple[int, int, int] = (7, 9, 8)):
    """A volume on a grid of :data:`GRIDS`; ``shape`` is (slices, and the two in-plane sizes)."""
    matrix, axis = GRIDS[grid]
    order = {2: (0, 1, 2), 1: (1, 0, 2), 0: (1, 2, 0)}[axis]
    return make_volume(tuple(shape[a] for a in order), matrix, axis)


def all_voxels(shape_kji) -> np.ndarray:
    """Every voxel as rows ``(i, j, k)``."""
    return np.argwhere(np.ones(shape_kji, bool))[:, ::-1]


def to_world(node, ijk: np.ndarray) -> np.ndarray:
    """World millimetres of voxel indices by VTK and MRML alone, parent transforms included; rows of three."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    parents = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, parents)
    return np.array([parents.TransformPoint(matrix.MultiplyPoint([*map(float, p), 1.0])[:3]) for p in ijk])


def to_ijk(node, world: np.ndarray) -> np.ndarray:
    """Inverse of :func:`to_world`, not rounded."""
    matrix = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(matrix)
    parents = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(None, node.GetParentTransformNode(), parents)
    return np.array([matrix.MultiplyPoint([*parents.TransformPoint(p), 1.0])[:3] for p in world])


def values_at(node, world: np.ndarray) -> np.ndarray:
    """Voxel values of a node at world positions, the nearest voxel as in the slice views; NaN outside."""
    array = slicer.util.arrayFromVolume(node)
    ijk = np.floor(to_ijk(node, world) + 0.5 + 1e-6).astype(int)
    inside = ((ijk >= 0) & (ijk < array.shape[::-1])).all(axis=1)
    found = np.full(len(ijk), np.nan)
    found[inside] = array[tuple(ijk[inside, ::-1].T)]
    return found


def linear_transform(scene, degrees: float = 30.0, shift: tuple[float, float, float] = (5.0, -7.0, 11.0)):
    transform = vtk.vtkTransform()
    transform.Translate(*shift)
    transform.RotateWXYZ(degrees, 1, 2, 3)
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetMatrixTransformToParent(transform.GetMatrix())
    return node
