"""Table and curve of the section Results, and what was clicked in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt
import slicer
import vtk

from CTQualityAssessmentLib.mrml.scene import nodes_of_class

if TYPE_CHECKING:
    from types import SimpleNamespace

_PLOT_VIEW = "CTQAPanel"
_MEASURED_ROWS = 20


class ResultViews:
    """Shows a table node and a chart node.

    Args:
        ui: the panel's widgets.
        on_row: called with the row of the table that was clicked.
        on_point: called with ID of a series and the row of its table whose point was clicked.

    Attributes:
        table: the table node that is shown.
    """

    def __init__(
        self, ui: SimpleNamespace, on_row: Callable[[int], None], on_point: Callable[[str, int], None]
    ) -> None:
        self._ui, self._on_row, self._on_point = ui, on_row, on_point
        self.table: slicer.vtkMRMLTableNode | None = None
        self._plot_view_node: slicer.vtkMRMLPlotViewNode | None = None
        ui.tableView.setMRMLScene(slicer.mrmlScene)
        ui.tableView.clicked.connect(self._on_row_chosen)
        ui.tableView.activated.connect(self._on_row_chosen)  # the Enter key
        ui.plotWidget.setMRMLScene(slicer.mrmlScene)
        ui.plotWidget.plotView().connect("dataSelected(vtkStringArray*,vtkCollection*)", self._on_points_picked)

    def show_table(self, table: slicer.vtkMRMLTableNode | None) -> None:
        """Show a table, or none: a view that kept one would show what is no longer there."""
        self.table = table
        self._ui.tableView.setMRMLTableNode(table)
        # A few rows tell how wide a column is; all of a large volume would hold the window.
        self._ui.tableView.horizontalHeader().setResizeContentsPrecision(_MEASURED_ROWS)
        if table is not None:  # in an event of its own: a result that appears holds the window long enough
            qt.QTimer.singleShot(0, self._fit_columns)

    def _fit_columns(self) -> None:
        if self.table is not None:
            self._ui.tableView.resizeColumnsToContents()

    def show_chart(self, chart: slicer.vtkMRMLPlotChartNode | None) -> None:
        """Show a chart, or an empty view."""
        self._plot_view().SetPlotChartNodeID(chart.GetID() if chart is not None else None)

    def select_row(self, row: int) -> None:
        """Mark a row and bring it into view."""
        view = self._ui.tableView
        view.selectRow(row)
        view.scrollTo(view.model().index(row, 0))

    def scroll_to_end(self) -> None:
        """Bring the last row into view."""
        self._ui.tableView.scrollToBottom()

    def _plot_view(self) -> slicer.vtkMRMLPlotViewNode:
        """The panel's own plot view; a singleton, so that the widget keeps it when a scene is closed or loaded."""
        for node in nodes_of_class(slicer.mrmlScene, "vtkMRMLPlotViewNode"):
            if node.GetSingletonTag() == _PLOT_VIEW:
                break
        else:
            node = slicer.vtkMRMLPlotViewNode()
            node.SetSingletonTag(_PLOT_VIEW)
            node.SetLayoutName(_PLOT_VIEW)
            node = slicer.mrmlScene.AddNode(node)
        node.SetInteractionMode(node.InteractionModeSelectPoints)
        if self._plot_view_node is not node:
            self._plot_view_node = node
            self._ui.plotWidget.setMRMLPlotViewNode(node)
        return node

    def _on_row_chosen(self, cell: qt.QModelIndex) -> None:
        row = self._ui.tableView.sortFilterProxyModel().mapToSource(cell).row()
        if self.table is not None and 0 <= row < self.table.GetNumberOfRows():
            self._on_row(row)

    def _on_points_picked(self, series: vtk.vtkStringArray, rows: vtk.vtkCollection) -> None:
        # One click comes twice, the first time empty.
        for n in range(series.GetNumberOfValues()):
            picked = rows.GetItemAsObject(n)
            if picked.GetNumberOfValues():
                self._on_point(series.GetValue(n), int(picked.GetValue(0)))
                return
