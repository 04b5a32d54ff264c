"""Section Models: what is installed, whether the weights are what they should be, add one, remove one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.models import BundleInfo, add_bundle, remove_bundle, verify_bundle, why_not_removable
from CTQualityAssessmentLib.panel.section import Section

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class ModelsSection(Section):
    """List, verification, addition from a folder, removal of what was added."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._states: dict[str, str] = {}
        ui = self.ui
        ui.verifyModelsButton.clicked.connect(self.panel.guarded(self.verify))
        ui.addModelButton.clicked.connect(self.panel.guarded(self.add))
        ui.removeModelButton.clicked.connect(self.panel.guarded(self.remove))
        ui.modelList.currentRowChanged.connect(lambda: self._on_row())
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

    def add(self) -> None:
        """Ask for a bundle folder and copy it to the user's models."""
        chosen = ask_for_bundle(self.ui.addModelButton)
        if not chosen:
            return
        try:
            with self.panel.waiting():
                info = add_bundle(Path(chosen))
        except CTQAError as error:
            self.ui.modelsLabel.text = str(error)
            return
        self.panel.assess.reload_models()
        self._states[info.name] = _("weights verified")
        self._show(info.name)
        self.ui.modelsLabel.text = _("Added: {name}. Choose it under Assess.").format(name=info.name)
        self.panel.refresh()

    def remove(self) -> None:
        """Delete the chosen model after a question; one that came with the extension stays."""
        info = self._chosen()
        if info is None or why_not_removable(info):
            return
        name = info.folder.name
        if not slicer.util.confirmOkCancelDisplay(_("Delete the model '{name}' from this computer?").format(name=name)):
            return
        try:
            remove_bundle(name)
        except CTQAError as error:
            self.ui.modelsLabel.text = str(error)
            return
        self.panel.assess.reload_models()
        self._states.pop(name, None)
        self._show()
        self.ui.modelsLabel.text = _("Removed: {name}").format(name=name)
        self.panel.refresh()

    def _names(self) -> list[str]:
        return list(self.panel.assess.bundles)

    def _chosen(self) -> BundleInfo | None:
        names, row = self._names(), int(self.ui.modelList.currentRow)
        return self.panel.assess.bundles[names[row]] if 0 <= row < len(names) else None

    def _show(self, choose: str = "") -> None:
        models = self.ui.modelList
        models.clear()
        for name, info in self.panel.assess.bundles.items():
            models.addItem(f"{name} {info.version}: {self._states.get(name, _('not verified yet'))}")
        names = self._names()
        models.currentRow = names.index(choose) if choose in names else min(0, len(names) - 1)
        self._on_row()

    def _on_row(self) -> None:
        info, button = self._chosen(), self.ui.removeModelButton
        reason = _("Choose a model in the list first.") if info is None else why_not_removable(info)
        button.enabled = not reason
        button.toolTip = reason or _("Delete the chosen model from this computer")
        if info is None:
            self.ui.modelsLabel.text = _("No model is installed.")
        else:
            state = self._states.get(info.folder.name, "")
            self.ui.modelsLabel.text = f"SHA-256 {info.sha256[:16]}… {state}".strip()


def ask_for_bundle(parent: qt.QWidget) -> str:
    """Path of the bundle folder that the user chooses; empty when they do not."""
    return str(qt.QFileDialog.getExistingDirectory(parent, _("Folder of the model bundle")))
