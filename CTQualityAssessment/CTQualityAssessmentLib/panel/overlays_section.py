"""Section Overlays: quality or attention over the image, and the plain image again with one click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.mrml.assessment_nodes import overlay_ids
from CTQualityAssessmentLib.mrml.layers import hide_overlays, set_overlay_opacity, show_overlay
from CTQualityAssessmentLib.mrml.overlays import map_words, set_overlay_threshold, shown_map
from CTQualityAssessmentLib.panel.parameters import PLAIN, QUALITY
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.results import MAP_KINDS, MAX_SCORE, map_of_title
from CTQualityAssessmentLib.translation import said

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class OverlaysSection(Section):
    """Choice of overlay, opacity, threshold and legend.

    The threshold has the sense of what is looked for: of quality it keeps the bad slices (scores up to it), of
    attention the looked-at places (values from it on).
    """

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        ui = self.ui
        self._filling = False
        self._shown: tuple[object, ...] | None = None
        self._names: list[str] = []
        ui.overlayCombo.currentTextChanged.connect(self._on_chosen)
        ui.plainButton.clicked.connect(lambda: self.choose(PLAIN))
        ui.opacitySlider.valueChanged.connect(self._on_opacity)
        ui.thresholdSlider.valueChanged.connect(self._on_threshold)
        ui.legendCheck.toggled.connect(lambda: self.refresh())

    def overlays(self) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
        """The overlays of the result that is shown, by the value that the parameter takes."""
        nodes = self.panel.results.nodes
        if nodes is None or self.panel.results.other_time_point() is not None:
            return {}  # colours of one time point over the image of another would mislead
        quality = {QUALITY: nodes.quality} if nodes.quality is not None else {}
        return quality | {shown_map(node): node for node in nodes.attention}

    def current(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The overlay that is chosen and there."""
        name = str(self.parameters.overlay) if self.parameters is not None else PLAIN
        return self.overlays().get(name)

    def choose(self, name: str) -> None:
        """Show the overlay of that name; :data:`PLAIN` shows the image alone."""
        if self.parameters is not None:
            self.parameters.overlay = name
            self.refresh()

    def refresh(self) -> None:
        """Bring the widgets and the slice views up to date with the parameters."""
        overlays, ui = self.overlays(), self.ui
        names = [PLAIN, *overlays]
        if names != self._names:
            self._names = names
            self._filling = True
            ui.overlayCombo.clear()
            for name in names:
                text = {PLAIN: _("None (plain image)"), QUALITY: _("Quality")}.get(name, map_words(name))
                ui.overlayCombo.addItem(text, name)
            self._filling = False
        current = self.current()
        chosen = str(self.parameters.overlay) if current is not None else PLAIN
        self._filling = True
        ui.overlayCombo.currentIndex = max(ui.overlayCombo.findData(chosen), 0)
        self._filling = False
        reason = "" if current is not None else _("No overlay is shown: assess the volume, or choose one above.")
        for widget in (ui.opacitySlider, ui.thresholdSlider, ui.legendCheck):
            self.offer(widget, reason)
        kind = map_of_title(chosen)
        ui.attentionNoteLabel.visible = kind is not None
        if kind is not None:
            ui.attentionNoteLabel.text = said(MAP_KINDS[kind[0]].note)
        shown = (self.input, chosen, current, bool(ui.legendCheck.checked), tuple(overlays.values()))
        if shown != self._shown:
            self._shown = shown
            self._show(current, overlays)

    def _show(
        self, current: slicer.vtkMRMLScalarVolumeNode | None, overlays: dict[str, slicer.vtkMRMLScalarVolumeNode]
    ) -> None:
        ui = self.ui
        for node in overlays.values():
            for n in range(1, node.GetNumberOfDisplayNodes()):  # the legend is the second display node
                node.GetNthDisplayNode(n).SetVisibility(node is current and bool(ui.legendCheck.checked))
        # Also those of other volumes: the panel and the views speak of one volume at a time.
        hide_overlays(slicer.mrmlScene, [slicer.mrmlScene.GetNodeByID(id_) for id_ in overlay_ids(slicer.mrmlScene)])
        if current is None:
            return
        show_overlay(slicer.mrmlScene, self.input, current, float(ui.opacitySlider.value))
        display = current.GetDisplayNode()
        quality = self._is_quality(current)
        self._filling = True
        ui.thresholdSlider.minimum = 0.0 if quality else 1.0
        ui.thresholdSlider.maximum = MAX_SCORE if quality else display.GetWindowLevelMax()
        threshold = display.GetUpperThreshold() if quality else display.GetLowerThreshold()
        ui.thresholdSlider.value = min(max(threshold, ui.thresholdSlider.minimum), ui.thresholdSlider.maximum)
        ui.thresholdLabel.text = _("Scores up to") if quality else _("{map} from").format(map=_map_word(current))
        self._filling = False

    def _is_quality(self, node: slicer.vtkMRMLScalarVolumeNode) -> bool:
        nodes = self.panel.results.nodes
        return nodes is not None and node is nodes.quality

    def _on_chosen(self) -> None:
        if not self._filling and self.ui.overlayCombo.currentIndex >= 0:
            self.choose(self.ui.overlayCombo.itemData(self.ui.overlayCombo.currentIndex))

    def _on_opacity(self, value: float) -> None:
        current = self.current()
        if current is not None:
            set_overlay_opacity(slicer.mrmlScene, current, float(value))

    def _on_threshold(self, value: float) -> None:
        current = self.current()
        if self._filling or current is None:
            return
        set_overlay_threshold(current, float(value), self._is_quality(current))


def _map_word(overlay: slicer.vtkMRMLScalarVolumeNode) -> str:
    """What an overlay shows, in a word."""
    named = map_of_title(shown_map(overlay))
    return said(MAP_KINDS[named[0]].title) if named else overlay.GetName()
