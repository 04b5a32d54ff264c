"""Physical measures of the chosen volume: there before any package is installed, and without a model."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.panel.measuring import Measuring
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.reporting.measure_labels import MEASURE_WORDS
from CTQualityAssessmentLib.reporting.measure_words import range_text, reason_text, value_text
from CTQualityAssessmentLib.translation import said

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class MeasuresSection(Section):
    """A table of figures under the facts of the volume, which fills by itself."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self.measuring = Measuring(self.ui.measuresLabel, self._show)
        how = "".join(
            f"<p><b>{html.escape(said(w.label))}</b>: {html.escape(said(w.how_to_read))}</p>" for w in MEASURE_WORDS
        )
        self.ui.measuresLabel.toolTip = how
        self._show()

    def refresh(self) -> None:
        """Turn to the chosen volume; one that cannot be read has no figures."""
        facts = self.panel.volume.facts
        readable = self.input is not None and facts is not None and not facts.refusal
        self.measuring.show(self.input if readable else None)

    def current(self) -> PhysicalMeasures | None:
        """The figures over all slices of the chosen volume, where they are there."""
        return self.measuring.known(self.input) if self.input is not None else None

    def _show(self) -> None:
        state = self.measuring.state
        lines = [state.message] if state.message else []
        if state.preview_slices:
            lines.insert(0, _("First figures, of {count} slices.").format(count=state.preview_slices))
        if state.measures is not None:
            lines += map(said, state.measures.notes)
        self.ui.measuresLabel.text = _table(state.measures) if state.measures is not None else ""
        self.ui.measuresLabel.visible = state.measures is not None
        self.ui.measuresStatusLabel.text = " ".join(lines)
        self.ui.measuresStatusLabel.visible = bool(lines)
        if hasattr(self.panel, "report"):  # not yet while the panel is being built
            self.panel.report.refresh()


def _table(measures: PhysicalMeasures) -> str:
    head = (_("Physical measure"), _("Volume"), _("80 % of slices"))
    rows = ["<tr>" + "".join(f'<th align="left">{html.escape(cell)}&nbsp;&nbsp;</th>' for cell in head) + "</tr>"]
    for words in MEASURE_WORDS:
        reason = reason_text(words, measures)
        if reason is None:
            cells = (said(words.label), value_text(words, measures.volume), range_text(words, measures.volume))
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}&nbsp;&nbsp;</td>" for cell in cells) + "</tr>")
        else:
            told = _("n/a: {reason}").format(reason=reason)
            label = html.escape(said(words.label))
            rows.append(f"<tr><td>{label}&nbsp;&nbsp;</td><td colspan='2'>{html.escape(told)}</td></tr>")
    return f"<table>{''.join(rows)}</table>"
