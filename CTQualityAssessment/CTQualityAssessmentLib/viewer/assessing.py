"""Runs of the worker on the open case, and what the page shows of them while they go on."""

from __future__ import annotations

from typing import Any

import slicer

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.viewer.board import Board, Tasks, busy
from CTQualityAssessmentLib.viewer.case import show_assessment
from CTQualityAssessmentLib.viewer.opened import Opened
from CTQualityAssessmentLib.viewer.run import Runs
from CTQualityAssessmentLib.viewer.shown import measures_of


class Assessing:
    """Assess and measure.

    Args:
        scene: where results go.
        opened: holds the case.
        runs: the worker.
        board: shows rows and results.
        tasks: shows the progress.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, opened: Opened, runs: Runs, board: Board, tasks: Tasks) -> None:
        self._scene, self._opened, self._runs, self._board, self._tasks = scene, opened, runs, board, tasks
        self._rows: list[list[Any]] = []

    async def measure(self) -> None:
        """Measure the open case by physics alone."""
        case = self._opened.case
        self._board.tell(busy=busy("Starting", cancellable=True), error=None)
        case.measures = await self._runs.measure(case, self.on_progress)
        self._board.tell(measured=measures_of(case.measures))

    async def assess(self, model: str, stages: list[int]) -> None:
        """Assess the open case; rows come while it runs.

        Args:
            model: name or folder of the bundle.
            stages: of the attention maps.
        """
        case = self._opened.case
        self._rows = []
        self._board.tell(busy=busy("Starting", cancellable=True, scoring=True), error=None, rows=[], result=None)
        try:
            assessment = await self._runs.assess(case, model, stages, self._on_message)
        except CTQAError:
            if case.assessment is not None:  # what was there before is still true
                self._opened.show_result(case.assessment)
            else:
                self._board.tell(rows=[])
            raise
        self._board.tell(busy=busy("Drawing overlays"))
        await show_assessment(self._scene, case, assessment)
        self._opened.show_result(assessment)

    def _on_message(self, message: dict[str, Any]) -> None:
        """From the worker: progress, rows and notes."""
        if message["t"] == "slice":
            one = message["slice"]
            reason = one["refusal"]["reason"] if one["refusal"] else None
            row = [one["index"], one["score"], one["sd"], one["grade"], one["novelty"], reason]
            # After a shortage of memory the worker begins again: a slice may come twice.
            self._rows = [*(other for other in self._rows if other[0] != row[0]), row]
        else:
            self.on_progress(message, rows=list(self._rows))

    def on_progress(self, message: dict[str, Any], **more: Any) -> None:
        """From the worker: progress and notes, shown with ``more``."""
        if message["t"] == "note":
            self._board.tell(notes=[*self._board["notes"], message["text"]])
        elif message["t"] == "progress" and self._tasks.cancellable:
            fields = {name: message[name] for name in ("message", "done", "total", "eta_s")}
            self._tasks.show(busy(**fields, cancellable=True, scoring="rows" in more), **more)
