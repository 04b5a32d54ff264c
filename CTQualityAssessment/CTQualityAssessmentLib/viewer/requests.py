"""What the page may ask for. The browser is not trusted to send the right types."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from trame_server import Server

from CTQualityAssessmentLib.mrml.overlays import set_overlay_threshold
from CTQualityAssessmentLib.viewer.assessing import Assessing
from CTQualityAssessmentLib.viewer.board import Board, Tasks
from CTQualityAssessmentLib.viewer.opened import Opened
from CTQualityAssessmentLib.viewer.places import LAYOUTS
from CTQualityAssessmentLib.viewer.run import Runs
from CTQualityAssessmentLib.viewer.views import SliceViews

#: What a key can ask for: down, nothing, up.
_STEPS = (-1, 0, 1)
#: Widest window of a difference in HU that the page may ask for.
_WIDEST_HU = 4000
_ASK = "ask_"


def answer(server: Server, *parts: object) -> None:
    """Let the page call every ``ask_NAME`` of the parts by NAME."""
    for part in parts:
        for name in dir(part):
            if name.startswith(_ASK):
                server.trigger(name.removeprefix(_ASK))(_bound(getattr(part, name)))


def _bound(ask: Callable[..., Any]) -> Callable[..., Any]:
    """The same, which does nothing where it gets more than it takes."""
    takes = inspect.signature(ask)

    def asked(*args: object, **kwargs: object) -> Any:
        try:
            takes.bind(*args, **kwargs)
        except TypeError:
            return None
        return ask(*args, **kwargs)

    return asked


class ViewRequests:
    """Where to look, and how."""

    def __init__(self, views: SliceViews, opened: Opened, board: Board) -> None:
        self._views, self._opened, self._board = views, opened, board

    def ask_jump(self, index: object = 0) -> None:
        """To a slice."""
        if isinstance(index, (int, float)) and abs(index) < 1e6:
            self._views.jump(int(index))

    def ask_scroll(self, place: object = "", steps: object = 0) -> None:
        """By slices, in one view."""
        if isinstance(steps, (int, float)) and abs(steps) < 1e6:
            self._views.scroll(str(place), int(steps))

    def ask_pan(self, right: object = 0, up: object = 0) -> None:
        """One step to the side."""
        if right in _STEPS and up in _STEPS:
            self._views.pan(right, up)

    def ask_zoom(self, step: object = 0) -> None:
        """One step nearer or further."""
        if step in _STEPS:
            self._views.zoom(step)

    def ask_adjust(self, width: object = 0, level: object = 0) -> None:
        """One step of the window."""
        if width in _STEPS and level in _STEPS:
            self._views.adjust_window(width, level)

    def ask_window(self, name: object = "") -> None:
        """A named window."""
        self._views.set_window(str(name))

    def ask_overlay(self, name: object = "") -> None:
        """What lies over the CT."""
        case = self._opened.case
        self._board.tell(overlay=name if case is not None and name in list(case.overlays) else "")
        self._opened.lay_over()

    def ask_opacity(self, value: object = 0.4) -> None:
        """Of the overlay."""
        if isinstance(value, (int, float)) and 0 <= value <= 1:
            self._board.tell(opacity=value)
            self._opened.lay_over()

    def ask_threshold(self, value: object = None) -> None:
        """Of the overlay."""
        overlay, threshold = self._board["overlay"], self._board["threshold"]
        if threshold is not None and isinstance(value, (int, float)) and threshold["low"] <= value <= threshold["high"]:
            set_overlay_threshold(self._opened.case.overlays[overlay], float(value), overlay == "quality")
            self._board.tell(threshold={**threshold, "value": value})

    def ask_layout(self, layout: object = "three", alone: object = "large") -> None:
        """Which views; a comparison only where there is a second volume."""
        known = layout in list(LAYOUTS) and alone in LAYOUTS["one"]
        if known and (layout != "compare" or self._opened.second is not None):
            self._opened.show_layout(str(layout), str(alone))

    def ask_span(self, hu: object = 0) -> None:
        """Window of the difference."""
        if isinstance(hu, (int, float)) and 0 < hu <= _WIDEST_HU:
            self._views.set_difference_half_width(float(hu))

    def ask_reset(self) -> None:
        """All views as at first."""
        self._views.reset()

    def ask_crosshair(self) -> None:
        """Lines where the other views cut, or not."""
        self._board.tell(crosshair=not self._board["crosshair"])
        self._views.set_crosshair(self._board["crosshair"])

    async def ask_rest(self) -> dict[str, int]:
        """Answer once all pictures are drawn and sent: for scripts that look at them. Bytes of each, by place."""
        return await self._views.rest()


class TaskRequests:
    """What takes its time, and what ends it."""

    def __init__(self, opened: Opened, assessing: Assessing, runs: Runs, board: Board, tasks: Tasks) -> None:
        self._opened, self._assessing, self._runs, self._board, self._tasks = opened, assessing, runs, board, tasks

    def ask_assess(self, model: object = None, stage: object = 3) -> None:
        """Score the open case with one of the models."""
        stages = [stage] if stage in (1, 2, 3, 4) else []
        known = {one["name"] for one in self._board["models"]}
        if self._ready() and isinstance(model, str) and model in known:
            self._tasks.begin(self._assessing.assess(model, stages))

    def ask_measure(self) -> None:
        """Measure the open case."""
        if self._ready():
            self._tasks.begin(self._assessing.measure())

    def ask_series(self, number: object = 0) -> None:
        """Open another series of what the case was read from."""
        known = {one[0] for one in self._board["series"]["items"]}
        source = self._opened.source
        if source is not None and self._tasks.idle and isinstance(number, int) and number in known:
            self._tasks.begin(self._opened.open(source, str(number)), "Reading")

    def ask_swap(self) -> None:
        """First and second volume change places."""
        second = self._opened.second
        if second is not None and self._tasks.idle and not self._opened.compares_denoised:
            self._tasks.begin(self._opened.swap(), "Comparing")

    def ask_uncompare(self) -> None:
        """Take the second volume away."""
        if self._tasks.idle:
            self._opened.end_comparison()

    async def ask_cancel(self) -> None:
        """Stop the run at its next batch."""
        if self._tasks.cancellable:
            self._board.tell(busy={**self._board["busy"], "message": "Cancelling", "cancellable": False})
            await self._runs.cancel()

    def ask_dismiss(self) -> None:
        """Take the error away."""
        self._board.tell(error=None)

    def _ready(self) -> bool:
        return self._opened.case is not None and self._tasks.idle
