"""Tables and plots: the numbers a user reads, sorts, copies and clicks."""

from __future__ import annotations

import math

import pytest
from CTQualityAssessmentLib.mrml.live_scores import LiveScores
from CTQualityAssessmentLib.mrml.plots import add_chart, add_score_series, add_threshold_series
from CTQualityAssessmentLib.mrml.tables import add_slice_table, add_summary_table, add_threshold_table

from Testing.assessment_factory import make_assessment, make_volume


@pytest.fixture
def assessment():
    return make_assessment(make_volume((5, 8, 8)), [None, 0.4, 1.2345, None, 3.9])


def column(node, name):
    array = node.GetTable().GetColumnByName(name)
    return [array.GetValue(row) for row in range(array.GetNumberOfValues())]


def test_one_row_per_slice_with_gaps_where_there_is_no_score(scene, assessment):
    table = add_slice_table(scene, assessment)
    assert column(table, "slice") == [0, 1, 2, 3, 4]
    scores = column(table, "score")
    assert [scores[1], scores[2], scores[4]] == [0.4, 1.23, 3.9]
    assert math.isnan(scores[0])
    assert math.isnan(scores[3])
    assert column(table, "grade") == ["", "Bad", "Poor", "", "Excellent"]
    assert column(table, "position") == [0.0, 4.0, 8.0, 12.0, 16.0]
    assert column(table, "body") == [1.0, 40.0, 40.0, 1.0, 40.0]


def test_refusals_are_explained_without_the_quotes_that_damage_saved_tables(scene, assessment):
    reasons = column(add_slice_table(scene, assessment), "refusal")
    assert reasons == ["No patient in view ('air' only).", "", "", "No patient in view ('air' only).", ""]


def test_headers_are_titles_with_units_and_take_up_no_row(scene, assessment):
    table = add_slice_table(scene, assessment)
    assert table.GetUseColumnTitleAsColumnHeader()
    assert table.GetColumnTitle("score") == "Score (0-4)"
    assert table.GetColumnUnitLabel("position") == "mm"
    assert table.GetLocked()
    assert table.GetNumberOfRows() == 5


def test_the_summary_says_what_the_volume_is_worth_and_what_the_labels_were(scene, assessment):
    table = add_summary_table(scene, assessment)
    rows = dict(zip(column(table, "measure"), column(table, "value"), strict=True))
    assert rows["Slices"] == "3 of 5 scored"
    assert rows["Mean score"] == "1.84"
    assert rows["Under 2 (Fair)"] == "67 % of scored slices"
    assert rows["Worst slices"] == "1, 2, 4"
    assert rows["Please note"] == assessment.model.statement.replace('"', "'")
    assert rows["Warning"] == "The slice thickness is not known."


def test_a_volume_without_any_score_still_has_a_summary(scene):
    table = add_summary_table(scene, make_assessment(make_volume((2, 8, 8)), [None, None]))
    rows = dict(zip(column(table, "measure"), column(table, "value"), strict=True))
    assert rows["Slices"] == "0 of 2 scored"
    assert rows["Mean score"] == rows["Range"] == rows["Under 2 (Fair)"] == rows["Grade"] == ""


def test_the_chart_plots_score_against_slice_over_the_whole_scale(scene, assessment):
    slices, ends = add_slice_table(scene, assessment), add_threshold_table(scene, assessment)
    score, fair = add_score_series(scene, slices), add_threshold_series(scene, ends)
    chart = add_chart(scene, score, fair)
    assert [chart.GetNthPlotSeriesNodeID(n) for n in range(2)] == [score.GetID(), fair.GetID()]
    assert list(chart.GetYAxisRange()) == [0.0, 4.0]
    assert not chart.GetYAxisRangeAuto()
    for series, table in ((score, slices), (fair, ends)):
        assert series.GetTableNode() is table
        assert series.GetPlotType() == series.PlotTypeScatter
        assert table.GetColumnIndex(series.GetXColumnName()) >= 0
        assert table.GetColumnIndex(series.GetYColumnName()) >= 0
    assert column(ends, "slice") == [0, 4]
    assert column(ends, "score") == [2.0, 2.0]
    assert fair.GetLineStyle() == fair.LineStyleDash


def test_rows_of_a_running_assessment_lie_in_the_order_of_the_volume(scene, assessment):
    """A preview scores slices far apart first; a curve through the order of arrival would run to and fro."""
    live = LiveScores(scene)
    for index in (4, 0, 2, 3, 1):
        live.append(assessment.slices[index])
    live.show()
    assert column(live.table, "slice") == [0, 1, 2, 3, 4]
    assert column(live.table, "score")[1:3] == [0.4, 1.23] and column(live.table, "score")[4] == 3.9
    assert column(live.table, "grade")[1] == "Bad" and "No patient" in column(live.table, "grade")[0]
    live.remove()
