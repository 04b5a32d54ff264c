"""What all requests to the worker have in common: voxels there, messages back, and nothing left behind."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

import qt
import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.panel.voxel_transfer import VoxelTransfer
from CTQualityAssessmentLib.panel.worker_process import WorkerProcess
from CTQualityAssessmentLib.translation import told

#: Between two steps of a transfer, so that the window answers in between.
STEP_MS = 5
_numbers = count(1)

#: ``on_progress(done, total, message, seconds left or None)``; a total of 0 is unknown.
OnProgress = Callable[[int, int, str, "float | None"], None]


class Job:
    """One request on its way.

    Attributes:
        id: of the request, unlike all others of this application.
        nodes: the volumes that it is about; without one of them it has no sense.
        folder: private, for voxels and results; made when the first voxels are written.
        transfers: of the volumes that are handed over.
        asked: whether the worker has the request.
        cancelled_at: when the user wanted it to stop, by the monotonic clock.
    """

    def __init__(self, *nodes: slicer.vtkMRMLScalarVolumeNode) -> None:
        self.id = str(next(_numbers))
        self.nodes = nodes
        self.folder: tempfile.TemporaryDirectory[str] | None = None
        self.transfers: list[VoxelTransfer] = []
        self.asked = False
        self.cancelled_at: float | None = None

    @property
    def path(self) -> Path:
        """The private folder."""
        return Path(self.folder.name)

    def file(self, name: str) -> Path:
        """Where the voxels of that name go."""
        return self.path / f"{name}.npy"

    def open(self) -> None:
        """Make the folder, and in subclasses the transfers.

        Raises:
            CTQAError: a volume cannot be handed over.
            OSError: the folder cannot be made.
        """
        self.folder = tempfile.TemporaryDirectory(prefix="ctqa-", ignore_cleanup_errors=True)

    def message(self) -> dict[str, Any]:
        """What the worker is asked, once all voxels are there."""
        raise NotImplementedError

    def release(self) -> None:
        """Let go of mapped files, which Windows would not delete."""
        self.transfers = []


J = TypeVar("J", bound=Job)


class WorkerRun(Generic[J]):
    """One job at a time, all on the main thread, no step of it long.

    Subclasses say what a message means (:meth:`received`), how a job fails (:meth:`failed`), and what happens at each
    tick while the worker works (:meth:`watch`).

    Args:
        parent: widget that owns the timer.
        worker: does the jobs; may be shared with other runs.
    """

    #: Between two calls of :meth:`watch`; 0 for none.
    watch_ms = 0

    def __init__(self, parent: qt.QWidget, worker: WorkerProcess) -> None:
        self.worker = worker
        self._job: J | None = None
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        self._timer = qt.QTimer(parent)
        self._timer.timeout.connect(self._tick)
        worker.listen(self._on_message, self._on_worker_end)

    @property
    def busy(self) -> bool:
        """Whether a job is being done."""
        return self._job is not None

    def concerns(self, node: slicer.vtkMRMLNode | None) -> bool:
        """Whether the job that is being done is about this node."""
        return self._job is not None and any(node is one for one in self._job.nodes)

    # --- for subclasses -------------------------------------------------------------------------------------------

    def received(self, job: J, kind: str, message: dict[str, Any]) -> None:
        """A message about the job."""
        raise NotImplementedError

    def failed(self, job: J, message: str) -> None:
        """The job cannot go on; the sentence tells why. Ends the job."""
        raise NotImplementedError

    def lost(self, job: J) -> None:
        """The worker ended in the middle of the job. Ends the job."""
        raise NotImplementedError

    def still_wanted(self, job: J) -> bool:
        """Asked before each step of the transfer; where not, the subclass has ended the job."""
        return True

    def watch(self, job: J) -> None:
        """Called every :attr:`watch_ms` while the worker works."""

    def begin(self, job: J, wait_ms: int = 0) -> None:
        """Take the job up: at once, so that it is about the voxels of this moment, or after a while."""
        self._clean_up()
        self._job = job
        self._timer.start(wait_ms or STEP_MS)
        if not wait_ms:
            with self._faults_end_the_job():
                self._hand_over(job)

    def ask_to_cancel(self, job: J) -> None:
        """Tell the worker, if it knows of the job."""
        if job.asked and self.worker.running:  # sending would start a new one
            self.worker.send({"t": "cancel", "id": job.id})

    def finish(self, *, keep_files: bool = False) -> J | None:
        """Leave the job; its folder goes as soon as nobody uses it, unless it is kept."""
        job, self._job = self._job, None
        self._timer.stop()
        if job is not None:
            job.release()
            if not keep_files:
                self.discard(job)
        return job

    def discard(self, job: J) -> None:
        """Delete what a job has on the disk, in an event of its own: a gigabyte takes a moment."""
        if job.folder is not None:
            self._folders.append(job.folder)
            qt.QTimer.singleShot(0, self._clean_up)

    def give_back(self) -> None:
        """End the process, stop the timer, delete the folders."""
        self.worker.stop()
        self._timer.stop()
        self._clean_up()

    # --- what happens ---------------------------------------------------------------------------------------------

    def _clean_up(self) -> None:
        """Delete the folders of earlier jobs. Windows refuses while the worker still maps the voxels: then later."""
        for folder in self._folders:
            folder.cleanup()
        self._folders = [folder for folder in self._folders if Path(folder.name).exists()]

    def _tick(self) -> None:
        job = self._job
        if job is None:
            self._timer.stop()
            return
        with self._faults_end_the_job():
            if job.asked:
                self.watch(job)
            elif self.still_wanted(job):
                self._hand_over(job)

    @contextmanager
    def _faults_end_the_job(self) -> Iterator[None]:
        """A fault that nobody foresaw goes to the log and ends the job: else its last step would fail at each tick."""
        job = self._job
        try:
            yield
        except Exception as error:
            logging.exception("CTQualityAssessment: unexpected fault")
            if job is None or self._job is not job:
                return
            self.ask_to_cancel(job)
            problem = _("An unexpected fault ended this ({kind}); the Python console shows where.")
            advice = _("Try again; if it happens again, save your data and start the application anew.")
            fault = f"{problem.format(kind=type(error).__name__)} {advice}"
            self.failed(job, told(error) if isinstance(error, CTQAError) else fault)

    def _hand_over(self, job: J) -> None:
        """Write a few slices for the worker; the last step asks it."""
        try:
            if job.folder is None:
                job.open()
                self._timer.start(STEP_MS)
            for transfer in job.transfers:
                if not transfer.step():
                    return
            message = job.message()
        except CTQAError as error:
            self.failed(job, told(error))
            return
        except OSError:
            problem, advice = (
                _("The volume could not be written for the worker."),
                _("Free space on the disk of temporary files."),
            )
            self.failed(job, f"{problem} {advice}")
            return
        self._timer.stop()
        if self.watch_ms:
            self._timer.start(self.watch_ms)
        job.asked = True
        self.worker.send(message)

    def _on_message(self, message: dict[str, Any]) -> None:
        job = self._job
        if job is not None and message.get("id") == job.id:
            with self._faults_end_the_job():
                self.received(job, message["t"], message)

    def _on_worker_end(self) -> None:
        if self._job is not None:
            self.lost(self._job)
