"""Physical measures of the open case: the process that makes them, seen from the viewer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.reporting.measures_file import read_measures
from CTQualityAssessmentLib.viewer.run import RunError, no_space
from CTQualityAssessmentLib.viewer.worker_process import python_environment
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.exchange import write_volume
from CTQualityAssessmentLib.worker.protocol import AssessRequest, encode


class MeasureRuns:
    """Measurements, one at a time, in folders below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def measure(self, volume: Volume, on_progress: Callable[[dict[str, Any]], None]) -> PhysicalMeasures:
        """Measure a volume; ``on_progress`` takes message, done, total and eta_s. Cancelled it is marked partial.

        Raises:
            RunError: the process died, or the disk is full.
        """
        with tempfile.TemporaryDirectory(prefix="measure-", dir=self._folder, ignore_cleanup_errors=True) as name:
            folder = Path(name)
            try:
                fields = await asyncio.to_thread(write_volume, folder / "hu.npy", volume)
                self._process = process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "CTQualityAssessmentLib.viewer.measuring",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    env=python_environment(),
                )
                request = AssessRequest(id="measure", folder=name, **fields)
                process.stdin.write(encode(request.to_message()).encode("ascii"))
                started = time.monotonic()
                while line := await process.stdout.readline():
                    told = json.loads(line)
                    done, total = told["done"], told["total"]
                    left = (time.monotonic() - started) * (total - done) / done if done else None
                    on_progress({**told, "eta_s": left})
                await process.wait()
                return await asyncio.to_thread(read_measures, folder / "measures.json")
            except (OSError, ValueError) as error:
                if self._process is not None and self._process.returncode == 0:
                    raise no_space() from error
                raise RunError("The measurement ended unexpectedly.", "Close other programs and try again.") from error
            finally:
                await self.close()

    async def cancel(self) -> None:
        """Stop at the next batch of slices; harmless when nothing runs."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
