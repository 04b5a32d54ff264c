"""The dashed line of the chart, at the score that a user chooses."""

from __future__ import annotations

import slicer

from CTQualityAssessmentLib.results import FAIR_SCORE
from CTQualityAssessmentLib.translation import texts_of

_ = texts_of(__file__)


def move_threshold(table: slicer.vtkMRMLTableNode, series: slicer.vtkMRMLPlotSeriesNode, score: float) -> None:
    """Put the line of :func:`~CTQualityAssessmentLib.mrml.plots.add_threshold_series` at ``score``, 0 to 4."""
    column = table.GetTable().GetColumnByName("score")
    if all(column.GetValue(row) == score for row in range(table.GetNumberOfRows())):
        return
    for row in range(table.GetNumberOfRows()):
        column.SetValue(row, score)
    series.SetName(_("Fair") if score == FAIR_SCORE else _("Score {score:.1f}").format(score=score))
    table.GetTable().Modified()
