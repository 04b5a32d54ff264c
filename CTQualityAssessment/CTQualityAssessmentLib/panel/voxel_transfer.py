"""Voxels on their way to the worker and back, in steps so short that the window does not stutter."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
from numpy.typing import NDArray

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.volume_nodes import (
    check_scalar_volume,
    empty_image,
    node_grid,
    node_warnings,
    settled_voxels,
    voxels_in,
)
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from CTQualityAssessmentLib.worker.exchange import ExchangeError

#: Voxels in a step: about 5 ms on one core.
_STEP = 2_000_000


def volume_key(node: slicer.vtkMRMLScalarVolumeNode) -> object:
    """What figures of a volume depend on: its voxels and where they lie; changes with either."""
    image = node.GetImageData()
    parent = node.GetParentTransformNode()
    return (
        node.GetID(),
        image.GetMTime() if image is not None else 0,
        tuple(node.GetSpacing()),
        parent.GetMTime() if parent is not None else 0,
    )


class VoxelTransfer:
    """Writes the settled HU of a node to an ``.npy`` file, one step at a time.

    Args:
        node: a scalar volume; :meth:`changed` tells whether its voxels stayed the same.
        path: of the file; what an interrupted transfer left there is no whole array.
        parent: 4 x 4, of a transform that the node itself is not under but stands for.

    Raises:
        UnsuitableNodeError: the node is no scalar volume or is empty.
        NonLinearTransformError: the volume is under a transform that is not linear.
    """

    def __init__(
        self, node: slicer.vtkMRMLScalarVolumeNode, path: Path, parent: NDArray[np.float64] | None = None
    ) -> None:
        check_scalar_volume(node)
        self._node, self._path = node, path
        matrix, self._axis = node_grid(node)
        self._placed = matrix
        self._matrix = matrix if parent is None else parent @ matrix
        self._image = node.GetImageData()  # keeps the voxels alive
        self._changed_at, self._checksum = self._image.GetMTime(), 0
        self._voxels = voxels_in(self._image)
        self._warnings = dict.fromkeys(node_warnings(node))  # in order, each once
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
            "warnings": list(self._warnings),
        }

    def volume(self, facts: AcquisitionFacts) -> Volume:
        """What was written, mapped from the file: Windows does not delete it before the volume is gone."""
        hu = np.load(self._path, mmap_mode="r", allow_pickle=False)
        return Volume(hu, self._matrix, self._axis, facts, tuple(self._warnings))

    def changed(self) -> bool:
        """Whether the node has other voxels than those that were written."""
        image = self._node.GetImageData()
        if image is None:
            return True
        # The time alone also changes where somebody only said that something might have changed.
        if image is self._image and image.GetMTime() == self._changed_at:
            return False
        voxels = voxels_in(image)
        if voxels.shape != self._voxels.shape or self._sum(voxels) != self._checksum:
            return True
        self._image, self._voxels, self._changed_at = image, voxels, image.GetMTime()  # asked again, it is known
        return False

    def moved(self) -> bool:
        """Whether the node lies elsewhere in the world than its voxels did when they were written."""
        try:
            matrix, _axis = node_grid(self._node)
        except CTQAError:  # under a transform that bends it, by now
            return True
        return not np.array_equal(matrix, self._placed)

    @staticmethod
    def _sum(voxels: NDArray[np.generic], begun: int = 0) -> int:
        return zlib.crc32(np.ascontiguousarray(voxels).view(np.uint8).data, begun)

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
                self._checksum = self._sum(slab, self._checksum)
                hu, warnings = settled_voxels(slab.astype(kind, copy=False))
                self._warnings |= dict.fromkeys(warnings)
                file.write(np.ascontiguousarray(hu, dtype=kind).data)
                yield False
        part.replace(self._path)


class VoxelArrival:
    """Reads voxels that the worker wrote into image data for a node, one step at a time.

    Attributes:
        image: to be used once the last step is done.

    Args:
        path: of an ``.npy``.
        shape: ``[k, j, i]`` that it must have.

    Raises:
        ExchangeError: the file is missing, damaged or of another volume.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        try:
            stored = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ExchangeError from error
        if stored.shape != tuple(shape):
            raise ExchangeError
        self._stored = stored
        self.image = empty_image(stored.shape, stored.dtype)
        self._target = voxels_in(self.image)
        self._next = 0

    def step(self) -> bool:
        """Do a little; True when all is there."""
        thick = max(1, _STEP // max(1, self._stored[0].size))
        slab = slice(self._next, self._next + thick)
        self._target[slab] = self._stored[slab]
        self._next += thick
        return self._next >= len(self._stored)
