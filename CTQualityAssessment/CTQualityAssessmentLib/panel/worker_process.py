"""The worker process under QProcess: JSON lines out and in, never blocking the window."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections import deque
from collections.abc import Callable
from typing import Any

import qt

from CTQualityAssessmentLib.worker.client import worker_command
from CTQualityAssessmentLib.worker.protocol import BadRequestError, decode, encode

_LOG_LINES = 200
_TERMINATE_MS, _KILL_MS = 500, 2000


class WorkerProcess:
    """Starts the worker when it is first needed and keeps it warm.

    Args:
        parent: widget that owns the process, so that none outlives the application.
    """

    def __init__(self, parent: qt.QWidget) -> None:
        self._parent = parent
        self._listeners: list[tuple[Callable[[dict[str, Any]], None], Callable[[], None]]] = []
        self._process: qt.QProcess | None = None
        self._python = self._started = 0
        self._rest = b""
        self._log: deque[str] = deque(maxlen=_LOG_LINES)
        self._leaving: list[_Leaving] = []
        self._timer = qt.QTimer(parent)
        self._timer.timeout.connect(self._urge)

    @property
    def running(self) -> bool:
        """Whether there is a process, busy or warm."""
        return self._process is not None

    @property
    def process_id(self) -> int:
        """Number in the operating system of what was started, 0 without a process."""
        return int(self._process.processId()) if self._process is not None else 0

    @property
    def python_id(self) -> int:
        """Number of the process that works: another one where PythonSlicer is a launcher; 0 until it said so."""
        return self._python

    @property
    def log(self) -> str:
        """The last lines that the process wrote to standard error."""
        return "\n".join(self._log)

    def listen(self, on_message: Callable[[dict[str, Any]], None], on_end: Callable[[], None]) -> None:
        """Tell these of each message, and of an end without :meth:`stop` or :meth:`retire`, on the main thread."""
        self._listeners.append((on_message, on_end))

    def start(self) -> None:
        """Start the process if there is none, so that it is ready when the first message comes."""
        if self._process is None:
            self._start()

    def send(self, message: dict[str, Any]) -> None:
        """Pass a message on, starting the process if there is none."""
        self.start()
        if self._process is not None:  # it may have failed to start just now
            self._process.write(encode(message).encode("ascii"))

    def stop(self) -> None:
        """End the process and wait for it: closed input lets it finish by itself, then it is terminated, then killed.

        Returns within three seconds; :meth:`send` starts a new one. For the end of the module; elsewhere
        :meth:`retire`, which does not wait.
        """
        self.retire()
        self._timer.stop()
        leaving, self._leaving = self._leaving, []
        for one in leaving:
            if not one.process.waitForFinished(_TERMINATE_MS):
                one.process.terminate()
                if not one.process.waitForFinished(_TERMINATE_MS):
                    one.process.kill()
                    one.process.waitForFinished(_KILL_MS)
                one.kill_python()
            one.process.deleteLater()

    def retire(self) -> None:
        """Let go of the process, which is given half a second to end, is then terminated, then killed; never waits."""
        process, self._process = self._process, None
        if process is None:
            return
        process.closeWriteChannel()  # also ends a Python that runs under a launcher, which a signal would not reach
        self._leaving.append(_Leaving(process, self._started, self._python))
        self._python = 0
        self._timer.start(_TERMINATE_MS)

    def _urge(self) -> None:
        for one in list(self._leaving):
            one.urged += 1
            if one.process.state() == qt.QProcess.NotRunning:
                self._leaving.remove(one)
                one.process.deleteLater()
            elif one.urged == 1:
                one.process.terminate()
            else:
                one.process.kill()
            if one.urged > 1:
                one.kill_python()
        if not self._leaving:
            self._timer.stop()

    def _start(self) -> None:
        self._rest, self._python, self._started = b"", 0, 0
        self._log.clear()
        process = qt.QProcess(self._parent)
        process.readyReadStandardOutput.connect(lambda: self._read(process))
        process.readyReadStandardError.connect(lambda: self._read_log(process))
        process.finished.connect(lambda: self._ended(process))
        process.errorOccurred.connect(lambda: self._failed(process))
        self._process = process
        process.start(*worker_command())

    def _read(self, process: qt.QProcess) -> None:
        data = bytes(process.readAllStandardOutput().data())
        if process is not self._process:  # the last words of one that was let go
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            try:
                message = decode(line)
            except BadRequestError:
                self._log.append(line.decode("utf-8", "replace"))
                continue
            if message["t"] == "ready":
                self._python, self._started = int(message.get("pid", 0)), int(process.processId())
            for on_message, _on_end in self._listeners:
                if process is self._process:  # a message may have made the host let it go
                    on_message(message)

    def _read_log(self, process: qt.QProcess) -> None:
        # Must be read even if nobody looks: a full pipe stops the worker.
        self._log.extend(bytes(process.readAllStandardError().data()).decode("utf-8", "replace").splitlines())

    def _failed(self, process: qt.QProcess) -> None:
        if process.state() == qt.QProcess.NotRunning:  # failed to start: there will be no finished signal
            self._ended(process)

    def _ended(self, process: qt.QProcess) -> None:
        if process is not self._process:
            return
        self._read(process)
        if process is not self._process:
            return
        _Leaving(
            process, self._started, self._python
        ).kill_python()  # a launcher that was killed leaves its Python behind
        self._process, self._python = None, 0
        process.deleteLater()
        if self._log:
            logging.debug("CTQualityAssessment worker: %s", self.log)
        for _on_message, on_end in self._listeners:
            on_end()


class _Leaving:
    """A process that was let go, and how often it was told to end."""

    def __init__(self, process: qt.QProcess, started: int, python: int) -> None:
        self.process, self.urged = process, 0
        self._started, self._python = started, python

    def kill_python(self) -> None:
        """End the Python under a launcher; harmless where there is no launcher or it is gone."""
        if self._python and self._python != self._started:
            with contextlib.suppress(OSError):
                os.kill(self._python, getattr(signal, "SIGKILL", signal.SIGTERM))
            self._python = 0
