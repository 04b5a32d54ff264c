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

from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.reporting.measures_file import write_measures
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.viewer.case import Case, Denoised
from CTQualityAssessmentLib.viewer.errors import RunError, no_space
from CTQualityAssessmentLib.viewer.transfers import EXPORT_FOLDER
from CTQualityAssessmentLib.viewer.worker_process import WorkerProcess
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.exchange import (
    DENOISED,
    read_denoising,
    read_measured,
    read_result,
    write_denoised,
    write_denoising,
    write_result,
    write_volume,
)
from CTQualityAssessmentLib.worker.program import module_arguments
from CTQualityAssessmentLib.worker.protocol import (
    AssessRequest,
    DenoiseRequest,
    MeasureRequest,
    VolumeRequest,
    encode,
)

#: Voxels for another process, in its folder.
VOXELS = "hu.npy"
_Result = TypeVar("_Result")


class Runs:
    """Assessments and measurements of the open case, one at a time, in folders below ``folder``."""

    def __init__(self, folder: Path, device: str) -> None:
        self.worker = WorkerProcess()
        self._folder, self._device = folder, device
        self._ids = itertools.count(1)
        self._running: str | None = None
        self._exporting = asyncio.Lock()
        self._exported: dict[str, tuple[tuple[object, ...], Path]] = {}

    async def assess(
        self, case: Case, model: str | None, stages: list[int], on_message: Callable[[dict[str, Any]], None]
    ) -> VolumeAssessment:
        """Run the worker on the case. Cancelled it returns what there is, marked partial.

        Raises:
            RunError: with the worker's own words.
        """

        def request(**fields: Any) -> AssessRequest:
            return AssessRequest(model=model, device=self._device, attention_stages=stages, preview=True, **fields)

        return await self._run(case, request, on_message, read_result)

    async def measure(self, case: Case, on_message: Callable[[dict[str, Any]], None]) -> PhysicalMeasures:
        """Measure the case in the worker: it keeps all cores busy, and pictures would stutter beside it.

        Cancelled it returns what there is, marked partial.

        Raises:
            RunError: with the worker's own words.
        """
        return await self._run(case, MeasureRequest, on_message, read_measured)

    async def denoise(
        self, case: Case, folder: Path, asked: dict[str, Any], on_message: Callable[[dict[str, Any]], None]
    ) -> DenoisingReport:
        """Denoise the case in the worker; cancelled after the voxels came, the report has what was looked at by then.

        Args:
            case: what to denoise.
            folder: takes the voxels, for :func:`~CTQualityAssessmentLib.worker.exchange.read_denoised`.
            asked: fields of the request beside those of the volume.
            on_message: "denoised" among them, once the voxels are in the folder.

        Raises:
            RunError: with the worker's own words.
        """

        def request(**fields: Any) -> DenoiseRequest:
            return DenoiseRequest(device=self._device, **asked, **fields)

        return await self._run_in(folder, case, request, on_message, read_denoising)

    def new_folder(self) -> Path:
        """A folder for a result that stays until the caller removes it, or the program ends.

        Raises:
            RunError: it cannot be made.
        """
        try:
            return Path(tempfile.mkdtemp(prefix="kept-", dir=self._folder))
        except OSError as error:
            raise no_space() from error

    async def _run(
        self,
        case: Case,
        make_request: Callable[..., VolumeRequest],
        on_message: Callable[[dict[str, Any]], None],
        read: Callable[[Path], _Result],
    ) -> _Result:
        folder = self.new_folder()
        try:
            return await self._run_in(folder, case, make_request, on_message, read)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _run_in(
        self,
        folder: Path,
        case: Case,
        make_request: Callable[..., VolumeRequest],
        on_message: Callable[[dict[str, Any]], None],
        read: Callable[[Path], _Result],
    ) -> _Result:
        self._running = id_ = str(next(self._ids))
        try:
            fields = await asyncio.to_thread(write_volume, folder / VOXELS, case.volume)
            last = await self.worker.run(make_request(id=id_, folder=str(folder), **fields), on_message)
            if last["t"] == "error":
                raise RunError(str(last.get("problem")), str(last.get("advice")))
            return await asyncio.to_thread(read, folder)
        except OSError as error:
            raise no_space() from error
        finally:
            self._running = None
            (folder / VOXELS).unlink(missing_ok=True)

    async def cancel(self) -> None:
        """Stop the run at its next batch."""
        if self._running is not None:
            await self.worker.cancel(self._running)

    async def export(self, case: Case) -> Path:
        """The folder with the results to download, written once for each result, measurement and denoising.

        Raises:
            RunError: they cannot be written.
        """

        assessment, measures = case.assessment, case.measures
        # Taken now: while the files are written, the page may ask for another strength.
        pair = (case.denoised.volume, case.denoised.report) if case.denoised is not None else (None, None)

        def write(folder: Path) -> None:
            if assessment is not None:
                write_result(folder, assessment)
            if measures is not None:
                write_measures(folder, measures)
            if assessment is not None and pair[0] is not None:
                write_denoised(folder, *pair)

        return await self._export("result", (assessment, measures, *pair), case.volume, write)

    async def export_denoised(self, denoised: Denoised) -> Path:
        """The folder with the denoised volume and its report, written once for each strength.

        Raises:
            RunError: they cannot be written.
        """
        report = denoised.report
        return await self._export(
            "denoised", (report,), denoised.volume, lambda folder: write_denoising(folder, report)
        )

    async def _export(self, kind: str, of: tuple[object, ...], volume: Volume, write: Callable[[Path], None]) -> Path:
        async with self._exporting:
            before = self._exported.get(kind)
            if before is not None and all(one is other for one, other in zip(before[0], of, strict=True)):
                return before[1]
            folder = self.new_folder()
            try:
                fields = await asyncio.to_thread(write_volume, folder / VOXELS, volume)
                await asyncio.to_thread(write, folder)
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *module_arguments("CTQualityAssessmentLib.viewer.export"),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                request = VolumeRequest(id="export", folder=str(folder), **fields)
                await process.communicate(encode(request.to_message()).encode("ascii"))
                for name in (VOXELS, DENOISED):
                    (folder / name).unlink(missing_ok=True)
            except OSError as error:
                raise no_space() from error
            if process.returncode != 0:
                raise RunError("The files could not be written.", "Check that the disk is not full, and try again.")
            if before is not None:
                await asyncio.to_thread(shutil.rmtree, before[1].parent, ignore_errors=True)
            self._exported[kind] = (of, folder / EXPORT_FOLDER)
            return folder / EXPORT_FOLDER
