"""The difference of two volumes in the worker, from their voxels to a node, without a long step in the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.assessment.difference import VolumeDifference
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.difference import add_difference
from CTQualityAssessmentLib.panel.voxel_transfer import VoxelArrival, VoxelTransfer
from CTQualityAssessmentLib.panel.worker_process import WorkerProcess
from CTQualityAssessmentLib.panel.worker_run import STEP_MS, Job, OnProgress, WorkerRun
from CTQualityAssessmentLib.translation import said, told
from CTQualityAssessmentLib.volume import AcquisitionFacts
from CTQualityAssessmentLib.worker.exchange import DIFFERENCE, read_difference
from CTQualityAssessmentLib.worker.protocol import SubtractRequest


@dataclass(frozen=True)
class DifferenceEnd:
    """How it ended: with a node and what it amounts to, or with a sentence for the user."""

    first: slicer.vtkMRMLScalarVolumeNode
    second: slicer.vtkMRMLScalarVolumeNode
    node: slicer.vtkMRMLScalarVolumeNode | None = None
    found: VolumeDifference | None = None
    message: str = ""


class _DifferenceJob(Job):
    """Two volumes that are compared."""

    def __init__(self, first: slicer.vtkMRMLScalarVolumeNode, second: slicer.vtkMRMLScalarVolumeNode) -> None:
        super().__init__(first, second)
        self.first, self.second = first, second
        self.found: VolumeDifference | None = None
        self.arrival: VoxelArrival | None = None

    def open(self) -> None:
        super().open()
        pairs = ((self.first, "first"), (self.second, "second"))
        self.transfers = [VoxelTransfer(node, self.file(name)) for node, name in pairs]

    def message(self) -> dict[str, Any]:
        first, second = (transfer.described(AcquisitionFacts()) for transfer in self.transfers)
        return SubtractRequest(
            id=self.id,
            folder=str(self.path),
            second=second["array"],
            second_ijk_to_ras=second["ijk_to_ras"],
            second_acquisition_axis=second["acquisition_axis"],
            **first,
        ).to_message()

    def release(self) -> None:
        super().release()
        self.arrival = self.found = None


class DifferenceRun(WorkerRun[_DifferenceJob]):
    """Compares one pair at a time, in a process of its own that ends with it; needs no package that Slicer lacks.

    Args:
        parent: widget that owns process and timer.
        on_progress: see :data:`OnProgress`.
        on_end: called once for each :meth:`start` that is not abandoned.
    """

    def __init__(self, parent: qt.QWidget, on_progress: OnProgress, on_end: Callable[[DifferenceEnd], None]) -> None:
        super().__init__(parent, WorkerProcess(parent))
        self._on_progress, self._on_end = on_progress, on_end

    def start(self, first: slicer.vtkMRMLScalarVolumeNode, second: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Subtract ``first`` from ``second``; a run that is going on is dropped."""
        self.abandon()
        self.worker.start()
        self._on_progress(0, 0, _("Comparing"), None)
        self.begin(_DifferenceJob(first, second))

    def cancel(self) -> None:
        """Stop; nothing is kept, a part of a difference is of no use."""
        if self._job is not None:
            self._conclude(self._job, message=_("Cancelled; there is no difference."))

    def abandon(self) -> None:
        """Stop without a word: a volume or the scene is gone."""
        if self._job is not None:
            self.worker.retire()
            self.finish()

    def close(self) -> None:
        """Give everything back."""
        self.abandon()
        self.give_back()

    def received(self, job: _DifferenceJob, kind: str, message: dict[str, Any]) -> None:
        """A message of the worker."""
        if kind == "progress":
            self._on_progress(message["done"], message["total"], _("Comparing"), message["eta_s"])
        elif kind == "error":
            self._conclude(job, message=f"{said(message['problem'])} {said(message['advice'])}")
        elif kind == "done":
            try:
                job.found = read_difference(job.path)
                job.arrival = VoxelArrival(job.path / DIFFERENCE, job.found.hu.shape)
            except CTQAError as error:
                self._conclude(job, message=told(error))
                return
            self._timer.start(STEP_MS)

    def watch(self, job: _DifferenceJob) -> None:
        """Read a little of the result; the last step makes the node."""
        if job.arrival is None or not job.arrival.step():
            return
        if any(transfer.changed() or transfer.moved() for transfer in job.transfers):
            self._conclude(job, message=_("A volume changed meanwhile, so the difference was dropped."))
            return
        scene = job.first.GetScene()
        node = add_difference(scene, job.first, job.second, job.found, image=job.arrival.image)
        self._conclude(job, node=node, found=job.found)

    def failed(self, job: _DifferenceJob, message: str) -> None:
        """It cannot go on."""
        self._conclude(job, message=message)

    def lost(self, job: _DifferenceJob) -> None:
        """The worker ended."""
        self._conclude(job, message=_("The process that compares ended unexpectedly; press Difference again."))

    def _conclude(self, job: _DifferenceJob, **how: Any) -> None:
        self.worker.retire()
        end = DifferenceEnd(job.first, job.second, **how)
        self.finish()
        self._on_end(end)
