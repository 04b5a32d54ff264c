"""Section Results: verdict, table, curve, and the way from a row or a point to the slice."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.mrml.assessment_nodes import (
    AssessmentNodes,
    assessment_from_scene,
    find_assessments,
    remove_assessment,
)
from CTQualityAssessmentLib.mrml.denoised_nodes import find_denoised, remove_denoised
from CTQualityAssessmentLib.mrml.difference import find_differences, remove_differences
from CTQualityAssessmentLib.mrml.measure_nodes import remove_measures
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.slice_positions import jump_to_slice, slice_in_view, view_along
from CTQualityAssessmentLib.mrml.threshold_line import move_threshold
from CTQualityAssessmentLib.mrml.time_series import (
    TimeSeriesNodes,
    find_time_series,
    remove_time_series,
    sequence_of,
)
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.reporting.words import DISCLAIMER, headline, summary_line
from CTQualityAssessmentLib.results import VolumeAssessment

if TYPE_CHECKING:
    from CTQualityAssessmentLib.mrml.live_scores import LiveScores
    from CTQualityAssessmentLib.panel.panel import Panel

_PLOT_VIEW = "CTQAPanel"
#: Attribute of a result's parameters: which time point of a sequence was assessed.
TIME_POINT = "CTQA.timePoint"


class ResultsSection(Section):
    """Shows the newest assessment of the chosen volume.

    Attributes:
        assessment: its exact values, without attention maps; None where there is none.
        nodes: its nodes in the scene.
        time: scores over time, where the volume is the proxy of a sequence that was assessed.
        table: the table node that is shown, of a result or of a run that is going on.
    """

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self.assessment: VolumeAssessment | None = None
        self.nodes: AssessmentNodes | None = None
        self.time: TimeSeriesNodes | None = None
        self._seen: object = None
        self._labelled: set[str] = set()
        self._plot_view_node: slicer.vtkMRMLPlotViewNode | None = None
        self.table: slicer.vtkMRMLTableNode | None = None
        ui = self.ui
        ui.tableView.setMRMLScene(slicer.mrmlScene)
        ui.tableView.clicked.connect(self._on_row_chosen)
        ui.tableView.activated.connect(self._on_row_chosen)  # the Enter key
        ui.plotWidget.setMRMLScene(slicer.mrmlScene)
        ui.plotWidget.plotView().connect("dataSelected(vtkStringArray*,vtkCollection*)", self._on_points_picked)
        ui.worstButton.clicked.connect(lambda: self.jump_to_rank(0))
        ui.nextWorstButton.clicked.connect(lambda: self.step_rank(1))
        ui.previousWorstButton.clicked.connect(lambda: self.step_rank(-1))
        ui.removeResultsButton.clicked.connect(self.panel.guarded(self.remove))

    def refresh(self) -> None:
        """Find the newest assessment of the chosen volume, and show it if it is another one than before."""
        found = find_assessments(slicer.mrmlScene, self.input) if self.input is not None else []
        self.nodes = found[-1] if found else None
        self.time = find_time_series(slicer.mrmlScene, self.input) if self.input is not None else None
        over_time = self.time is not None and self.parameters is not None and bool(self.parameters.overTime)
        seen = (self.input, self.nodes, self.time, over_time, self.other_time_point())
        if seen != self._seen:
            self._seen = seen
            self._show()
        scene = slicer.mrmlScene
        made = (*find_differences(scene, self.input), find_denoised(scene, self.input)) if self.input else ()
        there = any(one is not None for one in (self.nodes, self.time, *made))
        self.offer(self.ui.removeResultsButton, "" if there else _("There are no results of this volume."))
        self._place_line()
        self.label_views()

    def other_time_point(self) -> int | None:
        """The time point that the result belongs to, where another one is in view; else None."""
        stored = self.nodes.parameters.GetAttribute(TIME_POINT) if self.nodes is not None else None
        sequence = sequence_of(slicer.mrmlScene, self.input) if stored else None
        return int(stored) if sequence is not None and sequence.current != int(stored) else None

    def _place_line(self) -> None:
        """The dashed line at the score that the user chose, and how many slices lie under it."""
        if self.parameters is None:
            return
        score = round(float(self.parameters.lineScore), 1)
        if (
            self.nodes is not None
            and self.nodes.threshold_table is not None
            and self.nodes.threshold_series is not None
        ):
            move_threshold(self.nodes.threshold_table, self.nodes.threshold_series, score)
        scored = [one.score for one in self.assessment.slices if one.score is not None] if self.assessment else []
        below = sum(value < score for value in scored)
        text = _("{below} of {scored} scored slices lie under it.").format(below=below, scored=len(scored))
        self.ui.belowLineLabel.text = text if scored else ""

    def show_live(self, live: LiveScores) -> None:
        """Table and curve of a run that is going on."""
        if self.table is not live.table:
            self._seen = None  # whatever comes next is new
            self._show_table(live.table)
            self._plot_view().SetPlotChartNodeID(live.chart.GetID())
        self.ui.tableView.scrollToBottom()

    def remove(self) -> None:
        """Take away all that the module made for the chosen volume, and nothing else."""
        if self.input is None:
            return
        self._show_table(None)  # the view would hold the node and show what is no longer there
        self.panel.compare.stop_flicker()
        self.panel.denoise.forget()
        remove_assessment(slicer.mrmlScene, self.input)
        remove_measures(slicer.mrmlScene, self.input)
        remove_differences(slicer.mrmlScene, self.input)
        remove_denoised(slicer.mrmlScene, self.input)
        remove_time_series(slicer.mrmlScene, self.input)
        self._seen = None
        self.panel.refresh()

    def forget(self) -> None:
        """Let go of all nodes: the scene is about to be closed."""
        self.assessment, self.nodes, self.time, self._seen = None, None, None, None
        self._show_table(None)

    # --- from results to slices -----------------------------------------------------------------------------------

    def ranking(self) -> list[int]:
        """Indices of the scored slices, the worst first."""
        scored = [one for one in self.assessment.slices if one.score is not None] if self.assessment else []
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
        view = self._view()
        if view is None or self.assessment is None:
            return
        with self.panel.shown_errors():
            for one in self._beside(view):
                jump_to_slice(one, self.input, self.assessment.geometry.acquisition_axis, index)
        self._select_row(index)

    def current_slice(self) -> int | None:
        """Index of the slice in the view along the slices; None where none of the volume is shown."""
        view = self._view()
        if view is None or self.assessment is None:
            return None
        try:
            return slice_in_view(view, self.input, self.assessment.geometry.acquisition_axis)
        except CTQAError:
            return None

    def label_views(self) -> None:
        """Write the score of the slice in view at the upper edge of the view along the slices, and clear the others."""
        manager = slicer.app.layoutManager()
        if manager is None:  # without a main window
            return
        view, index = self._view(), self.current_slice()
        hidden = index is None or self.parameters is None or self.other_time_point() is not None
        text = "" if hidden else self._slice_text(index)
        for name in manager.sliceViewNames():
            own = view is not None and manager.sliceWidget(name).mrmlSliceNode() is view
            self._write(name, text if own else "")

    def clear_views(self) -> None:
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
        one = self.assessment.slices[index]
        if one.score is None:
            return _("Slice {index}: not scored").format(index=index)
        return _("Slice {index}: {score:.1f} of 4, {grade}").format(index=index, score=one.score, grade=one.grade)

    def _view(self) -> slicer.vtkMRMLSliceNode | None:
        manager = slicer.app.layoutManager()
        if manager is None or self.input is None or self.assessment is None:
            return None
        # While volumes are compared the usual views are still there, but not on the screen.
        names = self.panel.compare.view_names()[:1] or manager.sliceViewNames()
        widgets = [manager.sliceWidget(name) for name in names]
        showing = [w for w in widgets if w.mrmlSliceCompositeNode().GetBackgroundVolumeID() == self.input.GetID()]
        views = [w.mrmlSliceNode() for w in showing or widgets]
        try:
            return view_along(views, self.input, self.assessment.geometry.acquisition_axis)
        except CTQAError:
            return None

    def _beside(self, view: slicer.vtkMRMLSliceNode) -> list[slicer.vtkMRMLSliceNode]:
        """The views that have to move together: linked views do not follow a move that a program makes."""
        names = self.panel.compare.view_names()
        manager = slicer.app.layoutManager()
        return [manager.sliceWidget(name).mrmlSliceNode() for name in names] or [view]

    # --- showing --------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        self.assessment, problem = None, ""
        try:
            self.assessment = assessment_from_scene(slicer.mrmlScene, self.input) if self.nodes else None
        except ValueError:
            problem = _("The result in this scene was written by another version; assess the volume again.")
        ui, assessment = self.ui, self.assessment
        if assessment is None:
            ui.verdictLabel.text = ""
            ui.verdictDetailLabel.text = problem or _("No result for this volume yet.")
        else:
            title, meaning = headline(assessment)
            notes = [_("Incomplete: the run was cancelled.")] if assessment.partial else []
            other = self.other_time_point()
            if other is not None:
                notes.append(_("This is the result of time point {item}; another one is in view.").format(item=other))
            ui.verdictLabel.text = title
            ui.verdictDetailLabel.text = "<br>".join(
                html.escape(line)
                for line in (
                    meaning,
                    summary_line(assessment),
                    *notes,
                    *assessment.warnings,
                    f"{assessment.model.statement} {DISCLAIMER}",
                )
            )
        live = self.panel.assess.run.live if self.panel.assess.run.node is self.input else None
        if live is not None:
            self.show_live(live)
        else:
            shown = self.time if self._over_time() else self.nodes
            table = shown.table if self._over_time() else self.nodes.slice_table if self.nodes else None
            self._show_table(table)
            chart = shown.chart if shown is not None else None
            self._plot_view().SetPlotChartNodeID(chart.GetID() if chart is not None else None)
        reason = "" if self.ranking() else _("No slice of this volume has a score yet.")
        for button in (ui.worstButton, ui.nextWorstButton, ui.previousWorstButton):
            self.offer(button, reason)
        ui.overTimeCheck.visible = self.time is not None

    def _over_time(self) -> bool:
        return self.time is not None and self.parameters is not None and bool(self.parameters.overTime)

    def _show_table(self, table: slicer.vtkMRMLTableNode | None) -> None:
        self.table = table
        self.ui.tableView.setMRMLTableNode(table)
        if table is not None:
            self.ui.tableView.resizeColumnsToContents()

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
            self.ui.plotWidget.setMRMLPlotViewNode(node)
        return node

    def _select_row(self, index: int) -> None:
        view = self.ui.tableView
        if self.nodes is not None and self.table is not None and self.table is self.nodes.slice_table:
            view.selectRow(index)
            view.scrollTo(view.model().index(index, 0))

    def _on_row_chosen(self, cell: qt.QModelIndex) -> None:
        row = self.ui.tableView.sortFilterProxyModel().mapToSource(cell).row()
        if self.table is None or not 0 <= row < self.table.GetNumberOfRows():
            return
        if self._over_time() and self.table is self.time.table:
            self._show_time_point(row)
        else:
            self.jump(int(self.table.GetTable().GetColumnByName("slice").GetValue(row)))

    def _on_points_picked(self, series: vtk.vtkStringArray, rows: vtk.vtkCollection) -> None:
        # One click comes twice, the first time empty.
        over_time = {one.GetID() for one in self.time.series} if self._over_time() else set()
        ours = self.nodes.score_series.GetID() if self.nodes is not None and self.nodes.score_series is not None else ""
        for n in range(series.GetNumberOfValues()):
            picked = rows.GetItemAsObject(n)
            if not picked.GetNumberOfValues():
                continue
            if series.GetValue(n) in over_time:
                self._show_time_point(int(picked.GetValue(0)))
                return
            if series.GetValue(n) == ours:
                self.jump(int(picked.GetValue(0)))
                return

    def _show_time_point(self, row: int) -> None:
        sequence = sequence_of(slicer.mrmlScene, self.input)
        if sequence is not None and self.time is not None and self.time.table is not None:
            sequence.browser.SetSelectedItemNumber(
                int(self.time.table.GetTable().GetColumnByName("item").GetValue(row))
            )
