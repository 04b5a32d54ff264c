"""The command in processes of its own that start at once: a server with everything imported, which forks for each run.

What is to go wrong is named beforehand (:data:`FAULTS`) and happens in the run's process: real limits, real signals.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: A run that takes longer was hanging; SIGALRM ends it.
SECONDS = 240


@dataclass(frozen=True)
class Run:
    """What came of a command: its exit code, or the negative number of the signal that ended it, and what it said."""

    code: int
    out: str
    err: str

    @property
    def refused(self) -> bool:
        """Whether it ended with one plain line and no traceback."""
        return self.code in (1, 3) and self.err.startswith("Error: ") and "Traceback" not in self.err


class Server:
    """Forks ``ctqa`` on request; close it at the end.

    Args:
        environment: set in the server and in every run.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "Testing.hardness.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment},
            text=True,
        )

    def start(self, *arguments: object, faults: Mapping[str, Any] | None = None) -> Started:
        """Begin ``ctqa`` with these arguments and faults (name to value, see :data:`FAULTS`)."""
        folder = Path(tempfile.mkdtemp(prefix="hardness-run-"))
        request = {"arguments": [str(one) for one in arguments], "faults": dict(faults or {}), "folder": str(folder)}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        return Started(pid, folder, self)

    def ctqa(self, *arguments: object, faults: Mapping[str, Any] | None = None) -> Run:
        """Run ``ctqa`` to its end."""
        return self.start(*arguments, faults=faults).finish()

    def wait(self, pid: int) -> int:
        """Exit code of a run."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"wait": pid}) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the server."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(frozen=True)
class Started:
    """A run that goes on."""

    pid: int
    folder: Path
    server: Server

    def finish(self) -> Run:
        """Wait for its end."""
        code = self.server.wait(self.pid)
        said = [(self.folder / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err")]
        for name in ("out", "err"):
            (self.folder / name).unlink()
        self.folder.rmdir()
        return Run(code, *said)


def _serve() -> None:
    """Import what the commands import, then fork until the input closes."""
    # ruff: noqa: F401
    import matplotlib.pyplot
    import monai.networks.nets.swin_unetr
    import nibabel
    import pydicom
    import scipy.ndimage
    import SimpleITK
    import slicer
    import torch
    from CTQualityAssessmentLib import cli
    from CTQualityAssessmentLib.mrml import scene_file
    from CTQualityAssessmentLib.networks import registry
    from CTQualityAssessmentLib.reporting import figures, web_page

    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
        elif pid := os.fork():
            print(pid, flush=True)
        else:
            _run(request)


def _run(request: dict[str, Any]) -> None:
    """In the forked process: what is to go wrong, then the command."""
    import signal
    import traceback

    from Testing.hardness.faults import FAULTS

    code = 70
    try:
        for number, name in ((1, "out"), (2, "err")):
            target = os.open(Path(request["folder"]) / name, os.O_WRONLY | os.O_CREAT)
            os.dup2(target, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
        sys.argv = ["ctqa", *request["arguments"]]
        for name, value in request["faults"].items():
            FAULTS[name](value)
        from CTQualityAssessmentLib.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                code = code or 71
        os._exit(code)


if __name__ == "__main__":
    _serve()
