"""The process itself: one thread listens, one works."""

from __future__ import annotations

import io
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.errors import is_out_of_memory
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.worker.bodies import Bodies
from CTQualityAssessmentLib.worker.denoising import DenoisingWork
from CTQualityAssessmentLib.worker.exchange import (
    read_second_volume,
    read_volume_file,
    write_difference,
    write_measured,
    write_result,
)
from CTQualityAssessmentLib.worker.faults import describe
from CTQualityAssessmentLib.worker.protocol import (
    CLOSING_SECONDS,
    PROTOCOL,
    AssessRequest,
    BadRequestError,
    DenoiseRequest,
    MeasureRequest,
    RunCancelledError,
    SubtractRequest,
    VolumeRequest,
    decode,
    encode,
)

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models import LoadedModel
    from CTQualityAssessmentLib.results import SliceAssessment, VolumeAssessment
    from CTQualityAssessmentLib.volume import Volume

_ = marks_of(__file__)

Send = Callable[[dict[str, Any]], None]
_REQUESTS: dict[str, type[VolumeRequest]] = {
    kind.KIND: kind for kind in (AssessRequest, MeasureRequest, DenoiseRequest, SubtractRequest)
}


def main() -> None:
    """Serve until standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the host decides
    # What a library prints would break the protocol: standard output becomes standard error for everyone else.
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii", newline="\n")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    Worker(sys.stdin.buffer, messages).serve()
    # Every message is flushed. The threads of torch and of the reader may abort an interpreter that takes itself apart.
    os._exit(0)


class Worker:
    """Requests in, messages out; keeps the network of the last request."""

    def __init__(self, requests: IO[bytes], messages: io.TextIOBase | IO[str]) -> None:
        self._requests = requests
        self._messages = messages
        self._writing = threading.Lock()
        self._waiting: queue.Queue[VolumeRequest | None] = queue.Queue()
        self._cancelled: set[str] = set()
        self._closed = threading.Event()
        self._model: tuple[tuple[str | None, str], LoadedModel] | None = None
        self._denoising = DenoisingWork()

    def serve(self) -> None:
        """Work until the input closes."""
        self._send({"t": "ready", "protocol": PROTOCOL, "version": __version__, "pid": os.getpid()})
        threading.Thread(target=self._listen, daemon=True).start()
        while (request := self._waiting.get()) is not None and not self._closed.is_set():
            try:
                if isinstance(request, MeasureRequest):
                    self._measure(request)
                elif isinstance(request, DenoiseRequest):
                    self._denoise(request)
                elif isinstance(request, SubtractRequest):
                    self._subtract(request)
                else:
                    self._assess(request)
            except Exception as error:
                if os.environ.get("CTQA_TRACEBACK") == "1":
                    traceback.print_exc()
                self._send({"t": "error", "id": request.id, **describe(error)})
            self._cancelled.discard(request.id)

    def _listen(self) -> None:
        for line in self._requests:
            message: dict[str, Any] = {}
            try:
                message = decode(line)
                if message["t"] in _REQUESTS:
                    self._waiting.put(_REQUESTS[message["t"]].from_message(message))
                elif message["t"] == "cancel":
                    self._cancelled.add(str(message.get("id")))
                elif message["t"] == "quit":
                    break
                else:
                    raise BadRequestError(_("its kind is unknown"))
            except BadRequestError as error:
                self._send({"t": "error", "id": message.get("id"), **describe(error)})
        self._closed.set()
        self._waiting.put(None)
        # A network call cannot be interrupted; nobody waits for its result any more.
        ending = threading.Timer(CLOSING_SECONDS, os._exit, (0,))
        ending.daemon = True
        ending.start()

    def _send(self, message: dict[str, Any]) -> None:
        line = encode(message)
        with self._writing:
            try:
                self._messages.write(line)
                self._messages.flush()
            except (OSError, ValueError):  # the host is gone
                self._closed.set()

    def _stopped(self, request: VolumeRequest) -> Callable[[], bool]:
        return lambda: self._closed.is_set() or request.id in self._cancelled

    def _assess(self, request: AssessRequest) -> None:
        cancelled = self._stopped(request)
        if cancelled():
            raise RunCancelledError
        progress = _ProgressMessages(self._send, request.id)
        started = time.perf_counter()
        volume = self._read(request, progress, cancelled)
        read_s = round(time.perf_counter() - started, 3)
        progress(0, 0, _("Loading the model"))
        assessment = self._score(request, volume, progress, cancelled)
        assessment = replace(assessment, timings_s={"read": read_s, **assessment.timings_s})
        if assessment.partial and all(one.refusal and one.refusal.code == "not-run" for one in assessment.slices):
            raise RunCancelledError
        write_result(Path(request.folder), assessment)
        self._send({"t": "done", "id": request.id, "partial": assessment.partial, "folder": request.folder})

    def _measure(self, request: MeasureRequest) -> None:
        """Measure, where asked a few slices first, so that there is something to read at once."""
        from CTQualityAssessmentLib.assessment.measures import measure_volume
        from CTQualityAssessmentLib.assessment.measures.preview import spread_slices

        cancelled = self._stopped(request)
        if cancelled():
            raise RunCancelledError
        volume = read_volume_file(request)
        few = spread_slices(volume) if request.preview else None
        if few is not None:
            first = measure_volume(few, cancelled=cancelled)
            told = {"t": "measured", "id": request.id, "measures": first.to_dict(), "slices": few.slice_count}
            self._send(told)
        progress = _ProgressMessages(self._send, request.id)
        measures = measure_volume(volume, progress=progress, cancelled=cancelled)
        if measures.partial and all("not-run" in one.missing.values() for one in measures.slices):
            raise RunCancelledError
        write_measured(Path(request.folder), measures)
        self._send({"t": "done", "id": request.id, "partial": measures.partial, "folder": request.folder})

    def _subtract(self, request: SubtractRequest) -> None:
        from CTQualityAssessmentLib.assessment.difference import volume_difference

        cancelled = self._stopped(request)
        told = _ProgressMessages(self._send, request.id)

        def progress(done: int, total: int, message: str) -> None:
            if cancelled():  # a part of a difference is of no use
                raise RunCancelledError
            told(done, total, message)

        progress(0, 0, _("Comparing"))
        first, second = read_volume_file(request), read_second_volume(request)
        write_difference(Path(request.folder), volume_difference(first, second, progress=progress))
        self._send({"t": "done", "id": request.id, "partial": False, "folder": request.folder})

    def _denoise(self, request: DenoiseRequest) -> None:
        from CTQualityAssessmentLib.models import load_bundle

        told = {"id": request.id, "folder": request.folder}
        partial = self._denoising.serve(
            request,
            lambda: load_bundle(device=request.device),
            progress=_ProgressMessages(self._send, request.id),
            cancelled=self._stopped(request),
            on_voxels=lambda: self._send({"t": "denoised", **told}),
            on_note=lambda text: self._send({"t": "note", "id": request.id, "text": text}),
        )
        self._send({"t": "done", "partial": partial, **told})

    def _read(self, request: AssessRequest, progress: _ProgressMessages, cancelled: Callable[[], bool]) -> Volume:
        if request.array is not None:
            return read_volume_file(request)
        from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle
        from CTQualityAssessmentLib.reading import Wanted, read_volume

        modalities = find_bundle(request.model or DEFAULT_BUNDLE).modalities
        wanted = Wanted(modalities, request.modality if request.modality in modalities else None)
        return read_volume(request.path, series=request.series, progress=progress, cancelled=cancelled, wanted=wanted)

    def _score(
        self, request: AssessRequest, volume: Volume, progress: _ProgressMessages, cancelled: Callable[[], bool]
    ) -> VolumeAssessment:
        """Assess; when memory runs out, with fewer slices at a time, then on the CPU, and say so."""
        from CTQualityAssessmentLib.assessment import Told, assess_volume, default_batch_size
        from CTQualityAssessmentLib.assessment.volume_scoring import begin_assessment

        bodies = Bodies(Path(request.folder), volume)

        def on_slice(found: SliceAssessment) -> None:
            bodies.complete(found)
            self._send({"t": "slice", "id": request.id, "slice": asdict(found)})

        device, batch, notes = request.device, request.batch, []
        while True:
            model = self._loaded(request.model, device)
            batch = batch or default_batch_size(model)
            begun = begin_assessment(volume, model)
            self._send({"t": "begun", "id": request.id, "assessment": begun.to_dict()})
            try:
                found = assess_volume(
                    volume,
                    model,
                    batch_size=batch,
                    attention_stages=request.attention_stages,
                    progress=progress,
                    cancelled=cancelled,
                    on_slice=on_slice,
                    on_body=bodies.put,
                    told=Told(request.modality, request.organ),
                    preview=request.preview,
                )
                return replace(found, warnings=(*found.warnings, *notes))
            except Exception as error:
                if not is_out_of_memory(error) or (batch == 1 and model.device.type == "cpu"):
                    raise
                error.__traceback__ = None  # it holds the tensors that did not fit
            if batch > 1:
                batch //= 2
                notes = [_("The memory was short, so {batch} slice(s) at a time were assessed.").format(batch=batch)]
            else:
                device, self._model = "cpu", None
                notes = [_("The memory of the graphics card was short, so the slices were assessed on the CPU.")]
            self._send({"t": "note", "id": request.id, "text": notes[0]})

    def _loaded(self, name: str | None, device: str) -> LoadedModel:
        from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, load_bundle

        if self._model is None or self._model[0] != (name, device):
            self._model = None  # free the old one before the new one needs its place
            self._model = ((name, device), load_bundle(name or DEFAULT_BUNDLE, device=device))
        return self._model[1]


class _ProgressMessages:
    """Progress with the time that is left, at most ten times a second."""

    def __init__(self, send: Send, id_: str) -> None:
        self._send, self._id = send, id_
        self._stage, self._begun, self._sent = "", 0.0, 0.0

    def __call__(self, done: int, total: int, message: str) -> None:
        now = time.monotonic()
        if message != self._stage:
            self._stage, self._begun, self._sent = message, now, 0.0
        if now - self._sent < 0.1 and done < total:
            return
        self._sent = now
        eta = round((now - self._begun) / done * (total - done), 1) if done else None
        self._send({"t": "progress", "id": self._id, "done": done, "total": total, "message": message, "eta_s": eta})
