"""The viewer itself: what the page may ask for, and what it is told."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trame_rca import module as rca_module
from trame_server import Server
from trame_slicer.core import SlicerApp
from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

from CTQualityAssessmentLib.assessment.difference import volume_difference
from CTQualityAssessmentLib.calls import Progress
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.difference import add_difference, remove_differences
from CTQualityAssessmentLib.mrml.overlays import set_overlay_threshold
from CTQualityAssessmentLib.mrml.scene import attach_file_handling
from CTQualityAssessmentLib.reading import SeriesInfo
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.viewer.case import Case, close_case, open_case, show_assessment
from CTQualityAssessmentLib.viewer.frames import SliceViewFactory
from CTQualityAssessmentLib.viewer.page import MODULE, first_state, make_page
from CTQualityAssessmentLib.viewer.run import RunError, Runs
from CTQualityAssessmentLib.viewer.shown import (
    case_of,
    comparison_of,
    legend_of,
    measures_of,
    result_of,
    row_of,
    series_of,
    threshold_of,
)
from CTQualityAssessmentLib.viewer.views import LAYOUTS, SliceViews
from CTQualityAssessmentLib.worker.faults import place

#: How often the page hears of new rows and progress.
_FLUSH_SECONDS = 0.25
#: What a key can ask for: down, nothing, up.
_STEPS = (-1, 0, 1)
#: Widest window of a difference in HU that the page may ask for.
_WIDEST_HU = 4000


@dataclass
class _Source:
    """What the open case was read from; ``folder`` is an upload to remove when it is no longer needed."""

    path: Path
    scenes: bool
    folder: Path | None = None


class BusyError(CTQAError):
    """Something else is going on."""

    def __init__(self) -> None:
        super().__init__("The viewer is busy with another task.", "Wait for its end, or cancel it.")


class NothingToCompareError(CTQAError):
    """A second volume without a first."""

    def __init__(self) -> None:
        super().__init__("There is nothing to compare with yet.", "Open the first CT, then the second.")


class Viewer:
    """One scene, one page; every browser tab shows the same.

    Args:
        server: trame's, not yet started; a running event loop is needed.
        folder: private folder that the caller removes at the end.
        model: name or folder of the model that is chosen at first.
        device: for the worker.
    """

    def __init__(self, server: Server, folder: Path, model: str | None = None, device: str = "auto") -> None:
        self._server, self._state = server, server.state
        self._app = SlicerApp()
        _silence_vtk()  # now, because SlicerApp turns it on
        self._helpers = attach_file_handling(self._app.scene)
        self._case: Case | None = None
        self._source: _Source | None = None
        self._second: Case | None = None
        self._runs = Runs(folder, device)
        self._task: asyncio.Task | None = None
        self._rows: list[list[Any]] = []
        self._flushed = 0.0
        shown = first_state(model)
        self._state.update({"trame__title": "CT quality", "trame__favicon": None, **shown})
        server.enable_module(rca_module)
        server.enable_module(MODULE)
        self._views = SliceViews(self._app, SliceViewFactory(server), self._on_view_change)
        make_page(server, list(shown))
        for name in (
            "assess measure cancel jump scroll pan zoom window adjust overlay opacity threshold reset crosshair layout "
            "series span swap uncompare dismiss"
        ).split():
            server.trigger(name)(getattr(self, f"_ask_{name}"))

    async def open(self, path: Path, series: str | None = None, second: Path | None = None) -> None:
        """Open a CT, or a scene, in place of what is open. What cannot be read leaves the page as it was.

        Args:
            path: what to open.
            series: which DICOM series of it.
            second: what to compare it with.

        Raises:
            CTQAError: why it cannot be read; the page shows it too.
        """
        await self._alone(self._open(_Source(path, scenes=True), series), "Reading")
        if second is not None:
            await self._alone(self._open_second(second, scenes=True), "Reading the second volume")

    async def receive(self, path: Path, folder: Path, second: bool) -> None:
        """Open what was uploaded: a CT only, because a scene may name other files of this computer.

        Args:
            path: what to open.
            folder: private folder that holds it. It is removed; where there are several series to choose from, once
                something else is open.
            second: whether to compare it with what is open.

        Raises:
            CTQAError: as for :meth:`open`.
        """
        source = _Source(path, scenes=False, folder=folder)
        try:
            if second:
                await self._alone(self._open_second(path, scenes=False), "Reading the second volume")
            else:
                await self._alone(self._open(source, None), "Reading")
        finally:
            if source is not self._source or len(self._state.series["items"]) < 2:
                shutil.rmtree(folder, ignore_errors=True)

    async def close(self) -> None:
        """Stop what is going on, and the worker."""
        if self._task is not None:
            self._task.cancel()
        await self._runs.worker.close()

    async def exported(self) -> Path | None:
        """The folder of files to download; None where nothing was assessed or measured."""
        if self._case is None or (self._case.assessment is None and self._case.measures is None):
            return None
        try:
            return await self._runs.export(self._case)
        except CTQAError as error:
            self._show_error(error)
            return None

    # What the page asks for. The browser is not trusted to send the right types.

    def _ask_assess(self, model: object = None, stage: object = 3) -> None:
        if self._case is None or self._task is not None:
            return
        stages = [stage] if stage in (1, 2, 3, 4) else []
        known = {one["name"] for one in self._state.models}
        if isinstance(model, str) and model in known:
            self._begin(self._assess(model, stages))

    def _ask_measure(self) -> None:
        if self._case is not None and self._task is None:
            self._begin(self._measure())

    def _ask_series(self, number: object = 0) -> None:
        known = {one[0] for one in self._state.series["items"]}
        if self._source is not None and self._task is None and isinstance(number, int) and number in known:
            self._begin(self._open(self._source, str(number)), "Reading")

    def _ask_swap(self) -> None:
        if self._second is not None and self._task is None:
            self._begin(self._swap(), "Comparing")

    def _ask_uncompare(self) -> None:
        if self._task is None:
            self._end_comparison()

    async def _ask_cancel(self) -> None:
        if self._state.busy and self._state.busy["cancellable"]:
            self._tell(busy={**self._state.busy, "message": "Cancelling", "cancellable": False})
            await self._runs.cancel()

    def _ask_jump(self, index: object = 0) -> None:
        if isinstance(index, (int, float)) and abs(index) < 1e6:
            self._views.jump(int(index))

    def _ask_scroll(self, place: object = "", steps: object = 0) -> None:
        if isinstance(steps, (int, float)) and abs(steps) < 1e6:
            self._views.scroll(str(place), int(steps))

    def _ask_pan(self, right: object = 0, up: object = 0) -> None:
        if right in _STEPS and up in _STEPS:
            self._views.pan(right, up)

    def _ask_zoom(self, step: object = 0) -> None:
        if step in _STEPS:
            self._views.zoom(step)

    def _ask_adjust(self, width: object = 0, level: object = 0) -> None:
        if width in _STEPS and level in _STEPS:
            self._views.adjust_window(width, level)

    def _ask_window(self, name: object = "") -> None:
        self._views.set_window(str(name))

    def _ask_overlay(self, name: object = "") -> None:
        self._state.overlay = name if self._case and name in self._case.overlays else ""
        self._lay_over()

    def _ask_threshold(self, value: object = None) -> None:
        overlay, threshold = self._state.overlay, self._state.threshold
        if threshold is not None and isinstance(value, (int, float)) and threshold["low"] <= value <= threshold["high"]:
            set_overlay_threshold(self._case.overlays[overlay], float(value), overlay == "quality")
            self._state.threshold = {**threshold, "value": value}

    def _ask_layout(self, layout: object = "three", alone: object = "large") -> None:
        if layout in LAYOUTS and alone in LAYOUTS["one"] and (layout != "compare" or self._second is not None):
            self._show_layout(str(layout), str(alone))

    def _ask_span(self, hu: object = 0) -> None:
        if isinstance(hu, (int, float)) and 0 < hu <= _WIDEST_HU:
            self._views.set_difference_half_width(float(hu))

    def _ask_opacity(self, value: object = 0.4) -> None:
        if isinstance(value, (int, float)) and 0 <= value <= 1:
            self._state.opacity = value
            self._lay_over()

    def _ask_reset(self) -> None:
        self._views.reset()

    def _ask_crosshair(self) -> None:
        self._state.crosshair = not self._state.crosshair
        self._views.set_crosshair(self._state.crosshair)

    def _ask_dismiss(self) -> None:
        self._state.error = None

    # What happens.

    async def _alone(self, work: Awaitable[None], message: str) -> None:
        """Do something that excludes everything else, and show its error on the page before passing it on."""
        if self._task is not None:
            work.close()
            raise BusyError
        self._task = asyncio.current_task()
        self._tell(busy=_busy(message), error=None)
        try:
            await work
        except CTQAError as error:
            self._show_error(error)
            raise
        except Exception as error:
            told = _unexpected(error)
            self._show_error(told)
            raise told from error
        finally:
            self._task = None
            self._tell(busy=None)

    async def _reported(self, work: Awaitable[None]) -> None:
        """Do something for which nobody waits: its errors go to the page, also those that nobody thought of."""
        try:
            await work
        except CTQAError as error:
            self._show_error(error)
        except Exception as error:
            self._show_error(_unexpected(error))
        finally:
            self._task = None
            self._tell(busy=None)

    def _begin(self, work: Awaitable[None], message: str = "Starting") -> None:
        self._tell(busy=_busy(message), error=None)
        self._task = asyncio.get_running_loop().create_task(self._reported(work))

    def _progress(self) -> Progress:
        """Shows the progress of work in a thread."""
        loop = asyncio.get_running_loop()

        def progress(done: int, total: int, message: str) -> None:
            loop.call_soon_threadsafe(self._show_progress, _busy(message, done, total))

        return progress

    async def _open(self, source: _Source, series: str | None) -> None:
        found: list[SeriesInfo] = []
        try:
            case = await open_case(self._app.scene, source.path, series, source.scenes, self._progress(), found.extend)
        finally:
            # Also where the series cannot be read: the page offers the others, if nothing else is open.
            if len(found) > 1 and self._case is None:
                self._set_source(source, series_of(found, series))
        self._set_source(source, series_of(found, series))
        self._end_comparison()
        before, self._case = self._case, case
        self._show_case()
        if before is not None:
            close_case(self._app.scene, before)

    def _set_source(self, source: _Source, series: dict[str, Any]) -> None:
        """Remember where the case came from; an upload that nothing else is read from any more is removed."""
        before, self._source = self._source, source
        if before is not None and before.folder is not None and before.folder != source.folder:
            shutil.rmtree(before.folder, ignore_errors=True)
        self._tell(series=series)

    def _show_case(self) -> None:
        """Show the open case in all views, with its results if it has some."""
        case = self._case
        panes = self._views.show(case.volume, case.node)
        self._tell(
            opened=case_of(case.volume),
            panes=[vars(pane) for pane in panes],
            rows=[],
            result=None,
            measured=measures_of(case.measures) if case.measures is not None else None,
            overlays=[],
            overlay="",
            threshold=None,
            legend=None,
        )
        if case.assessment is not None:
            self._show_result(case.assessment)
        self._on_view_change()

    async def _open_second(self, path: Path, scenes: bool) -> None:
        if self._case is None:
            raise NothingToCompareError
        second = await open_case(self._app.scene, path, None, scenes, self._progress())
        try:
            await self._compare(second)
        except CTQAError:
            close_case(self._app.scene, second)
            raise

    async def _compare(self, second: Case) -> None:
        first, progress = self._case, self._progress()
        difference = await asyncio.to_thread(volume_difference, first.volume, second.volume, progress=progress)
        self._end_comparison()
        self._second = second
        self._views.compare(second.node, add_difference(self._app.scene, first.node, second.node, difference))
        self._tell(compared=comparison_of(first.volume, second.volume, difference))
        self._show_layout("compare", "large")
        self._on_view_change()

    async def _swap(self) -> None:
        """The second volume becomes the one to assess; each keeps its results."""
        first, self._case, self._second = self._case, self._second, None
        self._views.compare(None, None)
        remove_differences(self._app.scene, first.node)
        self._tell(series={"items": [], "chosen": 0})  # those of the other volume
        self._show_case()
        try:
            await self._compare(first)
        except CTQAError:
            self._show_layout("three", "large")
            self._tell(compared=None)
            close_case(self._app.scene, first)
            raise

    def _end_comparison(self) -> None:
        second, self._second = self._second, None
        if second is None:
            return
        self._views.compare(None, None)
        remove_differences(self._app.scene, self._case.node)
        close_case(self._app.scene, second)
        self._tell(compared=None)
        self._show_layout("three", "large")

    def _show_layout(self, layout: str, alone: str) -> None:
        self._views.set_layout(layout, alone)
        self._tell(layout=layout, alone=alone)

    async def _measure(self) -> None:
        case = self._case
        self._tell(busy=_busy("Starting", cancellable=True), error=None)
        case.measures = await self._runs.measure(case, self._on_message)
        self._tell(measured=measures_of(case.measures))

    async def _assess(self, model: str, stages: list[int]) -> None:
        case = self._case
        self._rows = []
        self._tell(busy=_busy("Starting", cancellable=True), error=None, rows=[], result=None)
        try:
            assessment = await self._runs.assess(case, model, stages, self._on_message)
        except CTQAError:
            if case.assessment is not None:  # what was there before is still true
                self._show_result(case.assessment)
            else:
                self._tell(rows=[])
            raise
        self._tell(busy=_busy("Drawing overlays"))
        await show_assessment(self._app.scene, case, assessment)
        self._show_result(assessment)

    def _on_message(self, message: dict[str, Any]) -> None:
        """From the worker: progress, rows and notes."""
        cancellable = bool(self._state.busy and self._state.busy["cancellable"])
        if message["t"] == "progress" and cancellable:
            fields = {name: message[name] for name in ("message", "done", "total", "eta_s")}
            self._show_progress(_busy(**fields, cancellable=True))
        elif message["t"] == "slice":
            one = message["slice"]
            reason = one["refusal"]["reason"] if one["refusal"] else None
            row = [one["index"], one["score"], one["sd"], one["grade"], one["novelty"], reason]
            # After a shortage of memory the worker begins again: a slice may come twice.
            self._rows = [*(other for other in self._rows if other[0] != row[0]), row]
        elif message["t"] == "note":
            self._tell(notes=[*self._state.notes, message["text"]])

    def _show_progress(self, busy: dict[str, Any]) -> None:
        if self._state.busy is None:
            return
        now = time.monotonic()
        if now - self._flushed >= _FLUSH_SECONDS or busy["done"] == busy["total"]:
            self._flushed = now
            self._tell(busy=busy, **({"rows": list(self._rows)} if self._state.busy["cancellable"] else {}))

    def _show_result(self, assessment: VolumeAssessment) -> None:
        titles = self._case.name_overlays()
        names = [name for name, _ in titles]
        overlay = self._state.overlay if self._state.overlay in names else ""
        self._tell(
            rows=[row_of(one) for one in assessment.slices],
            result=result_of(assessment),
            overlays=titles,
            overlay=overlay,
            notes=[],
        )
        self._lay_over()

    def _lay_over(self) -> None:
        node = self._case.overlays.get(self._state.overlay) if self._case is not None else None
        self._views.overlay(node, self._state.opacity)
        display = node.GetDisplayNode() if node is not None else None
        upper = display.GetWindowLevelMax() if display is not None else 0.0
        shown = (display.GetLowerThreshold(), display.GetUpperThreshold()) if display is not None else (0.0, 0.0)
        name, title = self._state.overlay, node.GetName() if node is not None else ""
        self._tell(legend=legend_of(name, upper, title), threshold=threshold_of(name, upper, *shown, title))

    def _on_view_change(self) -> None:
        width, level = (round(value) for value in self._views.window())
        self._tell(here=self._views.index(), levels=[width, level], span=round(self._views.difference_half_width()))

    def _show_error(self, error: CTQAError) -> None:
        self._tell(error={"problem": error.problem, "advice": error.advice})

    def _tell(self, **changes: Any) -> None:
        with self._state:
            self._state.update(changes)


def _silence_vtk() -> None:
    """Its messages quote paths, and speak of displays that nobody needs; what fails is noticed by its result."""
    window = vtkOutputWindow()
    window.SetDisplayModeToNever()
    vtkOutputWindow.SetInstance(window)
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)


def _unexpected(error: Exception) -> RunError:
    return RunError(f"An unexpected fault stopped this ({place(error)}).", "Try again; if it stays, report it.")


def _busy(
    message: str, done: int = 0, total: int = 0, eta_s: float | None = None, cancellable: bool = False
) -> dict[str, Any]:
    return {"message": message, "done": done, "total": total, "eta_s": eta_s, "cancellable": cancellable}
