"""The viewer itself: what the page may ask for, and what it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from trame.ui.html import DivLayout
from trame_rca import module as rca_module
from trame_server import Server
from trame_slicer.core import SlicerApp
from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, installed_bundles, read_bundle
from CTQualityAssessmentLib.models.errors import UnknownBundle
from CTQualityAssessmentLib.mrml.scene import attach_file_handling
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.viewer.case import Case, close_case, open_case, show_assessment
from CTQualityAssessmentLib.viewer.frames import SliceViewFactory
from CTQualityAssessmentLib.viewer.run import RunError, Runs
from CTQualityAssessmentLib.viewer.shown import case_of, legend_of, model_of, palette, result_of, row_of
from CTQualityAssessmentLib.viewer.views import PLACES, PRESETS, SliceViews
from CTQualityAssessmentLib.worker.faults import place

_STATIC = Path(__file__).with_name("static")
#: How often the page hears of new rows and progress.
_FLUSH_SECONDS = 0.25
_PAGE = "<ctqa-page {bindings} @ask='(name, args) => trigger(name, args)'>{views}</ctqa-page>"
_LOST = "<ctqa-lost></ctqa-lost>"


class BusyError(CTQAError):
    """Something else is going on."""

    def __init__(self) -> None:
        super().__init__("The viewer is busy with another task.", "Wait for its end, or cancel it.")


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
        self._runs = Runs(folder, device)
        self._task: asyncio.Task | None = None
        self._model = model
        self._rows: list[list[Any]] = []
        self._flushed = 0.0
        self._describe_state()
        server.enable_module(rca_module)
        server.enable_module(
            {
                "serve": {"ctqa": str(_STATIC)},
                "scripts": ["ctqa/curve.js", "ctqa/slice_table.js", "ctqa/page.js"],
                "styles": ["ctqa/page.css"],
                "vue_use": ["ctqa"],
            }
        )
        self._views = SliceViews(self._app, SliceViewFactory(server), self._on_view_change)
        self._make_page()
        for name in ("assess", "cancel", "jump", "window", "overlay", "opacity", "reset", "crosshair", "dismiss"):
            server.trigger(name)(getattr(self, f"_ask_{name}"))

    async def open(self, path: Path, series: str | None = None) -> None:
        """Open a CT, or a scene, in place of what is open. What cannot be read leaves the page as it was.

        Raises:
            CTQAError: why it cannot be read; the page shows it too.
        """
        await self._alone(self._open(path, series, scenes=True), "Reading")

    async def receive(self, path: Path) -> None:
        """Open what was uploaded: a CT only, because a scene may name other files of this computer.

        Raises:
            CTQAError: as for :meth:`open`.
        """
        await self._alone(self._open(path, None, scenes=False), "Reading")

    async def close(self) -> None:
        """Stop what is going on, and the worker."""
        if self._task is not None:
            self._task.cancel()
        await self._runs.worker.close()

    async def exported(self) -> Path | None:
        """The folder of files to download; None where there is no result."""
        if self._case is None or self._case.assessment is None:
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
            self._task = asyncio.get_running_loop().create_task(self._reported(self._assess(model, stages)))

    async def _ask_cancel(self) -> None:
        if self._state.busy and self._state.busy["cancellable"]:
            self._tell(busy={**self._state.busy, "message": "Cancelling", "cancellable": False})
            await self._runs.cancel()

    def _ask_jump(self, index: object = 0) -> None:
        if isinstance(index, (int, float)) and abs(index) < 1e6:
            self._views.jump(int(index))

    def _ask_window(self, name: object = "") -> None:
        self._views.set_window(str(name))

    def _ask_overlay(self, name: object = "") -> None:
        self._state.overlay = name if self._case and name in self._case.overlays else ""
        self._lay_over()

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

    async def _open(self, path: Path, series: str | None, scenes: bool) -> None:
        loop = asyncio.get_running_loop()

        def progress(done: int, total: int, message: str) -> None:
            loop.call_soon_threadsafe(self._show_progress, _busy(message, done, total))

        case = await open_case(self._app.scene, path, series, scenes, progress)
        before, self._case = self._case, case
        panes = self._views.show(case.volume, case.node)
        if before is not None:
            close_case(self._app.scene, before)
        self._tell(
            opened=case_of(case.volume),
            panes=[vars(pane) for pane in panes],
            rows=[],
            result=None,
            overlays=[],
            overlay="",
            legend=None,
        )
        if case.assessment is not None:
            self._show_result(case.assessment)
        self._on_view_change()

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
        upper = node.GetDisplayNode().GetWindowLevelMax() if node is not None else 0.0
        self._tell(legend=legend_of(self._state.overlay, upper))

    def _on_view_change(self) -> None:
        width, level = (round(value) for value in self._views.window())
        self._tell(here=self._views.index(), levels=[width, level])

    def _show_error(self, error: CTQAError) -> None:
        self._tell(error={"problem": error.problem, "advice": error.advice})

    def _tell(self, **changes: Any) -> None:
        with self._state:
            self._state.update(changes)

    # The page.

    def _describe_state(self) -> None:
        models, error = [], None
        for name, bundle in installed_bundles().items():
            try:
                models.append(model_of(name, read_bundle(bundle)))
            except CTQAError as problem:  # the others can still be used
                error = {"problem": problem.problem, "advice": problem.advice}
        named = {one["name"] for one in models}
        if self._model is not None and self._model not in named:
            if not Path(self._model).is_dir():
                raise UnknownBundle("There is no model of that name.", "See 'ctqa models' for the list.")
            models.append(model_of(self._model, read_bundle(Path(self._model))))
            named.add(self._model)
        self._state.update(
            {
                "trame__title": "CT quality",
                "trame__favicon": None,
                "opened": None,
                "panes": [{"place": place, "orientation": "", "sides": "    "} for place in PLACES],
                "busy": None,
                "error": error,
                "notes": [],
                "rows": [],
                "result": None,
                "here": 0,
                "levels": [0, 0],
                "presets": [list(pair) for pair in PRESETS],
                "overlays": [],
                "overlay": "",
                "legend": None,
                "opacity": 0.4,
                "crosshair": True,
                "models": models,
                "model": self._model or (DEFAULT_BUNDLE if DEFAULT_BUNDLE in named else next(iter(sorted(named)), "")),
                "palette": palette("quality"),
            }
        )

    def _make_page(self) -> None:
        names = (
            "opened panes busy error notes rows result here levels presets overlays overlay opacity crosshair models "
            "model palette legend"
        ).split()
        bindings = " ".join(f':{name}="{name}"' for name in names)
        views = "".join(f'<template #{place}><trame-template template-name="{place}" /></template>' for place in PLACES)
        with DivLayout(self._server, classes="ctqa-root") as layout:
            layout.root.add_child(_PAGE.format(bindings=bindings, views=views))
        self._state.trame__template_error = _LOST


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
