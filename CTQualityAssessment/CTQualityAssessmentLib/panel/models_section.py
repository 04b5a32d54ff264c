"""Section Models: what is installed, and whether the weights are what they should be."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.models import verify_bundle
from CTQualityAssessmentLib.panel.section import Section

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class ModelsSection(Section):
    """List and verification."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._states: dict[str, str] = {}
        self.ui.verifyModelsButton.clicked.connect(self.panel.guarded(self.verify))
        self._show()

    def verify(self) -> None:
        """Look for models again and compare the weights of each with its SHA-256."""
        self.panel.assess.reload_models()
        self._states = {}
        with self.panel.waiting():
            for name, info in self.panel.assess.bundles.items():
                try:
                    verify_bundle(info)
                    self._states[name] = _("weights verified")
                except CTQAError as error:
                    self._states[name] = _("UNUSABLE: {reason}").format(reason=error)
        self._show()
        self.panel.refresh()

    def _show(self) -> None:
        lines = [
            f"<b>{html.escape(name)} {html.escape(info.version)}</b>: "
            f"{html.escape(self._states.get(name, _('not verified yet')))}<br>SHA-256 {html.escape(info.sha256[:16])}…"
            for name, info in self.panel.assess.bundles.items()
        ]
        self.ui.modelsLabel.text = "<br>".join(lines) or _("No model is installed.")
