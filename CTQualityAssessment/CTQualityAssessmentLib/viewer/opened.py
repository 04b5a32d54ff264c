"""What is open: a CT with its results, and a second volume beside it."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from CTQualityAssessmentLib.assessment.difference import volume_difference
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.difference import add_difference, remove_differences
from CTQualityAssessmentLib.mrml.finding_nodes import SIDE
from CTQualityAssessmentLib.mrml.overlays import shown_map
from CTQualityAssessmentLib.reading import SeriesInfo
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.viewer.board import Board, Tasks
from CTQualityAssessmentLib.viewer.case import Case, close_case, open_case
from CTQualityAssessmentLib.viewer.places import OWN
from CTQualityAssessmentLib.viewer.read_ahead import ReadAhead
from CTQualityAssessmentLib.viewer.shown import (
    case_of,
    comparison_of,
    denoised_of,
    legend_of,
    measures_of,
    result_of,
    row_of,
    series_of,
    threshold_of,
)
from CTQualityAssessmentLib.viewer.transfers import denoised_name
from CTQualityAssessmentLib.viewer.views import SliceViews

#: Window of a difference in HU to either side of zero: of two volumes, and of what denoising took away. Of the latter
#: the narrowest that holds three standard deviations: in a wider one anatomy that went with the noise is not seen.
_SPAN_HU, _DENOISED_SPANS_HU = 100.0, (10.0, 20.0, 50.0, 100.0)


@dataclass
class Source:
    """What the open case was read from.

    Attributes:
        path: of the files.
        scenes: whether a saved scene may be opened too.
        folder: an upload to remove when it is no longer needed.
        ahead: has begun to read it, the first time.
    """

    path: Path
    scenes: bool
    folder: Path | None = None
    ahead: ReadAhead | None = None


class NothingToCompareError(CTQAError):
    """A second volume without a first."""

    def __init__(self) -> None:
        super().__init__("There is nothing to compare with yet.", "Open the first CT, then the second.")


class Opened:
    """The volumes in the scene, and what the page shows of them.

    Args:
        scene: where they are.
        views: show them.
        board: tells of them.
        tasks: shows the progress of reading.

    Attributes:
        case: the volume that is assessed; None before one is open.
        second: the volume that it is compared with.
        source: what the case was read from.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, views: SliceViews, board: Board, tasks: Tasks) -> None:
        self._scene, self._views, self._board, self._tasks = scene, views, board, tasks
        self.case: Case | None = None
        self.second: Case | None = None
        self.source: Source | None = None

    async def open(self, source: Source, series: str | None) -> None:
        """Open something in place of what is open. What cannot be read leaves everything as it was.

        Args:
            source: where it is.
            series: number of the DICOM series; None for the default.

        Raises:
            CTQAError: it cannot be read.
        """
        found: list[SeriesInfo] = []
        ahead, source.ahead = source.ahead, None
        try:
            case = await open_case(
                self._scene, source.path, series, source.scenes, self._tasks.progress(), found.extend, ahead
            )
        finally:
            # Also where the series cannot be read: the page offers the others, if nothing else is open.
            if len(found) > 1 and self.case is None:
                self._set_source(source, series_of(found, series))
        self._set_source(source, series_of(found, series))
        self.end_comparison()
        before, self.case = self.case, case
        self.show_case()
        if before is not None:
            close_case(self._scene, before)

    async def open_second(self, path: Path, scenes: bool) -> None:
        """Open a volume to compare with.

        Raises:
            NothingToCompareError: there is no first one.
            CTQAError: it cannot be read or compared.
        """
        if self.case is None:
            raise NothingToCompareError
        second = await open_case(self._scene, path, None, scenes, self._tasks.progress())
        try:
            await self.compare(second)
        except CTQAError:
            close_case(self._scene, second)
            raise

    async def compare(self, second: Case) -> None:
        """Show a volume beside the first one, with the difference."""
        first, progress = self.case, self._tasks.progress()
        difference = await asyncio.to_thread(volume_difference, first.volume, second.volume, progress=progress)
        self.end_comparison()
        self.second = second
        span = _denoised_span(difference.sd_hu) if self.compares_denoised else _SPAN_HU
        shown = add_difference(self._scene, first.node, second.node, difference, span)
        self._views.compare(second.node, shown)
        told = comparison_of(first.volume, second.volume, difference)
        self._board.tell(compared={**told, "denoised": self.compares_denoised})
        self.show_layout("compare", "large")
        self.tell_place()

    @property
    def compares_denoised(self) -> bool:
        """Whether the second volume is the first one with less noise."""
        denoised = self.case.denoised if self.case is not None else None
        return denoised is not None and self.second is not None and self.second.node is denoised.node

    async def compare_denoised(self) -> None:
        """Show the denoised volume beside its original; anew where its voxels have changed."""
        denoised = self.case.denoised
        self.flip(False)
        await self.compare(Case(denoised.volume, denoised.node))

    def show_denoised(self) -> None:
        """Show what is known of the denoised volume of the open case."""
        denoised = self.case.denoised
        self._views.set_alternative(denoised.node if denoised is not None else None)
        told = None
        if denoised is not None:
            told = {**denoised_of(denoised.report), "model": denoised.model, "file": denoised_name(denoised.volume)}
        self._board.tell(denoised=told)
        self.flip(self._board["flipped"])

    def flip(self, flipped: bool) -> None:
        """Show the denoised volume in place of the original, or the original."""
        flipped = flipped and self.case.denoised is not None
        self._views.show_alternative(flipped)
        self._board.tell(flipped=flipped)
        self.lay_over()
        self._show_boxes()

    async def swap(self) -> None:
        """The second volume becomes the one to assess; each keeps its results."""
        first, self.case, self.second = self.case, self.second, None
        for box in first.denoised.boxes if first.denoised is not None else ():
            box.SetDisplayVisibility(False)
        self._views.compare(None, None)
        remove_differences(self._scene, first.node)
        self._board.tell(series={"items": [], "chosen": 0})  # those of the other volume
        self.show_case()
        try:
            await self.compare(first)
        except CTQAError:
            self.show_layout("three", "large")
            self._board.tell(compared=None)
            close_case(self._scene, first)
            raise

    def end_comparison(self) -> None:
        """Take the second volume away; what was denoised stays with its original."""
        denoised, second, self.second = self.compares_denoised, self.second, None
        if second is None:
            return
        self._views.compare(None, None)
        remove_differences(self._scene, self.case.node)
        if not denoised:
            close_case(self._scene, second)
        self._board.tell(compared=None)
        self.show_layout("three", "large")

    def show_case(self) -> None:
        """Show the open case in all views, with its results if it has some."""
        case = self.case
        panes = self._views.show(case.volume, case.node)
        self._board.tell(
            opened=case_of(case.volume),
            panes=[vars(pane) for pane in panes],
            rows=[],
            result=None,
            measured=measures_of(case.measures) if case.measures is not None else None,
            overlays=[],
            overlay="",
            threshold=None,
            legend=None,
            flipped=False,
        )
        self.show_denoised()
        if case.assessment is not None:
            self.show_result(case.assessment)
        self.tell_place()

    def show_result(self, assessment: VolumeAssessment) -> None:
        """Show what was found of the open case."""
        titles = self.case.name_overlays()
        names = [name for name, _ in titles]
        overlay = self._board["overlay"] if self._board["overlay"] in names else ""
        self._board.tell(
            rows=[row_of(one) for one in assessment.slices],
            result=result_of(assessment),
            overlays=titles,
            overlay=overlay,
            notes=[],
        )
        self.lay_over()

    def lay_over(self) -> None:
        """Lay the chosen overlay over the CT."""
        name = self._board["overlay"]
        node = self.case.overlays.get(name) if self.case is not None else None
        self._views.overlay(node, self._board["opacity"])
        display = node.GetDisplayNode() if node is not None else None
        upper = display.GetWindowLevelMax() if display is not None else 0.0
        shown = (display.GetLowerThreshold(), display.GetUpperThreshold()) if display is not None else (0.0, 0.0)
        title = shown_map(node) if node is not None else ""
        self._board.tell(
            legend=legend_of(name, upper, title, self._board["flipped"]),
            threshold=threshold_of(name, upper, *shown, title),
        )

    def show_layout(self, layout: str, alone: str) -> None:
        """Show the views of a layout; of "one" the view ``alone``."""
        self._views.set_layout(layout, alone)
        self._board.tell(layout=layout, alone=alone)
        self._show_boxes()

    def _show_boxes(self) -> None:
        """Each box of the lesion detector over the image that it was found in, and over no other."""
        denoised = self.case.denoised if self.case is not None else None
        if denoised is None:
            return
        if self.compares_denoised and self._board["layout"] == "compare":
            places = {"before": ("large",), "after": ("second",)}
        else:
            places = {"after" if self._board["flipped"] else "before": OWN}
        for box in denoised.boxes:
            over = places.get(box.GetAttribute(SIDE), ())
            box.GetDisplayNode().SetViewNodeIDs(self._views.ids(over))
            box.SetDisplayVisibility(bool(over))

    def tell_place(self) -> None:
        """Tell which slice and which windows are in view."""
        width, level = (round(value) for value in self._views.window())
        self._board.tell(
            here=self._views.index(), levels=[width, level], span=round(self._views.difference_half_width())
        )

    def drop_upload(self, source: Source) -> None:
        """Remove an upload from which nothing else is read: that was not opened, or holds one series only."""
        if source is not self.source or len(self._board["series"]["items"]) < 2:
            shutil.rmtree(source.folder, ignore_errors=True)

    def _set_source(self, source: Source, series: dict[str, Any]) -> None:
        """Remember where the case came from; an upload that nothing else is read from any more is removed."""
        before, self.source = self.source, source
        if before is not None and before.folder is not None and before.folder != source.folder:
            shutil.rmtree(before.folder, ignore_errors=True)
        self._board.tell(series=series)


def _denoised_span(sd_hu: float | None) -> float:
    return next(
        (span for span in _DENOISED_SPANS_HU if sd_hu is not None and 3 * sd_hu <= span), _DENOISED_SPANS_HU[-1]
    )
