"""The viewer itself: one scene, one page, and what may be done with them from outside."""

from __future__ import annotations

from pathlib import Path

from trame_server import Server
from trame_slicer.core import SlicerApp
from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.scene import attach_file_handling
from CTQualityAssessmentLib.viewer.assessing import Assessing
from CTQualityAssessmentLib.viewer.board import Board, Tasks
from CTQualityAssessmentLib.viewer.denoising import Denoising
from CTQualityAssessmentLib.viewer.frames import SliceViewFactory
from CTQualityAssessmentLib.viewer.opened import Opened, Source
from CTQualityAssessmentLib.viewer.read_ahead import ReadAhead
from CTQualityAssessmentLib.viewer.requests import TaskRequests, ViewRequests, answer
from CTQualityAssessmentLib.viewer.run import Runs
from CTQualityAssessmentLib.viewer.transfers import DENOISED_FILES, FILES
from CTQualityAssessmentLib.viewer.views import SliceViews


class Viewer:
    """One scene, one page; every browser tab shows the same.

    Args:
        server: trame's, with the page of :func:`~CTQualityAssessmentLib.viewer.page.open_page`, of which this fills the
            views; a running event loop is needed.
        folder: private folder that the caller removes at the end.
        device: for the worker.
    """

    def __init__(self, server: Server, folder: Path, device: str = "auto") -> None:
        self._app = SlicerApp()
        _silence_vtk()  # now, because SlicerApp turns it on
        scene = self._app.scene
        self._helpers = attach_file_handling(scene)
        self._runs = Runs(folder, device)
        self._board = Board(server.state)
        self._tasks = Tasks(self._board)
        views = SliceViews(self._app, SliceViewFactory(server), lambda: self._opened.tell_place())
        self._opened = Opened(scene, views, self._board, self._tasks)
        assessing = Assessing(scene, self._opened, self._runs, self._board, self._tasks)
        answer(
            server,
            ViewRequests(views, self._opened, self._board),
            Denoising(scene, self._opened, self._runs, assessing, self._board, self._tasks),
            TaskRequests(self._opened, assessing, self._runs, self._board, self._tasks),
        )
        self._board.tell(busy=None)

    async def open(
        self, path: Path, series: str | None = None, second: Path | None = None, ahead: ReadAhead | None = None
    ) -> None:
        """Open a CT, or a scene, in place of what is open. What cannot be read leaves the page as it was.

        Args:
            path: what to open.
            series: which DICOM series of it.
            second: what to compare it with.
            ahead: has begun to read it.

        Raises:
            CTQAError: why it cannot be read; the page shows it too.
        """
        await self._tasks.alone(self._opened.open(Source(path, scenes=True, ahead=ahead), series), "Reading")
        if second is not None:
            await self._tasks.alone(self._opened.open_second(second, scenes=True), "Reading the second volume")

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
        source = Source(path, scenes=False, folder=folder)
        try:
            if second:
                await self._tasks.alone(self._opened.open_second(path, scenes=False), "Reading the second volume")
            else:
                await self._tasks.alone(self._opened.open(source, None), "Reading")
        finally:
            self._opened.drop_upload(source)

    async def close(self) -> None:
        """Stop what is going on, and the worker."""
        self._tasks.stop()
        await self._runs.worker.close()

    async def exported(self, name: str) -> Path | None:
        """A file to download; None where there is nothing to put into it."""
        case = self._opened.case
        try:
            if case is not None and name in DENOISED_FILES and case.denoised is not None:
                return (await self._runs.export_denoised(case.denoised)) / name
            if case is not None and name in FILES and (case.assessment is not None or case.measures is not None):
                return (await self._runs.export(case)) / name
        except CTQAError as error:
            self._board.tell_error(error)
        return None


def _silence_vtk() -> None:
    """Its messages quote paths, and speak of displays that nobody needs; what fails is noticed by its result."""
    window = vtkOutputWindow()
    window.SetDisplayModeToNever()
    vtkOutputWindow.SetInstance(window)
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
