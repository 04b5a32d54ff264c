"""Physical measures of the chosen volume, in a process of their own; they need no package that Slicer lacks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.panel.volume_facts import acquisition_facts
from CTQualityAssessmentLib.panel.voxel_transfer import VoxelTransfer, volume_key
from CTQualityAssessmentLib.panel.worker_process import WorkerProcess
from CTQualityAssessmentLib.panel.worker_run import Job, WorkerRun
from CTQualityAssessmentLib.translation import said, told
from CTQualityAssessmentLib.worker.exchange import read_measured
from CTQualityAssessmentLib.worker.protocol import MeasureRequest

#: A volume that changes again within this time (a sequence that plays) is not measured in between.
WAIT_MS = 300
_MOST_KEPT = 16


@dataclass(frozen=True)
class MeasuringState:
    """What there is to show: figures of all slices, of a few, or none yet, and a sentence on the way there."""

    measures: PhysicalMeasures | None = None
    preview_slices: int = 0
    message: str = ""


class _MeasureJob(Job):
    """A volume that is being measured."""

    def __init__(self, key: object, node: slicer.vtkMRMLScalarVolumeNode) -> None:
        super().__init__(node)
        self.key, self.node = key, node

    def open(self) -> None:
        super().open()
        self.transfers = [VoxelTransfer(self.node, self.file("hu"))]

    def message(self) -> dict[str, Any]:
        described = self.transfers[0].described(acquisition_facts(self.node)[0])
        return MeasureRequest(id=self.id, folder=str(self.path), preview=True, **described).to_message()


class Measuring(WorkerRun[_MeasureJob]):
    """Measures one volume at a time and remembers the figures of the last ones.

    Args:
        parent: widget that owns the process and the timer.
        on_change: called when :attr:`state` changed.
    """

    def __init__(self, parent: qt.QWidget, on_change: Callable[[], None]) -> None:
        super().__init__(parent, WorkerProcess(parent))
        self.state = MeasuringState()
        self._on_change = on_change
        self._known: dict[object, PhysicalMeasures] = {}

    def show(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Turn to this volume: figures that are known at once, others as soon as they are measured."""
        key = volume_key(node) if node is not None else None
        if self._job is not None and self._job.key == key:
            return
        self.forget_job()
        if key is None or key in self._known:
            self._tell(MeasuringState(self._known.get(key)))
            return
        self.begin(_MeasureJob(key, node), WAIT_MS)
        self._tell(MeasuringState(message=_("Measuring noise, contrast and sharpness...")))

    def known(self, node: slicer.vtkMRMLScalarVolumeNode) -> PhysicalMeasures | None:
        """The figures of a volume if all its slices were measured and its voxels are still the same."""
        return self._known.get(volume_key(node))

    def forget_job(self) -> None:
        """Stop measuring; nothing of it is kept."""
        if self._job is not None and self._job.asked:
            self.worker.retire()  # a slice takes a moment, and nobody waits for it any more
        self.finish()

    def close(self) -> None:
        """Give everything back: the process, the timer, the temporary folder."""
        self.forget_job()
        self.give_back()

    def still_wanted(self, job: _MeasureJob) -> bool:
        """Not where the volume changed or went meanwhile."""
        if job.node.GetScene() is not None and volume_key(job.node) == job.key:
            return True
        self.forget_job()  # a new choice will say what is to be done
        return False

    def received(self, job: _MeasureJob, kind: str, message: dict[str, Any]) -> None:
        """A message of the worker."""
        if kind == "measured":
            few = PhysicalMeasures.from_dict(message["measures"])
            self._tell(MeasuringState(few, int(message["slices"]), self.state.message))
        elif kind == "progress" and message["total"]:
            text = _("Measuring: {done} of {total} slices").format(done=message["done"], total=message["total"])
            self._tell(MeasuringState(self.state.measures, self.state.preview_slices, text))
        elif kind == "done":
            self._keep(job)
        elif kind == "error":
            self._end(MeasuringState(message=f"{said(message['problem'])} {said(message['advice'])}"))

    def failed(self, job: _MeasureJob, message: str) -> None:
        """It cannot go on."""
        self._end(MeasuringState(message=message))

    def lost(self, job: _MeasureJob) -> None:
        """The worker ended."""
        text = _("The process that measures ended unexpectedly; choose the volume again.")
        self._end(MeasuringState(message=text))

    def _tell(self, state: MeasuringState) -> None:
        if state != self.state:
            self.state = state
            self._on_change()

    def _keep(self, job: _MeasureJob) -> None:
        try:
            measures = read_measured(job.path)
        except CTQAError as error:
            self._end(MeasuringState(message=told(error)))
            return
        self._known[job.key] = measures
        while len(self._known) > _MOST_KEPT:
            self._known.pop(next(iter(self._known)))
        self._end(MeasuringState(measures))

    def _end(self, state: MeasuringState) -> None:
        """The process is not kept warm: it starts in a moment, and another volume may never come."""
        self.worker.retire()
        self.finish()
        self._tell(state)
