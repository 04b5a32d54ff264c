"""Voxels on their way to the worker, in steps so short that the window does not stutter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from CTQualityAssessmentLib.mrml.volume_nodes import node_grid, settled_voxels
from CTQualityAssessmentLib.volume import AcquisitionFacts

#: Voxels in a step: about 5 ms on one core.
_STEP = 2_000_000


class VoxelTransfer:
    """Writes the settled HU of a node to an ``.npy`` file, one step at a time.

    Args:
        node: a scalar volume with voxels, which must not change until the last step.
        path: of the file; what an interrupted transfer left there is no whole array.

    Raises:
        NonLinearTransformError: the volume is under a transform that is not linear.
    """

    def __init__(self, node: slicer.vtkMRMLScalarVolumeNode, path: Path) -> None:
        self._path = path
        self._matrix, self._axis = node_grid(node)
        self._voxels = slicer.util.arrayFromVolume(node)
        self._image = node.GetImageData()  # keeps the voxels alive
        self._steps = self._work()

    def step(self) -> bool:
        """Do a little; True when all is written.

        Raises:
            OSError: the disk is full.
        """
        return next(self._steps, True)

    def described(self, facts: AcquisitionFacts) -> dict[str, Any]:
        """The fields of a request that describe the volume."""
        return {
            "array": str(self._path),
            "ijk_to_ras": self._matrix.tolist(),
            "acquisition_axis": self._axis,
            "facts": facts.known(),
        }

    def _slabs(self) -> Iterator[np.ndarray]:
        thick = max(1, _STEP // max(1, self._voxels[0].size))
        for first in range(0, len(self._voxels), thick):
            yield self._voxels[first : first + thick]

    def _work(self) -> Iterator[bool]:
        kind = np.dtype(np.int16)
        if np.issubdtype(self._voxels.dtype, np.floating):
            kind = np.dtype(np.float32)
        elif not np.can_cast(self._voxels.dtype, np.int16):
            limits = np.iinfo(np.int16)
            for slab in self._slabs():
                if slab.min() < limits.min or slab.max() > limits.max:
                    kind = np.dtype(np.float32)
                    break
                yield False
        part = self._path.with_name(f".{self._path.name}")
        with part.open("wb") as file:
            header = {"descr": kind.str, "fortran_order": False, "shape": self._voxels.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for slab in self._slabs():
                hu, _warnings = settled_voxels(slab.astype(kind, copy=False))
                file.write(np.ascontiguousarray(hu, dtype=kind).data)
                yield False
        part.replace(self._path)
