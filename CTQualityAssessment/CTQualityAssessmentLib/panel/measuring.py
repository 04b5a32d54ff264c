"""Physical measures of the chosen volume, in a process of their own; they need no package that Slicer lacks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.panel.volume_facts import acquisition_facts
from CTQualityAssessmentLib.panel.voxel_transfer import VoxelTransfer
from CTQualityAssessmentLib.panel.worker_process import WorkerProcess
from CTQualityAssessmentLib.worker.exchange import read_measured
from CTQualityAssessmentLib.worker.protocol import MeasureRequest

#: A volume that changes again within this time (a sequence that plays) is not measured in between.
WAIT_MS = 300
_STEP_MS = 5
_MOST_KEPT = 16
_numbers = count(1)


@dataclass(frozen=True)
class MeasuringState:
    """What there is to show: figures of all slices, of a few, or none yet, and a sentence on the way there."""

    measures: PhysicalMeasures | None = None
    preview_slices: int = 0
    message: str = ""


class Measuring:
    """Measures one volume at a time and remembers the figures of the last ones, all on the main thread.

    Args:
        parent: widget that owns the process and the timer.
        on_change: called when :attr:`state` changed.
    """

    def __init__(self, parent: qt.QWidget, on_change: Callable[[], None]) -> None:
        self.worker = WorkerProcess(parent, self._on_message, self._on_worker_end)
        self.state = MeasuringState()
        self._on_change = on_change
        self._known: dict[object, PhysicalMeasures] = {}
        self._job: _Job | None = None
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        self._timer = qt.QTimer(parent)
        self._timer.timeout.connect(self._tick)

    @property
    def busy(self) -> bool:
        """Whether a volume is being measured."""
        return self._job is not None

    def show(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Turn to this volume: figures that are known at once, others as soon as they are measured."""
        key = _key(node) if node is not None else None
        if self._job is not None and self._job.key == key:
            return
        self.forget_job()
        if key is None or key in self._known:
            self._tell(MeasuringState(self._known.get(key)))
            return
        self._job = _Job(str(next(_numbers)), key, node)
        self._tell(MeasuringState(message=_("Measuring noise, contrast and sharpness...")))
        self._timer.start(WAIT_MS)

    def known(self, node: slicer.vtkMRMLScalarVolumeNode) -> PhysicalMeasures | None:
        """The figures of a volume if all its slices were measured and its voxels are still the same."""
        return self._known.get(_key(node))

    def forget_job(self) -> None:
        """Stop measuring; nothing of it is kept."""
        job, self._job = self._job, None
        self._timer.stop()
        if job is not None:
            if job.asked:
                self.worker.retire()  # a slice takes a moment, and nobody waits for it any more
            self._clean_up(job)

    def close(self) -> None:
        """Give everything back: the process, the timer, the temporary folder."""
        self.forget_job()
        self.worker.stop()
        for folder in self._folders:
            folder.cleanup()

    def _tell(self, state: MeasuringState) -> None:
        if state != self.state:
            self.state = state
            self._on_change()

    def _tick(self) -> None:
        """Write a few slices for the worker; the last step asks it."""
        job = self._job
        if job is None or job.asked:
            self._timer.stop()
            return
        if job.node.GetScene() is None or _key(job.node) != job.key:  # a new choice will say what is to be done
            self.forget_job()
            return
        try:
            if job.transfer is None:
                job.open()
                self._timer.start(_STEP_MS)
            if not job.transfer.step():
                return
            facts = acquisition_facts(job.node)[0]
        except CTQAError as error:
            self._end(str(error))
            return
        except OSError:
            self._end(_("The volume could not be written for the worker. Free space on the disk of temporary files."))
            return
        self._timer.stop()
        job.asked = True
        request = MeasureRequest(id=job.id, folder=job.folder.name, preview=True, **job.transfer.described(facts))
        self.worker.send(request.to_message())

    def _on_message(self, message: dict[str, Any]) -> None:
        job = self._job
        if job is None or message.get("id") != job.id:
            return
        kind = message["t"]
        if kind == "measured":
            few = PhysicalMeasures.from_dict(message["measures"])
            self._tell(MeasuringState(few, int(message["slices"]), self.state.message))
        elif kind == "progress" and message["total"]:
            text = _("Measuring: {done} of {total} slices").format(done=message["done"], total=message["total"])
            self._tell(MeasuringState(self.state.measures, self.state.preview_slices, text))
        elif kind == "done":
            self._keep(job)
        elif kind == "error":
            self._end(f"{message['problem']} {message['advice']}")

    def _keep(self, job: _Job) -> None:
        try:
            measures = read_measured(Path(job.folder.name))
        except CTQAError as error:
            self._end(str(error))
            return
        self._known[job.key] = measures
        while len(self._known) > _MOST_KEPT:
            self._known.pop(next(iter(self._known)))
        self._finish()
        self._tell(MeasuringState(measures))

    def _on_worker_end(self) -> None:
        if self._job is not None:
            self._end(_("The process that measures ended unexpectedly; choose the volume again."))

    def _end(self, message: str) -> None:
        self._finish()
        self._tell(MeasuringState(message=message))

    def _finish(self) -> None:
        """The process is not kept warm: it starts in a moment, and another volume may never come."""
        job, self._job = self._job, None
        self._timer.stop()
        self.worker.retire()
        if job is not None:
            self._clean_up(job)

    def _clean_up(self, job: _Job) -> None:
        """Delete the folder; Windows refuses while the worker still maps the voxels: then with a later one."""
        job.transfer = None  # lets go of the file
        if job.folder is not None:
            self._folders.append(job.folder)
        for folder in self._folders:
            folder.cleanup()
        self._folders = [folder for folder in self._folders if Path(folder.name).exists()]


class _Job:
    """A volume that is being measured."""

    def __init__(self, id_: str, key: object, node: slicer.vtkMRMLScalarVolumeNode) -> None:
        self.id, self.key, self.node, self.asked = id_, key, node, False
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.transfer: VoxelTransfer | None = None

    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="ctqa-", ignore_cleanup_errors=True)
        self.transfer = VoxelTransfer(self.node, Path(self.folder.name) / "hu.npy")


def _key(node: slicer.vtkMRMLScalarVolumeNode) -> object:
    """What the figures depend on: the voxels and where they lie."""
    image = node.GetImageData()
    parent = node.GetParentTransformNode()
    return (
        node.GetID(),
        image.GetMTime() if image is not None else 0,
        tuple(node.GetSpacing()),
        parent.GetMTime() if parent is not None else 0,
    )
