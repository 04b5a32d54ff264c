"""A worker for a caller that waits: a script in 3D Slicer, which a network in the same process could end."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.worker.program import module_arguments
from CTQualityAssessmentLib.worker.protocol import (
    CLOSING_SECONDS,
    BadRequestError,
    RunCancelledError,
    VolumeRequest,
    decode,
    encode,
)

_ = marks_of(__file__)

_LOG_BYTES = 20_000
#: How often a caller who waits is asked whether to stop, and how long a worker may take to stop then.
_ASK_S, _PATIENCE_S = 0.2, 10.0


class WorkerEndedError(CTQAError):
    """The process was killed or ended by itself in the middle of a request."""

    def __init__(self) -> None:
        super().__init__(
            _("The worker process ended unexpectedly; nothing was kept."),
            _("Close other programs, because memory may be short, and try again."),
        )


def worker_command() -> tuple[str, list[str]]:
    """Program and arguments that start a worker, in 3D Slicer with Slicer's Python."""
    return shutil.which("PythonSlicer") or sys.executable, module_arguments("CTQualityAssessmentLib.worker")


def run_in_worker(
    request: VolumeRequest, *, progress: Progress = no_progress, cancelled: Cancelled = never
) -> dict[str, Any]:
    """Start a worker, let it do one request, and wait for its end.

    Args:
        request: what to do; its folder holds the result afterwards.
        progress: called with (done, total, message).
        cancelled: asked at each message of the worker, and five times a second; a worker that does not stop within
            ten seconds is ended.

    Returns:
        the message ``done``; its ``partial`` is True after a cancel that left something to keep.

    Raises:
        CTQAError: what the worker says is wrong, with its advice.
        RunCancelledError: cancelled before there was anything to keep.
        WorkerEndedError: the process is gone.
    """
    program, arguments = worker_command()
    with (Path(request.folder) / "worker.log").open("w+b") as log:
        process = subprocess.Popen(  # noqa: S603  our own program
            [program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        try:
            return _follow(process, request, progress, cancelled)
        except WorkerEndedError:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES))
            logging.warning("CTQualityAssessment worker: %s", log.read().decode("utf-8", "replace"))
            raise
        finally:
            process.stdin.close()  # it ends by itself then
            try:
                process.wait(CLOSING_SECONDS + 2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def _follow(
    process: subprocess.Popen[bytes], request: VolumeRequest, progress: Progress, cancelled: Cancelled
) -> dict[str, Any]:
    told: float | None = None
    _send(process.stdin, request.to_message())
    lines: queue.Queue[bytes | None] = queue.Queue()
    threading.Thread(target=_listen, args=(process.stdout, lines), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=_ASK_S)
        except queue.Empty:  # it works, or it was stopped or hangs: a cancel must reach it all the same
            message: dict[str, Any] = {}
        else:
            if line is None:
                raise WorkerEndedError
            try:
                message = decode(line)
            except BadRequestError:
                continue
        if message.get("id") == request.id:
            kind = message["t"]
            if kind == "done":
                return message
            if kind == "error":
                if message["kind"] == "cancelled":
                    raise RunCancelledError
                raise CTQAError(message["problem"], message["advice"])
            if kind == "progress":
                progress(message["done"], message["total"], message["message"])
        if told is None and cancelled():
            told = time.monotonic()
            _send(process.stdin, {"t": "cancel", "id": request.id})
        if told is not None and time.monotonic() - told > _PATIENCE_S:
            process.kill()
            raise RunCancelledError


def _listen(stream: IO[bytes], lines: queue.Queue[bytes | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _send(stream: IO[bytes], message: dict[str, Any]) -> None:
    try:
        stream.write(encode(message).encode("ascii"))
        stream.flush()
    except OSError as error:
        raise WorkerEndedError from error
