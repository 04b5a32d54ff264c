"""A viewer in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"

#: Every wait of these tests is for a state, and this only ends one that never comes; a computer may be very busy.
PATIENCE_S = 120


class Running:
    """A viewer in a process of its own; ``temporary`` is where its private folder lies."""

    def __init__(self, process: subprocess.Popen, address: str, temporary: Path) -> None:
        self.process, self.address, self.temporary = process, address, temporary
        self.port = int(re.search(r":(\d+)/", address)[1])
        self.origin = f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        """Process numbers of the viewer's children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in children.read_text().split()]


_COMMAND = ("-c", "from CTQualityAssessmentLib.cli import main; main()")


@contextmanager
def start_viewer(
    models: Path | None,
    temporary: Path,
    *arguments: str,
    command: tuple[str, ...] = _COMMAND,
    paths: tuple[str, ...] = (),
):
    """Start ``ctqa view`` and wait for its address: with the test model, or where there is none with those shipped."""
    temporary.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "CTQualityAssessment"), *paths]),
        **({"CTQA_MODELS": str(models)} if models is not None else {}),
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(temporary),
    }
    asked = [sys.executable, *command, "view", *arguments, "--no-browser"]
    if models is not None:
        asked += ["--model", "tiny"]
    process = subprocess.Popen(
        asked, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=temporary
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}", line)
        assert found, line
        yield Running(process, found[0], temporary)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
