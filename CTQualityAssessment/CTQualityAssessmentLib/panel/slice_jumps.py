"""From a result to its slice in the views: the worst, the next worst, any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.slice_positions import jump_to_slice, slice_in_view, view_along
from CTQualityAssessmentLib.results import VolumeAssessment

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class SliceJumps:
    """Moves the view along the slices of the chosen volume, and knows which slice it shows."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    @property
    def _assessment(self) -> VolumeAssessment | None:
        return self._panel.results.assessment

    @property
    def _node(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        return self._panel.results.input

    def ranking(self) -> list[int]:
        """Indices of the scored slices, the worst first."""
        scored = [one for one in self._assessment.slices if one.score is not None] if self._assessment else []
        return [one.index for one in sorted(scored, key=lambda one: (one.score, one.index))]

    def jump_to_rank(self, rank: int) -> None:
        """Show the slice of that place in :meth:`ranking`; places outside it are the ends."""
        ranking = self.ranking()
        if ranking:
            self.jump(ranking[min(max(rank, 0), len(ranking) - 1)])

    def step_rank(self, step: int) -> None:
        """Show the slice that is next (1) or previous (-1) in badness to the one in view."""
        ranking, current = self.ranking(), self.current_slice()
        self.jump_to_rank(ranking.index(current) + step if current in ranking else 0)

    def jump(self, index: int) -> None:
        """Show slice ``index`` in the view along the slices, and its row in the table."""
        view = self.view()
        if view is None or self._assessment is None:
            return
        with self._panel.shown_errors():
            for one in self._beside(view):
                jump_to_slice(one, self._node, self._assessment.geometry.acquisition_axis, index)
        self._panel.results.select_row(index)

    def jump_to_place(self, centre: tuple[float, float, float]) -> None:
        """Show a place, in world millimetres, in all views on the screen."""
        manager = slicer.app.layoutManager()
        names = (self._panel.compare.view_names() or manager.sliceViewNames()) if manager is not None else ()
        for name in names:
            manager.sliceWidget(name).mrmlSliceNode().JumpSliceByOffsetting(*centre)

    def current_slice(self) -> int | None:
        """Index of the slice in the view along the slices; None where none of the volume is shown."""
        view = self.view()
        if view is None or self._assessment is None:
            return None
        try:
            return slice_in_view(view, self._node, self._assessment.geometry.acquisition_axis)
        except CTQAError:
            return None

    def view(self) -> slicer.vtkMRMLSliceNode | None:
        """The view along the slices; None without a result or a window."""
        manager = slicer.app.layoutManager()
        if manager is None or self._node is None or self._assessment is None:
            return None
        # While volumes are compared the usual views are still there, but not on the screen.
        names = self._panel.compare.view_names()[:1] or manager.sliceViewNames()
        widgets = [manager.sliceWidget(name) for name in names]
        showing = [w for w in widgets if w.mrmlSliceCompositeNode().GetBackgroundVolumeID() == self._node.GetID()]
        views = [w.mrmlSliceNode() for w in showing or widgets]
        try:
            return view_along(views, self._node, self._assessment.geometry.acquisition_axis)
        except CTQAError:
            return None

    def _beside(self, view: slicer.vtkMRMLSliceNode) -> list[slicer.vtkMRMLSliceNode]:
        """The views that have to move together: linked views do not follow a move that a program makes."""
        names = self._panel.compare.view_names()
        manager = slicer.app.layoutManager()
        return [manager.sliceWidget(name).mrmlSliceNode() for name in names] or [view]
