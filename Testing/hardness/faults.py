"""What goes wrong in a run of :mod:`Testing.hardness.forks`: real limits, signals and rights, set where they strike."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: The user "nobody", who owns nothing.
NOBODY = 65534


def at(stage: str, act: Callable[[], None]) -> None:
    """Do something when the command reports that it begins a stage ("Assessing slices"), or at its half ("...+")."""
    import CTQualityAssessmentLib.cli.assess as assess
    import CTQualityAssessmentLib.cli.denoise as denoise
    import CTQualityAssessmentLib.cli.measure as measure

    name, half = stage.rstrip("+"), stage.endswith("+")

    @contextmanager
    def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
        def show(done: int, total: int, message: str) -> None:
            if message == name and (not half or 2 * done >= total > 0):
                act()

        yield show

    for command in (assess, denoise, measure):
        command.progress_bar = progress_bar


def die_at(stage: str) -> None:
    """As the kernel ends a process when memory is short, or a power cut."""
    at(stage, lambda: os.kill(os.getpid(), signal.SIGKILL))


def die_at_rename(number: int) -> None:
    """Die at the n-th file that is to move into its place."""
    moved = iter(range(number))
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if next(moved, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(self, target)

    Path.replace = replace


def slow_renames(seconds: float) -> None:
    """Each file that moves into its place takes its time, so that two runs meet."""
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        time.sleep(seconds)
        return real(self, target)

    Path.replace = replace


def memory(mib: int) -> None:
    """As ``ulimit -v``: so much address space more than the process has with all libraries loaded."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + mib * 1024**2
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def file_size(kib: int) -> None:
    """As ``ulimit -f``: no file may grow beyond."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, kib * 1024))


def nobody(_: Any) -> None:
    """Without the rights of root, which would open everything."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def read_only_at(stage: str) -> None:
    """The disk of the output folder becomes read-only while the run goes on, as after a fault of the disk.

    Seen by this process alone: it gets a mount table of its own.
    """
    folder = Path(_argument("--out")).parent

    def act() -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(0x00020000):  # CLONE_NEWNS
            raise OSError(ctypes.get_errno(), "unshare")
        for command in (
            ["mount", "--make-rprivate", "/"],
            ["mount", "--bind", folder, folder],
            ["mount", "-o", "remount,bind,ro", folder],
        ):
            subprocess.run(command, check=True)

    done: list[bool] = []
    at(stage, lambda: None if done else (done.append(True), act())[1])


def clock_at(given: list[str]) -> None:
    """The clock of the wall jumps at a stage: [stage, file that libfaketime reads, what to write into it]."""
    stage, file, jump = given
    at(stage, lambda: Path(file).write_text(jump) and None)


def _argument(name: str) -> str:
    import sys

    return sys.argv[sys.argv.index(name) + 1]


FAULTS: dict[str, Callable[[Any], None]] = {
    "die_at": die_at,
    "die_at_rename": die_at_rename,
    "slow_renames": slow_renames,
    "memory": memory,
    "file_size": file_size,
    "nobody": nobody,
    "read_only_at": read_only_at,
    "clock_at": clock_at,
}
