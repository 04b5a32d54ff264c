"""Studies on disk, and the command in a process group of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from Testing.dicom_factory import body, write_series


def write_studies(root: Path, count: int, slices: int = 2) -> None:
    """Series in nested folders named after patients, of several kernels and scanners, no two alike."""
    for n in range(count):
        write_series(
            root / f"Zweistein^Ada {n % 17}" / f"study {n // 17}" / f"series {n}",
            body(slices, 48, 48) + n % 5,
            ConvolutionKernel=("B30f", "B70f", "Br40")[n % 3],
            ManufacturerModelName=f"Model {n % 2}",
            CTDIvol=2.0 + n % 7,
        )


#: Commands of the running test; what a failed one leaves is ended after it.
started: list[Command] = []


class Command:
    """``ctqa batch``, or another command, as a user starts it, in a session of its own."""

    def __init__(self, *arguments: object, command: tuple[str, ...] = ("batch",)) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "CTQualityAssessmentLib.cli", *command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(self)

    def finish(self, code: int, timeout: float = 900) -> str:
        """Wait for the end and return what was printed; no worker may outlive it."""
        try:
            stdout, stderr = self.process.communicate(timeout=timeout)
        finally:
            self.clear_up()
        assert self.process.returncode == code, stdout + stderr
        assert "Traceback" not in stderr and "Zweistein" not in stdout + stderr
        return stdout + stderr

    def workers(self) -> list[psutil.Process]:
        """The processes that do the studies."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
            return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        except psutil.NoSuchProcess:
            return []

    def clear_up(self) -> None:
        """End what a failed test left running."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def until(condition, seconds: float = 900, step: float = 0.02):
    """Wait for a condition and return what it gave."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(step)
    return found


def done(out: Path) -> dict[str, str]:
    """Text of the record of every study that lies in an output folder, by name."""
    return {path.parent.name: path.read_text() for path in (out / "studies").glob("[!.]*/study.json")}
