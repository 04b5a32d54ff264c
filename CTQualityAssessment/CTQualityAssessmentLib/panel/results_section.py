"""Section Results: verdict, table, curve, and what a click on them does."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.mrml.assessment_nodes import AssessmentNodes, assessment_from_scene, find_assessments
from CTQualityAssessmentLib.mrml.threshold_line import move_threshold
from CTQualityAssessmentLib.mrml.time_series import TimeSeriesNodes, find_time_series, sequence_of
from CTQualityAssessmentLib.panel.result_views import ResultViews
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.reporting.fact_labels import DISCLAIMER
from CTQualityAssessmentLib.reporting.words import headline, summary_line
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.translation import said

if TYPE_CHECKING:
    from CTQualityAssessmentLib.mrml.live_scores import LiveScores
    from CTQualityAssessmentLib.panel.panel import Panel

#: Attribute of a result's parameters: which time point of a sequence was assessed.
TIME_POINT = "CTQA.timePoint"


class ResultsSection(Section):
    """Shows the newest assessment of the chosen volume.

    Attributes:
        assessment: its exact values, without attention maps; None where there is none.
        nodes: its nodes in the scene.
        time: scores over time, where the volume is the proxy of a sequence that was assessed.
        views: table and curve, of a result or of a run that is going on.
    """

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self.assessment: VolumeAssessment | None = None
        self.nodes: AssessmentNodes | None = None
        self.time: TimeSeriesNodes | None = None
        self._seen: object = None
        self._known: tuple[slicer.vtkMRMLTextNode, VolumeAssessment] | None = None
        ui = self.ui
        self.views = ResultViews(ui, self._on_row, self._on_point)
        ui.worstButton.clicked.connect(lambda: panel.jumps.jump_to_rank(0))
        ui.nextWorstButton.clicked.connect(lambda: panel.jumps.step_rank(1))
        ui.previousWorstButton.clicked.connect(lambda: panel.jumps.step_rank(-1))

    def refresh(self) -> None:
        """Find the newest assessment of the chosen volume, and show it if it is another one than before."""
        found = find_assessments(slicer.mrmlScene, self.input) if self.input is not None else []
        self.nodes = found[-1] if found else None
        self.time = find_time_series(slicer.mrmlScene, self.input) if self.input is not None else None
        seen = (self.input, self.nodes, self.time, self._over_time(), self.other_time_point())
        if seen != self._seen:
            self._seen = seen
            self._show()
        self._place_line()
        self.panel.texts.show()

    def keep(self, nodes: AssessmentNodes, assessment: VolumeAssessment) -> None:
        """Remember the values of a result that was just made, instead of reading them from its text."""
        kept = replace(assessment, attention=(), volume_maps=())  # maps are large, and the scene has them
        self._known = (nodes.result, kept) if nodes.result is not None else None

    def other_time_point(self) -> int | None:
        """The time point that the result belongs to, where another one is in view; else None."""
        stored = self.nodes.parameters.GetAttribute(TIME_POINT) if self.nodes is not None else None
        sequence = sequence_of(slicer.mrmlScene, self.input) if stored else None
        return int(stored) if sequence is not None and sequence.current != int(stored) else None

    def show_live(self, live: LiveScores) -> None:
        """Table and curve of a run that is going on."""
        if self.views.table is not live.table:
            self._seen = None  # whatever comes next is new
            self.views.show_table(live.table)
            self.views.show_chart(live.chart)
        self.views.scroll_to_end()

    def select_row(self, index: int) -> None:
        """Mark the row of a slice, where the table has slices."""
        if self.nodes is not None and self.views.table is not None and self.views.table is self.nodes.slice_table:
            self.views.select_row(index)

    def forget(self) -> None:
        """Let go of all nodes: the scene is about to be closed, or the results removed."""
        self.assessment, self.nodes, self.time, self._seen, self._known = None, None, None, None, None
        self.views.show_table(None)

    def _show(self) -> None:
        problem = ""
        try:
            self.assessment = self._values()
        except ValueError:
            self.assessment = None
            problem = _("The result in this scene was written by another version; assess the volume again.")
        ui = self.ui
        ui.verdictLabel.text = headline(self.assessment)[0] if self.assessment is not None else ""
        ui.verdictDetailLabel.text = "<br>".join(html.escape(line) for line in self._lines(problem))
        live = self.panel.assess.run.live if self.panel.assess.run.node is self.input else None
        if live is not None:
            self.show_live(live)
        elif self._over_time():
            self.views.show_table(self.time.table)
            self.views.show_chart(self.time.chart)
        else:
            self.views.show_table(self.nodes.slice_table if self.nodes is not None else None)
            self.views.show_chart(self.nodes.chart if self.nodes is not None else None)
        reason = "" if self.panel.jumps.ranking() else _("No slice of this volume has a score yet.")
        for button in (ui.worstButton, ui.nextWorstButton, ui.previousWorstButton):
            self.offer(button, reason)
        ui.overTimeCheck.visible = self.time is not None

    def _values(self) -> VolumeAssessment | None:
        if self.nodes is None:
            return None
        if self._known is not None and self._known[0] is self.nodes.result:
            return self._known[1]
        return assessment_from_scene(slicer.mrmlScene, self.input)

    def _lines(self, problem: str) -> list[str]:
        """What stands under the verdict."""
        assessment = self.assessment
        if assessment is None:
            return [problem or _("No result for this volume yet.")]
        notes = [_("Incomplete: the run was cancelled.")] if assessment.partial else []
        other = self.other_time_point()
        if other is not None:
            notes.append(_("This is the result of time point {item}; another one is in view.").format(item=other))
        meaning = headline(assessment)[1]
        warnings = [said(warning) for warning in assessment.warnings]
        statement = f"{assessment.model.statement} {said(DISCLAIMER)}"
        return [meaning, summary_line(assessment), *notes, *warnings, statement]

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

    def _over_time(self) -> bool:
        return self.time is not None and self.parameters is not None and bool(self.parameters.overTime)

    def _on_row(self, row: int) -> None:
        if self._over_time() and self.views.table is self.time.table:
            self._show_time_point(row)
        else:
            self.panel.jumps.jump(int(self.views.table.GetTable().GetColumnByName("slice").GetValue(row)))

    def _on_point(self, series: str, row: int) -> None:
        if self._over_time() and series in {one.GetID() for one in self.time.series}:
            self._show_time_point(row)
        elif self.nodes is not None and self.nodes.score_series is not None:
            if series == self.nodes.score_series.GetID():
                self.panel.jumps.jump(row)

    def _show_time_point(self, row: int) -> None:
        sequence = sequence_of(slicer.mrmlScene, self.input)
        if sequence is not None and self.time is not None and self.time.table is not None:
            sequence.browser.SetSelectedItemNumber(
                int(self.time.table.GetTable().GetColumnByName("item").GetValue(row))
            )
