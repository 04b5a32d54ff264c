"""Taking results away: those of the chosen volume, and those whose volume is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.mrml.results_of_volume import denoised_without_source, has_results, remove_results
from CTQualityAssessmentLib.panel.section import Section

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class RemovalSection(Section):
    """The two buttons at the end of the section Results."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self.ui.removeResultsButton.clicked.connect(panel.guarded(self.remove))
        self.ui.removeLeftoversButton.clicked.connect(panel.guarded(self.remove_leftovers))

    def refresh(self) -> None:
        """Offer what there is to remove."""
        there = self.input is not None and has_results(slicer.mrmlScene, self.input)
        self.offer(self.ui.removeResultsButton, "" if there else _("There are no results of this volume."))
        self.ui.removeLeftoversButton.visible = has_results(slicer.mrmlScene, None)

    def remove(self) -> None:
        """Take away all that the module made for the chosen volume, and nothing else."""
        if self.input is not None:
            self._take_away(self.input)

    def remove_leftovers(self) -> None:
        """Take away what the module made for volumes that are gone; a denoised volume after a question only."""
        names = ", ".join(one.GetName() for one in denoised_without_source(slicer.mrmlScene))
        question = _("This also removes what was denoised from a volume that is gone: {names}. Remove it?")
        if not names or slicer.util.confirmOkCancelDisplay(question.format(names=names)):
            self._take_away(None)

    def _take_away(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        panel = self.panel
        panel.compare.stop_flicker()
        panel.results.forget()
        panel.denoise.forget()
        with panel.still():
            remove_results(slicer.mrmlScene, node)
        panel.refresh()
