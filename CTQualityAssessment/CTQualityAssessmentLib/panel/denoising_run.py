"""One denoising in the worker: the voxels into the scene as soon as they are whole, then what was looked at."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.denoised_nodes import DenoisedNodes, keep_examination, put_denoised
from CTQualityAssessmentLib.panel.before_after import before_after_rows
from CTQualityAssessmentLib.panel.run import PATIENCE_EMPTY_S, PATIENCE_S
from CTQualityAssessmentLib.panel.volume_facts import acquisition_facts
from CTQualityAssessmentLib.panel.voxel_transfer import VoxelArrival, VoxelTransfer, volume_key
from CTQualityAssessmentLib.panel.worker_process import WorkerProcess
from CTQualityAssessmentLib.panel.worker_run import STEP_MS, Job, OnProgress, WorkerRun
from CTQualityAssessmentLib.translation import said, told
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.exchange import DENOISED, read_denoising
from CTQualityAssessmentLib.worker.protocol import DenoiseRequest


@dataclass(frozen=True)
class Wish:
    """What the user chose: the volume, the denoiser, where it runs, how strongly in each tissue, what to look at.

    ``findings`` asks for the lesion detector's boxes before and after, ``scores`` for the scores.
    """

    node: slicer.vtkMRMLScalarVolumeNode
    model: str
    device: str
    strength: Strength
    findings: bool = False
    scores: bool = False


@dataclass(frozen=True)
class DenoisingEnd:
    """How a run ended: with nodes, or with a sentence for the user, or both."""

    node: slicer.vtkMRMLScalarVolumeNode
    nodes: DenoisedNodes | None = None
    message: str = ""
    log: str = ""


class _DenoiseJob(Job):
    """A volume that is being denoised; with ``earlier`` another strength of an answer that the network gave before."""

    def __init__(self, wish: Wish, earlier: _DenoiseJob | None) -> None:
        super().__init__(wish.node)
        self.wish, self.earlier = wish, earlier
        self.key = volume_key(wish.node)
        self.described: dict[str, Any] = earlier.described if earlier is not None else {}
        self.shape: tuple[int, ...] = earlier.shape if earlier is not None else ()
        self.arrival: VoxelArrival | None = None
        self.report: DenoisingReport | None = None
        self.made: DenoisedNodes | None = None
        self.over: dict[str, Any] | None = None

    def open(self) -> None:
        super().open()
        if self.earlier is None:
            self.transfers = [VoxelTransfer(self.wish.node, self.file("hu"))]
            self.shape = tuple(reversed(self.wish.node.GetImageData().GetDimensions()))

    def message(self) -> dict[str, Any]:
        wish = self.wish
        if self.earlier is None:
            self.described = self.transfers[0].described(acquisition_facts(wish.node)[0])
        return DenoiseRequest(
            id=self.id,
            folder=str(self.path),
            model=wish.model or None,
            device=wish.device,
            lung=wish.strength.lung,
            soft_tissue=wish.strength.soft_tissue,
            bone=wish.strength.bone,
            earlier=str(self.earlier.path) if self.earlier is not None else None,
            findings=wish.findings,
            scores=wish.scores,
            **self.described,
        ).to_message()

    def grid(self) -> Volume:
        """The volume as it lay when it was denoised; its voxels are none."""
        nothing = np.broadcast_to(np.int16(0), self.shape)
        return Volume(nothing, np.array(self.described["ijk_to_ras"]), int(self.described["acquisition_axis"]))

    def changed(self) -> bool:
        """Whether the volume has other voxels than those that were denoised."""
        if self.earlier is None:
            return self.transfers[0].changed()
        return volume_key(self.wish.node) != self.key

    def release(self) -> None:
        super().release()
        self.arrival = None


class DenoisingRun(WorkerRun[_DenoiseJob]):
    """Denoises one volume at a time; remembers the network's last answer, of which other strengths are made.

    Args:
        parent: widget that owns the timer.
        worker: the process, shared with the assessment and kept warm.
        on_progress: see :data:`OnProgress`.
        on_voxels: called when the denoised volume is in the scene, before anybody has looked whether lesions survived.
        on_end: called once for each :meth:`start` that is not abandoned.
    """

    watch_ms = 200

    def __init__(
        self,
        parent: qt.QWidget,
        worker: WorkerProcess,
        on_progress: OnProgress,
        on_voxels: Callable[[DenoisedNodes], None],
        on_end: Callable[[DenoisingEnd], None],
    ) -> None:
        super().__init__(parent, worker)
        self._on_progress, self._on_voxels, self._on_end = on_progress, on_voxels, on_end
        self._answer: _DenoiseJob | None = None

    @property
    def node(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The volume that is being denoised."""
        return self._job.wish.node if self._job else None

    def answered(self, node: slicer.vtkMRMLScalarVolumeNode | None, model: str) -> bool:
        """Whether another strength of this volume can be had without the network."""
        answer = self._answer
        return (
            node is not None
            and answer is not None
            and answer.wish.node is node
            and answer.wish.model == model
            and answer.key == volume_key(node)
        )

    def start(self, wish: Wish) -> None:
        """Hand a volume, or another strength, to the worker."""
        earlier = self._answer if self.answered(wish.node, wish.model) else None
        if earlier is None:
            self._forget_answer()  # the disk holds the voxels of one volume at a time
        self.worker.start()
        self._on_progress(0, 0, _("Starting"), None)
        self.begin(_DenoiseJob(wish, earlier))

    def cancel(self) -> None:
        """Stop. Before the voxels are whole nothing is kept; afterwards they stay, and what was looked at does not."""
        job = self._job
        if job is None or job.cancelled_at is not None:
            return
        if not job.asked:
            self._conclude(job, _("Cancelled; nothing was kept."))
            return
        job.cancelled_at = time.monotonic()
        self.ask_to_cancel(job)
        self._on_progress(0, 0, _("Cancelling"), None)

    def abandon(self, message: str = "") -> None:
        """Stop: the scene or the volume is gone."""
        if self._job is not None:
            self.ask_to_cancel(self._job)
            self._conclude(self._job, message, nodes=False)
        self._forget_answer()

    def close(self) -> None:
        """Give everything back: the run, the process, the files."""
        self.abandon()
        self.give_back()

    def received(self, job: _DenoiseJob, kind: str, message: dict[str, Any]) -> None:
        """A message of the worker."""
        if kind == "progress" and job.cancelled_at is None:
            self._on_progress(message["done"], message["total"], said(message["message"]), message["eta_s"])
        elif kind == "note" and job.cancelled_at is None:
            self._on_progress(0, 0, said(message["text"]), None)
        elif kind == "denoised":
            self._take(job)
        elif kind == "done":
            job.over = message
            if job.made is not None:
                self._examined(job)
        elif kind == "error":
            cancelled = message["kind"] == "cancelled"
            text = (
                _("Cancelled; nothing was kept.")
                if cancelled
                else f"{said(message['problem'])} {said(message['advice'])}"
            )
            self._conclude(job, text, "" if cancelled else self.worker.log)

    def watch(self, job: _DenoiseJob) -> None:
        """Read a little of the voxels, or lose patience with a worker that does not stop."""
        if job.arrival is not None:
            if job.arrival.step():
                self._arrived(job)
        elif job.cancelled_at is not None:
            patience = PATIENCE_EMPTY_S if job.made is None else PATIENCE_S
            if time.monotonic() - job.cancelled_at > patience:
                self.worker.retire()
                self._conclude(job, _not_examined() if job.made is not None else _("Cancelled; nothing was kept."))

    def failed(self, job: _DenoiseJob, message: str) -> None:
        """It cannot go on."""
        self._conclude(job, message)

    def lost(self, job: _DenoiseJob) -> None:
        """The worker ended."""
        message = _("The worker process ended unexpectedly.")
        kept = _not_examined() if job.made is not None else _("Nothing was kept.")
        self._conclude(job, f"{message} {kept}", self.worker.log)

    def _take(self, job: _DenoiseJob) -> None:
        """The voxels are whole: begin to read them."""
        if self._dropped(job):
            return
        try:
            job.report = read_denoising(job.path)
            job.arrival = VoxelArrival(job.path / DENOISED, job.shape)
        except CTQAError as error:
            self.ask_to_cancel(job)
            self._conclude(job, told(error))
            return
        self._timer.start(STEP_MS)

    def _dropped(self, job: _DenoiseJob) -> bool:
        """End the run where the volume is no longer the one that was denoised."""
        if job.wish.node.GetScene() is not None and not job.changed():
            return False
        self.ask_to_cancel(job)
        self._conclude(job, _("The volume changed during the run, so its result was dropped."))
        return True

    def _arrived(self, job: _DenoiseJob) -> None:
        """All voxels are read: into the scene with them."""
        node, image, job.arrival = job.wish.node, job.arrival.image, None
        if self._dropped(job):
            return
        try:
            axis = int(job.described["acquisition_axis"])
            job.made = put_denoised(node.GetScene(), node, image, axis, job.report)
        except CTQAError as error:
            self.ask_to_cancel(job)
            self._conclude(job, told(error))
            return
        self._timer.start(self.watch_ms)
        self._on_voxels(job.made)
        if job.over is not None and self._job is job:
            self._examined(job)

    def _examined(self, job: _DenoiseJob) -> None:
        """Keep what was looked at with the volume."""
        node, partial = job.wish.node, bool(job.over["partial"])
        try:
            report = read_denoising(job.path)
        except CTQAError as error:
            self._conclude(job, told(error))
            return
        job.made = keep_examination(node.GetScene(), node, report, before_after_rows(report), job.grid())
        self._conclude(job, _not_examined() if partial else "")

    def _conclude(self, job: _DenoiseJob, message: str, log: str = "", *, nodes: bool = True) -> None:
        """End the run; the folder of a network's answer stays for other strengths."""
        keep = job.made is not None and job.earlier is None
        self.finish(keep_files=keep)
        if keep:
            self._forget_answer()
            self._answer = job
        self._on_end(DenoisingEnd(job.wish.node, job.made if nodes else None, message, log))

    def _forget_answer(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            self.discard(answer)


def _not_examined() -> str:
    return _("Cancelled: the volume is whole, but nobody looked at all that could be lost in it.")
