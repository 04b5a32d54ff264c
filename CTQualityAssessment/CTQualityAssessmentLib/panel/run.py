"""One assessment in the worker, from the volume's voxels to the result in the scene."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import qt
import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.assessment_nodes import AssessmentNodes, assessment_steps
from CTQualityAssessmentLib.mrml.colour_nodes import remove_unused_colour_nodes
from CTQualityAssessmentLib.mrml.live_scores import LiveScores
from CTQualityAssessmentLib.mrml.removal import remove_nodes
from CTQualityAssessmentLib.panel.assess_job import AssessJob, RunRequest
from CTQualityAssessmentLib.panel.worker_process import WorkerProcess
from CTQualityAssessmentLib.panel.worker_run import STEP_MS, OnProgress, WorkerRun
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.translation import said, told
from CTQualityAssessmentLib.worker.exchange import result_steps

#: A cancelled worker that has no slice yet (torch may be loading) is stopped after this, one with slices after that.
PATIENCE_EMPTY_S, PATIENCE_S = 1.0, 10.0
#: A step goes on for so long, and then lets the window answer.
_STEP_S = 0.02
#: No end: steps that a fault ended give None, and must not look as if they went on.
_NOT_YET = object()
T = TypeVar("T")

#: Steps that give an assessment, and without its maps as JSON where that is known.
Result = Generator[None, None, "tuple[VolumeAssessment, str | None]"]


@dataclass(frozen=True)
class RunEnd:
    """How a run ended: with an assessment and (unless of a time point) its nodes, or with a sentence for the user."""

    nodes: AssessmentNodes | None = None
    message: str = ""
    log: str = ""
    assessment: VolumeAssessment | None = None
    abandoned: bool = False


class AssessmentRun(WorkerRun[AssessJob]):
    """Runs one volume at a time and reports by callbacks.

    Args:
        parent: widget that owns the timer.
        worker: the process, kept warm.
        on_progress: see :data:`OnProgress`.
        on_rows: called when new slices are in :attr:`live`.
        on_end: called once for each :meth:`start`.
    """

    watch_ms = 200

    def __init__(
        self,
        parent: qt.QWidget,
        worker: WorkerProcess,
        on_progress: OnProgress,
        on_rows: Callable[[], None],
        on_end: Callable[[RunEnd], None],
    ) -> None:
        super().__init__(parent, worker)
        self._on_progress, self._on_rows, self._on_end = on_progress, on_rows, on_end

    @property
    def node(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The volume that is being assessed."""
        return self._job.request.node if self._job else None

    @property
    def live(self) -> LiveScores | None:
        """Table and chart of the slices that are done."""
        return self._job.live if self._job else None

    def start(self, request: RunRequest) -> None:
        """Hand a volume to the worker."""
        self.worker.start()  # it loads while the voxels are written
        self._on_progress(0, 0, _("Starting"), None)
        self.begin(AssessJob(request))

    def cancel(self) -> None:
        """Stop at the next slice and keep what is there; a worker that does not answer is stopped, its slices kept."""
        job = self._job
        if job is None or job.cancelled_at is not None:
            return
        if not job.asked:
            self._end(RunEnd(message=_("Cancelled; nothing was kept.")))
            return
        job.cancelled_at = time.monotonic()
        self.ask_to_cancel(job)
        self._on_progress(0, 0, _("Cancelling"), None)

    def abandon(self, message: str = "") -> None:
        """Stop and keep nothing: the scene or the volume is gone."""
        if self._job is not None:
            self.ask_to_cancel(self._job)
            self._end(RunEnd(message=message, abandoned=True))

    def close(self) -> None:
        """Give everything back: the run, the process, the timer."""
        self.abandon()
        self.give_back()

    def received(self, job: AssessJob, kind: str, message: dict[str, Any]) -> None:
        """A message of the worker."""
        if kind == "progress" and job.cancelled_at is None:
            self._on_progress(message["done"], message["total"], said(message["message"]), message["eta_s"])
        elif kind == "begun":
            job.begun = VolumeAssessment.from_dict(message["assessment"])
        elif kind == "slice":
            job.add(message["slice"])
        elif kind == "note" and job.cancelled_at is None:
            self._on_progress(0, 0, said(message["text"]), None)
        elif kind == "done":
            self._conclude(job, result_steps(job.path))
        elif kind == "error":
            cancelled = message["kind"] == "cancelled"
            text = _("Cancelled.") if cancelled else f"{said(message['problem'])} {said(message['advice'])}"
            self._end(RunEnd(message=text, log="" if cancelled else self.worker.log))

    def failed(self, job: AssessJob, message: str) -> None:
        """It cannot go on."""
        self._end(RunEnd(message=message))

    def lost(self, job: AssessJob) -> None:
        """The worker ended; what it had finished by then is kept."""
        if job.ending is not None:
            return
        message = _("The worker process ended unexpectedly; nothing was kept.")
        advice = _("Assess again; if it happens again, close other programs, because memory may be short.")
        self._end(RunEnd(message=f"{message} {advice}", log=self.worker.log))

    def watch(self, job: AssessJob) -> None:
        """Show new rows, a few times a second, draw what came, and lose patience with a worker that does not stop."""
        if job.ending is not None:
            self._go_on(job)
            return
        if job.begun is not None:
            self._draw(job)
        if job.unshown:
            job.unshown = False
            job.live.show()
            self._on_rows()
        if job.cancelled_at is not None:
            waited = time.monotonic() - job.cancelled_at
            if waited > (PATIENCE_S if job.found else PATIENCE_EMPTY_S):
                self.worker.retire()
                kept = job.so_far()
                if kept is None:
                    self._end(RunEnd(message=_("Cancelled; nothing was kept.")))
                else:
                    self._conclude(job, _known(kept))

    def _draw(self, job: AssessJob) -> None:
        """Draw what came, a little. Without the file of bodies the run ends where its result is read."""
        with suppress(CTQAError):
            _for_a_moment(job.draw())

    def _conclude(self, job: AssessJob, result: Result) -> None:
        """Read the result and put it into the scene, in steps that the timer takes."""
        job.ending = self._ending(job, result)
        self._timer.start(STEP_MS)

    def _go_on(self, job: AssessJob) -> None:
        try:
            end = _for_a_moment(job.ending)
        except CTQAError as error:
            end = RunEnd(message=told(error))
        if end is not _NOT_YET:
            self._end(end)

    def _ending(self, job: AssessJob, result: Result) -> Generator[None, None, RunEnd]:
        node = job.request.node
        dropped = RunEnd(message=_("The volume changed during the run, so its result was dropped."))
        assessment, text = yield from result
        if node.GetScene() is None or job.transfers[0].changed():
            return dropped
        if job.request.time_point is not None:
            return RunEnd(assessment=assessment)
        yield from job.draw()
        message = ""
        if assessment.partial:
            message = _("Cancelled: {done} of {total} slices were assessed before.").format(
                done=len(job.found), total=len(assessment.slices)
            )
        steps = assessment_steps(node.GetScene(), node, assessment, job.quality(), text)
        while True:
            try:
                next(steps)
            except StopIteration as last:
                nodes = last.value
                break
            yield
            if job.transfers[0].changed():  # somebody may work on with the volume in between
                return dropped
        try:
            yield  # the panel shows it in an event of its own
        except GeneratorExit:  # the scene or the volume went in between
            scene = node.GetScene() or slicer.mrmlScene
            remove_nodes(scene, nodes.made())
            remove_unused_colour_nodes(scene)
            raise
        if nodes.parameters.GetScene() is None:
            return RunEnd(message=_("The result was removed before it was shown."))
        return RunEnd(nodes, message, assessment=assessment)

    def _end(self, end: RunEnd) -> None:
        job = self.finish()
        if job is not None:
            job.live.remove()
            self._on_end(end)


def _known(assessment: VolumeAssessment) -> Result:
    yield
    return assessment, None


def _for_a_moment(steps: Generator[None, None, T]) -> T | object:
    """Take steps until the window should answer; what the last one gives, :data:`_NOT_YET` before it."""
    end = time.monotonic() + _STEP_S
    try:
        while True:
            next(steps)
            if time.monotonic() >= end:
                return _NOT_YET
    except StopIteration as last:
        return last.value
