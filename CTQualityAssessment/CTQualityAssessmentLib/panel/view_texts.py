"""The score of the slice in view, written into the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
import vtk
from slicer.i18n import tr as _

from CTQualityAssessmentLib.translation import said

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class ViewTexts:
    """Writes at the upper edge of the view along the slices, and takes its text away again."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel
        self._labelled: set[str] = set()

    def show(self) -> None:
        """Write the score of the slice in view, and clear the other views."""
        manager = slicer.app.layoutManager()
        if manager is None:  # without a main window
            return
        jumps, results = self._panel.jumps, self._panel.results
        view, index = jumps.view(), jumps.current_slice()
        hidden = index is None or results.parameters is None or results.other_time_point() is not None
        text = "" if hidden else self._slice_text(index)
        for name in manager.sliceViewNames():
            own = view is not None and manager.sliceWidget(name).mrmlSliceNode() is view
            self._write(name, text if own else "")

    def clear(self) -> None:
        """Take our text out of all views."""
        for name in list(self._labelled):
            self._write(name, "")

    def _write(self, name: str, text: str) -> None:
        if not text and name not in self._labelled:
            return
        widget = slicer.app.layoutManager().sliceWidget(name)
        if widget is None:
            self._labelled.discard(name)
            return
        # The corners belong to the Data Probe, which writes them anew at each move; the edges are free.
        widget.sliceView().cornerAnnotation().SetText(vtk.vtkCornerAnnotation.UpperEdge, text)
        widget.sliceView().scheduleRender()
        self._labelled = self._labelled | {name} if text else self._labelled - {name}

    def _slice_text(self, index: int) -> str:
        one = self._panel.results.assessment.slices[index]
        if one.score is None:
            return _("Slice {index}: not scored").format(index=index)
        return _("Slice {index}: {score:.1f} of 4, {grade}").format(
            index=index, score=one.score, grade=said(one.grade or "")
        )
