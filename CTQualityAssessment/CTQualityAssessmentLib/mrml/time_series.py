"""Scores of the time points of a sequence: table, chart and exact values in the scene."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import slicer
import vtk

from CTQualityAssessmentLib.mrml.plots import add_chart
from CTQualityAssessmentLib.mrml.removal import all_or_nothing, remove_nodes
from CTQualityAssessmentLib.mrml.scene import batch, nodes_of_class
from CTQualityAssessmentLib.mrml.subject_hierarchy import place_beside
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.translation import said, texts_of

_ = texts_of(__file__)

_VOLUME, _TABLE, _SERIES, _CHART = "CTQA.volume", "CTQA.table", "CTQA.series", "CTQA.chart"
_IS_SERIES = "CTQA.timeSeries"


@dataclass(frozen=True)
class Sequence:
    """A volume that is the proxy of a sequence: what shows one time point after the other.

    Attributes:
        browser: which decides the time point in view.
        sequence: of the time points; its data nodes lie in a scene of their own.
    """

    browser: slicer.vtkMRMLSequenceBrowserNode
    sequence: slicer.vtkMRMLSequenceNode

    @property
    def count(self) -> int:
        """Number of time points."""
        return int(self.sequence.GetNumberOfDataNodes())

    @property
    def current(self) -> int:
        """The time point in view, from 0."""
        return int(self.browser.GetSelectedItemNumber())

    def volume(self, item: int) -> slicer.vtkMRMLScalarVolumeNode:
        """The volume of a time point; reading it does not move the browser."""
        return self.sequence.GetNthDataNode(item)

    def time(self, item: int) -> float:
        """Its index value where that is a number, else its place."""
        try:
            return float(self.sequence.GetNthIndexValue(item))
        except ValueError:
            return float(item)


@dataclass(frozen=True)
class TimeSeriesNodes:
    """The nodes of scores over time; one that a user deleted is None."""

    result: slicer.vtkMRMLTextNode
    table: slicer.vtkMRMLTableNode | None
    series: tuple[slicer.vtkMRMLPlotSeriesNode, ...]
    chart: slicer.vtkMRMLPlotChartNode | None

    def made(self) -> list[slicer.vtkMRMLNode]:
        """All that are there, what refers before what it refers to."""
        return [node for node in (self.chart, *self.series, self.table, self.result) if node is not None]


def sequence_of(scene: slicer.vtkMRMLScene, node: slicer.vtkMRMLNode | None) -> Sequence | None:
    """The sequence whose proxy this node is; None for a volume that is no proxy, or of a sequence of one."""
    if node is None:
        return None
    for browser in nodes_of_class(scene, "vtkMRMLSequenceBrowserNode"):
        sequence = browser.GetSequenceNode(node)
        if sequence is not None and sequence.GetNumberOfDataNodes() > 1:
            return Sequence(browser, sequence)
    return None


def add_time_series(
    scene: slicer.vtkMRMLScene,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    sequence: Sequence,
    found: Mapping[int, VolumeAssessment],
) -> TimeSeriesNodes:
    """Keep the scores of time points (by item number from 0) with the sequence's proxy; earlier ones are replaced."""
    items = sorted(found)
    unit = sequence.sequence.GetIndexUnit()
    name = sequence.sequence.GetIndexName() or _("time")
    with all_or_nothing(scene):
        with batch(scene):
            remove_time_series(scene, volume_node)
            table = scene.AddNewNodeByClass("vtkMRMLTableNode", _("Quality over time"))
            table.SetUseColumnTitleAsColumnHeader(True)
            summaries = [found[item].summary for item in items]
            columns: list[tuple[str, str, vtk.vtkAbstractArray, list[Any]]] = [
                ("item", _("Time point"), vtk.vtkIntArray(), items),
                ("time", f"{name} ({unit})" if unit else name, vtk.vtkDoubleArray(), [sequence.time(i) for i in items]),
                ("score", _("Mean score (0-4)"), vtk.vtkDoubleArray(), [_rounded(s.mean) for s in summaries]),
                ("worst", _("Worst slice"), vtk.vtkDoubleArray(), [_rounded(s.minimum) for s in summaries]),
                ("scored", _("Slices scored"), vtk.vtkIntArray(), [s.scored for s in summaries]),
                ("grade", _("Grade"), vtk.vtkStringArray(), [said(s.grade or "") for s in summaries]),
            ]
            for column, title, array, values in columns:
                array.SetName(column)
                for value in values:
                    array.InsertNextValue(value)
                table.AddColumn(array)
                table.SetColumnTitle(column, title)
            table.SetLocked(True)
            series = [
                _add_series(scene, table, _("Mean score"), "score", (0.12, 0.47, 0.71)),
                _add_series(scene, table, _("Worst slice"), "worst", (0.84, 0.37, 0.0)),
            ]
            chart = add_chart(scene, *(series if len(items) > 1 else []))  # one row alone is no line to paint
            chart.SetName(_("Quality over time"))
            chart.SetTitle(_("Image quality over time"))
            chart.SetXAxisTitle(columns[1][1])
            result = scene.AddNewNodeByClass("vtkMRMLTextNode", _("Quality over time, result"))
            result.SetAttribute(_IS_SERIES, found[items[0]].schema_version)
            result.SetText(json.dumps({str(item): found[item].to_dict() for item in items}, allow_nan=False))
            result.SetNodeReferenceID(_VOLUME, volume_node.GetID())
            result.SetNodeReferenceID(_TABLE, table.GetID())
            result.SetNodeReferenceID(_CHART, chart.GetID())
            for n, one in enumerate(series):
                result.SetNthNodeReferenceID(_SERIES, n, one.GetID())
        nodes = TimeSeriesNodes(result, table, tuple(series), chart)
        place_beside(scene, volume_node, nodes.made())
    return nodes


def find_time_series(
    scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None
) -> TimeSeriesNodes | None:
    """The scores over time of a sequence's proxy, also in a scene that was loaded; None where there are none."""
    for result in nodes_of_class(scene, "vtkMRMLTextNode"):
        if result.GetAttribute(_IS_SERIES) and result.GetNodeReference(_VOLUME) is volume_node:
            series = [result.GetNthNodeReference(_SERIES, n) for n in range(result.GetNumberOfNodeReferences(_SERIES))]
            return TimeSeriesNodes(
                result,
                result.GetNodeReference(_TABLE),
                tuple(one for one in series if one is not None),
                result.GetNodeReference(_CHART),
            )
    return None


def time_series_from_scene(
    scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> dict[int, VolumeAssessment]:
    """The exact assessments by time point, without attention maps; empty where there are none.

    Raises:
        ValueError: they were written by a version with another schema.
    """
    nodes = find_time_series(scene, volume_node)
    stored = json.loads(nodes.result.GetText()) if nodes is not None else {}
    return {int(item): VolumeAssessment.from_dict(one) for item, one in stored.items()}


def remove_time_series(scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Take the scores over time away; harmless where there are none."""
    nodes = find_time_series(scene, volume_node)
    if nodes is not None:
        remove_nodes(scene, nodes.made())


def _rounded(value: float | None) -> float:
    return float("nan") if value is None else round(value, 2)


def _add_series(
    scene: slicer.vtkMRMLScene,
    table: slicer.vtkMRMLTableNode,
    name: str,
    column: str,
    colour: tuple[float, float, float],
) -> slicer.vtkMRMLPlotSeriesNode:
    series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetPlotType(series.PlotTypeScatter)  # the one type that takes numbers on the x axis
    series.SetXColumnName("time")
    series.SetYColumnName(column)
    series.SetMarkerStyle(series.MarkerStyleCircle)
    series.SetLineStyle(series.LineStyleSolid)
    series.SetLineWidth(2)
    series.SetColor(*colour)
    return series
