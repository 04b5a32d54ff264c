"""Scores as they come in: a table and a chart that fill while a run goes on, and go when it ends."""

from __future__ import annotations

from bisect import bisect_left

import slicer
import vtk

from CTQualityAssessmentLib.mrml.plots import add_chart, add_score_series
from CTQualityAssessmentLib.mrml.scene import batch
from CTQualityAssessmentLib.results import SliceAssessment
from CTQualityAssessmentLib.translation import said, texts_of

_ = texts_of(__file__)


class LiveScores:
    """One table row per slice that is done, in the order of the volume, in whatever order they arrive.

    The nodes are hidden from editors and never saved: half a result must not look like a whole one.
    """

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._indices: list[int] = []
        with batch(scene):
            self.table: slicer.vtkMRMLTableNode = scene.AddNewNodeByClass("vtkMRMLTableNode", _("Quality, running"))
            self.table.SetUseColumnTitleAsColumnHeader(True)
            self._index, self._score, self._grade = vtk.vtkIntArray(), vtk.vtkDoubleArray(), vtk.vtkStringArray()
            columns = (
                (self._index, "slice", _("Slice")),
                (self._score, "score", _("Score (0-4)")),
                (self._grade, "grade", _("Grade")),
            )
            for array, name, title in columns:
                array.SetName(name)
                self.table.AddColumn(array)
                self.table.SetColumnTitle(name, title)
            self.table.SetLocked(True)
            self._series = add_score_series(scene, self.table)
            self.chart: slicer.vtkMRMLPlotChartNode = add_chart(scene)
        for node in (self.table, self._series, self.chart):
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)

    def append(self, found: SliceAssessment) -> None:
        """Add a row; :meth:`show` makes views notice."""
        score = float("nan") if found.score is None else round(found.score, 2)
        reason = found.refusal.reason if found.refusal else ""
        grade = said(found.grade or reason).replace('"', "'")
        place = bisect_left(self._indices, found.index)
        self._indices.insert(place, found.index)
        for array, value in ((self._index, found.index), (self._score, score), (self._grade, grade)):
            array.InsertNextValue(value)
            for row in range(array.GetNumberOfValues() - 1, place, -1):  # moves up by one what comes behind it
                array.SetValue(row, array.GetValue(row - 1))
            array.SetValue(place, value)

    def show(self) -> None:
        """Make views notice the rows that were appended: once for many rows, because views repaint each time."""
        if self.table.GetNumberOfRows() > 1 and self.chart.GetNumberOfPlotSeriesNodes() == 0:
            self.chart.AddAndObservePlotSeriesNodeID(self._series.GetID())  # one row alone is no line to paint
        self.table.GetTable().Modified()

    def remove(self) -> None:
        """Take the nodes out of the scene, also after a scene was closed; harmless when repeated."""
        for node in (self.chart, self._series, self.table):
            scene = node.GetScene()
            if scene is not None:
                scene.RemoveNode(node)
