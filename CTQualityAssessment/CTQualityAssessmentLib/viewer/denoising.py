"""Less noise in the open case: the run, another strength afterwards, and what the page shows of it."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import slicer

from CTQualityAssessmentLib.assessment.denoising import blend
from CTQualityAssessmentLib.denoising import DenoisingReport, Strength
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.denoised_nodes import keep_examination, put_denoised
from CTQualityAssessmentLib.mrml.volume_nodes import image_of
from CTQualityAssessmentLib.reporting.denoising_words import measure_rows
from CTQualityAssessmentLib.viewer.assessing import Assessing
from CTQualityAssessmentLib.viewer.board import Board, Tasks, busy
from CTQualityAssessmentLib.viewer.case import Case, Denoised, drop_denoised, shared
from CTQualityAssessmentLib.viewer.opened import Opened
from CTQualityAssessmentLib.viewer.run import Runs
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.exchange import read_denoised


class Denoising:
    """Denoise, and look at what that did.

    Args:
        scene: where the result goes.
        opened: holds the case.
        runs: the worker.
        assessing: shows the worker's progress.
        board: shows the report.
        tasks: one thing at a time.
    """

    def __init__(
        self, scene: slicer.vtkMRMLScene, opened: Opened, runs: Runs, assessing: Assessing, board: Board, tasks: Tasks
    ) -> None:
        self._scene, self._opened, self._runs = scene, opened, runs
        self._assessing, self._board, self._tasks = assessing, board, tasks

    def ask_denoise(
        self,
        model: object = None,
        lung: object = 1,
        soft_tissue: object = 1,
        bone: object = 1,
        findings: object = False,
        scores: object = False,
    ) -> None:
        """Denoise the open case."""
        strength = _strength(lung, soft_tissue, bone)
        known = [one["name"] for one in self._board["denoisers"]]
        if self._opened.case is not None and self._tasks.idle and strength is not None and model in known:
            self._tasks.begin(self._denoise(str(model), strength, findings is True, scores is True))

    def ask_strength(self, lung: object = 1, soft_tissue: object = 1, bone: object = 1) -> None:
        """Another strength of what was denoised: the network is not needed for that."""
        strength = _strength(lung, soft_tissue, bone)
        if self._denoised is not None and self._tasks.idle and strength not in (None, self._denoised.report.strength):
            self._tasks.begin(self._change(strength), "Changing the strength")

    def ask_examine(self, findings: object = False, scores: object = False) -> None:
        """Look whether lesions survive at the strength that is in view, and measure."""
        if self._denoised is not None and self._tasks.idle:
            self._tasks.begin(self._examine(findings is True, scores is True))

    def ask_flip(self) -> None:
        """Show the denoised volume in place of the original, or the original again."""
        if self._denoised is not None and self._board["layout"] != "compare":
            self._opened.flip(not self._board["flipped"])

    def ask_beside(self) -> None:
        """Show the denoised volume beside the original, with the difference."""
        if self._denoised is not None and self._tasks.idle:
            self._tasks.begin(self._opened.compare_denoised(), "Comparing")

    @property
    def _denoised(self) -> Denoised | None:
        return self._opened.case.denoised if self._opened.case is not None else None

    async def _denoise(self, model: str, strength: Strength, findings: bool, scores: bool) -> None:
        case, folder = self._opened.case, self._runs.new_folder()
        self._board.tell(busy=busy("Starting", cancellable=True), error=None)
        showing: list[asyncio.Task] = []

        def on_message(message: dict[str, Any]) -> None:
            if message["t"] == "denoised":
                showing.append(asyncio.get_running_loop().create_task(self._show(case, folder, model)))
            else:
                self._assessing.on_progress(message)

        asked = {"model": model, "findings": findings, "scores": scores, **asdict(strength)}
        try:
            report = await self._runs.denoise(case, folder, asked, on_message)
        except CTQAError:
            if not showing:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            # Also where the worker died while it looked at the result: the voxels are whole.
            await asyncio.gather(*showing)
        self._report(case, report)

    async def _show(self, case: Case, folder: Path, model: str) -> None:
        """The voxels are there; what they lost is still looked at."""
        volume, report = await asyncio.to_thread(read_denoised, folder, case.volume)
        if self._opened.compares_denoised:
            self._opened.end_comparison()
        drop_denoised(self._scene, case)
        node = self._put(case, volume, report)
        case.denoised = Denoised(folder, model, shared(volume, node), node, report)
        self._opened.show_denoised()

    async def _change(self, strength: Strength) -> None:
        case, denoised = self._opened.case, self._denoised
        result = await asyncio.to_thread(_with_strength, denoised.folder, case.volume, strength)
        report = denoised.reports.get(strength) or denoised.report.at_strength(strength)
        denoised.volume = shared(result, self._put(case, result, report))
        self._report(case, report)
        if self._opened.compares_denoised:
            await self._opened.compare_denoised()

    async def _examine(self, findings: bool, scores: bool) -> None:
        case, denoised = self._opened.case, self._denoised
        self._board.tell(busy=busy("Starting", cancellable=True), error=None)
        asked = {"model": denoised.model, "findings": findings, "scores": scores, "earlier": str(denoised.folder)}
        folder = self._runs.new_folder()
        try:
            asked |= asdict(denoised.report.strength)
            report = await self._runs.denoise(case, folder, asked, self._assessing.on_progress)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        # The network's seconds are those of its own run.
        self._report(case, replace(report, seconds=denoised.report.seconds))

    def _put(self, case: Case, volume: Volume, report: DenoisingReport) -> slicer.vtkMRMLScalarVolumeNode:
        """The node with these voxels: a new one, or the one before, so that views stay."""
        image = image_of(volume.hu)
        return put_denoised(self._scene, case.node, image, volume.acquisition_axis, report).volume

    def _report(self, case: Case, report: DenoisingReport) -> None:
        """What was looked at replaces what was known of this strength; boxes follow."""
        denoised = case.denoised
        denoised.report = denoised.reports[report.strength] = report
        nodes = keep_examination(self._scene, case.node, report, measure_rows(report), case.volume)
        denoised.boxes = list(nodes.boxes) if nodes is not None else []
        self._opened.show_denoised()


def _strength(lung: object, soft_tissue: object, bone: object) -> Strength | None:
    """None where the page sent no shares."""
    shares = (lung, soft_tissue, bone)
    if all(isinstance(one, (int, float)) and 0 <= one <= 1 for one in shares):
        return Strength(*(float(one) for one in shares))
    return None


def _with_strength(folder: Path, original: Volume, strength: Strength) -> Volume:
    full, _ = read_denoised(folder, original, full=True)
    return full if strength.full else blend(original, full, strength)
