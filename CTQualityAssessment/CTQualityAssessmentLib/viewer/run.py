"""What is going on in the worker, and the files of its results."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.reporting.measures_file import write_measures
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.viewer.case import Case
from CTQualityAssessmentLib.viewer.transfers import EXPORT_FOLDER
from CTQualityAssessmentLib.viewer.worker_process import WorkerProcess, python_environment
from CTQualityAssessmentLib.worker.exchange import read_measured, read_result, write_result, write_volume
from CTQualityAssessmentLib.worker.protocol import AssessRequest, MeasureRequest, VolumeRequest, encode

_Result = TypeVar("_Result")


class RunError(CTQAError):
    """The worker, or the process that writes files, could not do it."""


class Runs:
    """Assessments and measurements of the open case, one at a time, in folders below ``folder``."""

    def __init__(self, folder: Path, device: str) -> None:
        self.worker = WorkerProcess()
        self._folder, self._device = folder, device
        self._ids = itertools.count(1)
        self._running: str | None = None
        self._exporting = asyncio.Lock()
        self._exported: tuple[VolumeAssessment | None, PhysicalMeasures | None, Path] | None = None

    async def assess(
        self, case: Case, model: str | None, stages: list[int], on_message: Callable[[dict[str, Any]], None]
    ) -> VolumeAssessment:
        """Run the worker on the case. Cancelled it returns what there is, marked partial.

        Raises:
            RunError: with the worker's own words.
        """

        def request(**fields: Any) -> AssessRequest:
            return AssessRequest(model=model, device=self._device, attention_stages=stages, **fields)

        return await self._run(case, request, on_message, read_result)

    async def measure(self, case: Case, on_message: Callable[[dict[str, Any]], None]) -> PhysicalMeasures:
        """Measure the case in the worker: it keeps all cores busy, and pictures would stutter beside it.

        Cancelled it returns what there is, marked partial.

        Raises:
            RunError: with the worker's own words.
        """
        return await self._run(case, MeasureRequest, on_message, read_measured)

    async def _run(
        self,
        case: Case,
        make_request: Callable[..., VolumeRequest],
        on_message: Callable[[dict[str, Any]], None],
        read: Callable[[Path], _Result],
    ) -> _Result:
        self._running = id_ = str(next(self._ids))
        try:
            with tempfile.TemporaryDirectory(prefix="run-", dir=self._folder, ignore_cleanup_errors=True) as folder:
                fields = await asyncio.to_thread(_write_volume, Path(folder), case)
                last = await self.worker.run(make_request(id=id_, folder=folder, **fields), on_message)
                if last["t"] == "error":
                    raise RunError(str(last.get("problem")), str(last.get("advice")))
                return await asyncio.to_thread(read, Path(folder))
        except OSError as error:
            raise no_space() from error
        finally:
            self._running = None

    async def cancel(self) -> None:
        """Stop the run at its next batch."""
        if self._running is not None:
            await self.worker.cancel(self._running)

    async def export(self, case: Case) -> Path:
        """The folder with the files to download, written once for each result and each measurement.

        Raises:
            RunError: they cannot be written.
        """
        async with self._exporting:
            assessment, measures = case.assessment, case.measures
            if self._exported is not None and self._exported[0] is assessment and self._exported[1] is measures:
                return self._exported[2]
            try:
                folder = Path(tempfile.mkdtemp(prefix="result-", dir=self._folder))
                fields = await asyncio.to_thread(_write_volume, folder, case)
                if assessment is not None:
                    await asyncio.to_thread(write_result, folder, assessment)
                if measures is not None:
                    await asyncio.to_thread(write_measures, folder, measures)
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "CTQualityAssessmentLib.viewer.export",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    env=python_environment(),
                )
                request = VolumeRequest(id="export", folder=str(folder), **fields)
                await process.communicate(encode(request.to_message()).encode("ascii"))
                (folder / "hu.npy").unlink(missing_ok=True)
            except OSError as error:
                raise no_space() from error
            if process.returncode != 0:
                raise RunError("The files could not be written.", "Check that the disk is not full, and try again.")
            if self._exported is not None:
                await asyncio.to_thread(shutil.rmtree, self._exported[2].parent, ignore_errors=True)
            self._exported = (assessment, measures, folder / EXPORT_FOLDER)
            return folder / EXPORT_FOLDER


def _write_volume(folder: Path, case: Case) -> dict[str, Any]:
    return write_volume(folder / "hu.npy", case.volume)


def no_space() -> RunError:
    """The disk is full, or the folder is gone."""
    return RunError("The temporary folder cannot be written.", "Check that the disk is not full, and try again.")
