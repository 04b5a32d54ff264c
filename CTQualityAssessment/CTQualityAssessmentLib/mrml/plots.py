"""Score along the patient as a plot chart."""

from __future__ import annotations

import slicer

from CTQualityAssessmentLib.results import MAX_SCORE
from CTQualityAssessmentLib.translation import texts_of

_ = texts_of(__file__)


def add_score_series(scene: slicer.vtkMRMLScene, table: slicer.vtkMRMLTableNode) -> slicer.vtkMRMLPlotSeriesNode:
    """Score against slice from the slice table; refused slices, NaN there, are gaps in the line."""
    series = _add_series(scene, _("Score"), table, (0.12, 0.47, 0.71))
    series.SetMarkerStyle(series.MarkerStyleCircle)
    series.SetMarkerSize(5)
    series.SetLineStyle(series.LineStyleSolid)
    return series


def add_threshold_series(scene: slicer.vtkMRMLScene, table: slicer.vtkMRMLTableNode) -> slicer.vtkMRMLPlotSeriesNode:
    """The dashed line under which images allow less than the grade Fair."""
    series = _add_series(scene, _("Fair"), table, (0.5, 0.5, 0.5))
    series.SetMarkerStyle(series.MarkerStyleNone)
    series.SetLineStyle(series.LineStyleDash)
    return series


def add_chart(scene: slicer.vtkMRMLScene, *series: slicer.vtkMRMLPlotSeriesNode) -> slicer.vtkMRMLPlotChartNode:
    """A chart of the series with the whole score range 0 to 4 on its axis, so that charts can be compared."""
    chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode", _("Quality along the patient"))
    chart.SetTitle(_("Image quality along the patient"))
    chart.SetXAxisTitle(_("Slice"))
    chart.SetYAxisTitle(_("Score (0-4)"))
    chart.SetYAxisRangeAuto(False)
    chart.SetYAxisRange(0.0, MAX_SCORE)
    for one in series:
        chart.AddAndObservePlotSeriesNodeID(one.GetID())
    return chart


def _add_series(
    scene: slicer.vtkMRMLScene, name: str, table: slicer.vtkMRMLTableNode, colour: tuple[float, float, float]
) -> slicer.vtkMRMLPlotSeriesNode:
    series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetPlotType(series.PlotTypeScatter)  # the one type that takes numbers on the x axis
    series.SetXColumnName("slice")
    series.SetYColumnName("score")
    series.SetLineWidth(2)
    series.SetColor(*colour)
    return series
