"""One assessment in the worker, from the volume's voxels to the result in the scene."""

from __future__ import annotations

import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.assessment.volume_scoring import fill_assessment
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.assessment_nodes import AssessmentNodes, add_assessment
from CTQualityAssessmentLib.mrml.live_scores import LiveScores
from CTQualityAssessmentLib.mrml.volume_nodes import ijk_to_ras, ijk_to_world, volume_from_node
from CTQualityAssessmentLib.panel.volume_facts import acquisition_facts
from CTQualityAssessmentLib.panel.worker_process import WorkerProcess
from CTQualityAssessmentLib.results import Refusal, SliceAssessment, VolumeAssessment
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.exchange import read_result, write_volume
from CTQualityAssessmentLib.worker.protocol import AssessRequest

#: A cancelled worker that has no slice yet (torch may be loading) is stopped after this, one with slices after that.
_PATIENCE_EMPTY_S, _PATIENCE_S = 1.0, 10.0
_TICK_MS = 200
_numbers = count(1)


@dataclass(frozen=True)
class RunRequest:
    """What the user chose: the volume and how to assess it.

    ``time_point`` is a volume of the sequence whose proxy ``node`` is: its voxels are assessed instead, and the result
    is handed back without nodes.
    """

    node: slicer.vtkMRMLScalarVolumeNode
    model: str
    device: str
    attention_stages: tuple[int, ...]
    time_point: slicer.vtkMRMLScalarVolumeNode | None = None

    @property
    def source(self) -> slicer.vtkMRMLScalarVolumeNode:
        """The node that holds the voxels."""
        return self.time_point if self.time_point is not None else self.node


@dataclass(frozen=True)
class RunEnd:
    """How a run ended: with nodes (of a time point: with its assessment), or with a sentence for the user, or both."""

    nodes: AssessmentNodes | None = None
    message: str = ""
    log: str = ""
    assessment: VolumeAssessment | None = None
    abandoned: bool = False


class AssessmentRun:
    """Runs one volume at a time and reports by callbacks, all on the main thread.

    Args:
        parent: widget that owns the worker process.
        on_progress: called with (done, total, message, seconds left or None).
        on_rows: called when new slices are in :attr:`live`.
        on_end: called once for each :meth:`start`.
    """

    def __init__(
        self,
        parent: qt.QWidget,
        on_progress: Callable[[int, int, str, float | None], None],
        on_rows: Callable[[], None],
        on_end: Callable[[RunEnd], None],
    ) -> None:
        self.worker = WorkerProcess(parent, self._on_message, self._on_worker_end)
        self._on_progress, self._on_rows, self._on_end = on_progress, on_rows, on_end
        self._job: _Job | None = None
        self._folders: list[tempfile.TemporaryDirectory[str]] = []
        self._timer = qt.QTimer(parent)
        self._timer.timeout.connect(self._tick)

    @property
    def busy(self) -> bool:
        """Whether a run is going on."""
        return self._job is not None

    @property
    def node(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The volume that is being assessed."""
        return self._job.request.node if self._job else None

    @property
    def live(self) -> LiveScores | None:
        """Table and chart of the slices that are done."""
        return self._job.live if self._job else None

    def start(self, request: RunRequest) -> None:
        """Hand a volume to the worker.

        Raises:
            CTQAError: the node is no volume that could be assessed, or the disk is full.
        """
        self._clean_up()
        volume = replace(_volume(request), facts=acquisition_facts(request.node)[0])
        folder = tempfile.TemporaryDirectory(prefix="ctqa-", ignore_cleanup_errors=True)
        try:
            described = write_volume(Path(folder.name) / "hu.npy", volume)
        except OSError as error:
            folder.cleanup()
            raise CTQAError(
                _("The volume could not be written for the worker."), _("Free space on the disk of temporary files.")
            ) from error
        self._job = _Job(str(next(_numbers)), request, volume, folder, LiveScores(request.node.GetScene()))
        self._timer.start(_TICK_MS)
        self._on_progress(0, 0, _("Starting"), None)
        asked = AssessRequest(
            id=self._job.id,
            folder=folder.name,
            model=request.model or None,
            device=request.device,
            attention_stages=list(request.attention_stages),
            **described,
        )
        self.worker.send(asked.to_message())

    def cancel(self) -> None:
        """Stop at the next slice and keep what is there; a worker that does not answer is stopped, its slices kept."""
        if self._job is not None and self._job.cancelled_at is None:
            self._job.cancelled_at = time.monotonic()
            self._ask_to_cancel(self._job)
            self._on_progress(0, 0, _("Cancelling"), None)

    def abandon(self, message: str = "") -> None:
        """Stop and keep nothing: the scene or the volume is gone."""
        if self._job is not None:
            self._ask_to_cancel(self._job)
            self._finish(RunEnd(message=message, abandoned=True))

    def close(self) -> None:
        """Give everything back: the run, the process, the timer."""
        self.abandon()
        self.worker.stop()
        self._timer.stop()
        self._clean_up()

    def _ask_to_cancel(self, job: _Job) -> None:
        if self.worker.running:  # sending would start a new one
            self.worker.send({"t": "cancel", "id": job.id})

    def _clean_up(self) -> None:
        """Delete the folders of earlier runs. Windows refuses while the worker still maps the voxels: then later."""
        for folder in self._folders:
            folder.cleanup()
        self._folders = [folder for folder in self._folders if Path(folder.name).exists()]

    def _on_message(self, message: dict[str, Any]) -> None:
        job = self._job
        if job is None or message.get("id") != job.id:
            return
        kind = message["t"]
        if kind == "progress" and job.cancelled_at is None:
            self._on_progress(message["done"], message["total"], message["message"], message["eta_s"])
        elif kind == "begun":
            job.begun = VolumeAssessment.from_dict(message["assessment"])
        elif kind == "slice":
            job.add(message["slice"])
        elif kind == "note" and job.cancelled_at is None:
            self._on_progress(0, 0, message["text"], None)
        elif kind == "done":
            self._read_result(job)
        elif kind == "error":
            cancelled = message["kind"] == "cancelled"
            text = _("Cancelled.") if cancelled else f"{message['problem']} {message['advice']}"
            self._finish(RunEnd(message=text, log="" if cancelled else self.worker.log))

    def _read_result(self, job: _Job) -> None:
        try:
            self._show_result(job, read_result(Path(job.folder.name)))
        except CTQAError as error:
            self._finish(RunEnd(message=str(error)))

    def _show_result(self, job: _Job, assessment: VolumeAssessment) -> None:
        node = job.request.node
        if node.GetScene() is None or job.voxels_changed():
            self._finish(RunEnd(message=_("The volume changed during the run, so its result was dropped.")))
            return
        if job.request.time_point is not None:
            self._finish(RunEnd(assessment=assessment))
            return
        message = ""
        if assessment.partial:
            message = _("Cancelled: {done} of {total} slices were assessed before.").format(
                done=len(job.found), total=len(assessment.slices)
            )
        self._finish(RunEnd(add_assessment(node.GetScene(), node, assessment, job.body()), message))

    def _on_worker_end(self) -> None:
        if self._job is not None:
            message = _("The worker process ended unexpectedly; nothing was kept.")
            advice = _("Assess again; if it happens again, close other programs, because memory may be short.")
            self._finish(RunEnd(message=f"{message} {advice}", log=self.worker.log))

    def _tick(self) -> None:
        """Show new rows, a few times a second, and lose patience with a worker that does not stop."""
        job = self._job
        if job is None:
            self._timer.stop()
            return
        if job.unshown:
            job.unshown = False
            job.live.show()
            self._on_rows()
        if job.cancelled_at is not None:
            waited = time.monotonic() - job.cancelled_at
            if waited > (_PATIENCE_S if job.found else _PATIENCE_EMPTY_S):
                self.worker.retire()
                kept = job.so_far()
                if kept is not None:
                    self._show_result(job, kept)
                else:
                    self._finish(RunEnd(message=_("Cancelled; nothing was kept.")))

    def _finish(self, end: RunEnd) -> None:
        job, self._job = self._job, None
        self._timer.stop()
        if job is not None:
            job.live.remove()
            self._folders.append(job.folder)
            self._clean_up()
            self._on_end(end)


class _Job:
    """A run in progress."""

    def __init__(
        self,
        id_: str,
        request: RunRequest,
        volume: Volume,
        folder: tempfile.TemporaryDirectory[str],
        live: LiveScores,
    ) -> None:
        self.id, self.request, self.folder, self.live = id_, request, folder, live
        self.cancelled_at: float | None = None
        self.unshown = False
        self.begun: VolumeAssessment | None = None
        self.found: dict[int, SliceAssessment] = {}
        self._volume, self._slices = volume, volume.canonical_slices()
        self._body = np.zeros(self._slices.hu.shape, dtype=bool)
        self._changed_at = request.source.GetImageData().GetMTime()
        self._checksum = _checksum(request.source)

    def add(self, found: dict[str, Any]) -> None:
        """Take in a slice, once: after a lack of memory the worker starts again from the first."""
        index = found["index"]
        if index in self.found:
            return
        refusal = Refusal(**found["refusal"]) if found["refusal"] else None
        lists = {name: tuple(found[name]) for name in ("centre_ras", "distribution")}
        self.found[index] = SliceAssessment(**{**found, **lists, "refusal": refusal})
        self.live.append(self.found[index])
        self.unshown = True
        if found["score"] is not None:
            # Here, slice by slice, because the bodies of a whole volume at once would freeze the window for seconds.
            rows_mm, columns_mm = (float(np.linalg.norm(self._slices.ijk_to_ras[:3, axis])) for axis in (1, 0))
            self._body[index] = body_mask(self._slices.hu[index], (rows_mm, columns_mm))

    def so_far(self) -> VolumeAssessment | None:
        """What came before the worker fell silent, without attention maps; None before the first slice."""
        if self.begun is None or not self.found:
            return None
        return fill_assessment(self.begun, self._volume, self.found)

    def body(self) -> np.ndarray:
        """``(n, rows, columns)``, True inside the patient, on the scored slices."""
        return self._body

    def voxels_changed(self) -> bool:
        """Whether the node got other voxels since the start."""
        node = self.request.source
        image = node.GetImageData()
        if image is None:
            return True
        # The time alone also changes where somebody only said that something might have changed.
        return image.GetMTime() != self._changed_at and _checksum(node) != self._checksum


def _volume(request: RunRequest) -> Volume:
    volume = volume_from_node(request.source)
    if request.time_point is None:
        return volume
    # The nodes of a sequence have no parent transform; that of the proxy holds for all of them.
    parent = ijk_to_world(request.node) @ np.linalg.inv(ijk_to_ras(request.node))
    return replace(volume, ijk_to_ras=parent @ volume.ijk_to_ras)


def _checksum(node: slicer.vtkMRMLScalarVolumeNode) -> tuple[tuple[int, ...], int]:
    voxels = slicer.util.arrayFromVolume(node)
    return voxels.shape, zlib.crc32(np.ascontiguousarray(voxels).view(np.uint8).data)
