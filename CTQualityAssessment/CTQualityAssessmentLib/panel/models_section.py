"""Section Models: what is installed, whether the weights are what they should be, add one, remove one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import qt
import slicer
from slicer.i18n import tr as _

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.models import (
    BundleInfo,
    add_bundle,
    installed_bundles,
    remove_bundle,
    verify_bundle,
    why_not_removable,
)
from CTQualityAssessmentLib.panel.choices import readable_bundles
from CTQualityAssessmentLib.panel.section import Section
from CTQualityAssessmentLib.translation import said, told

if TYPE_CHECKING:
    from CTQualityAssessmentLib.panel.panel import Panel


class ModelsSection(Section):
    """List, verification, addition from a folder, removal of what was added."""

    def __init__(self, panel: Panel) -> None:
        super().__init__(panel)
        self._states: dict[str, str] = {}
        self._bundles: dict[str, BundleInfo] = {}
        self._folders: dict[str, Path] = {}
        ui = self.ui
        ui.verifyModelsButton.clicked.connect(self.panel.guarded(self.verify))
        ui.addModelButton.clicked.connect(self.panel.guarded(self.add))
        ui.removeModelButton.clicked.connect(self.panel.guarded(self.remove))
        ui.modelList.currentRowChanged.connect(lambda: self._on_row())
        self._reload()
        self._show()

    def _reload(self) -> None:
        """Look for models again, here and where they are chosen."""
        self._bundles, damaged = readable_bundles()
        self._folders = installed_bundles()
        self._states = {name: state for name, state in self._states.items() if name in self._bundles}
        self._states |= {name: _("UNUSABLE: {reason}").format(reason=reason) for name, reason in damaged.items()}
        self.panel.assess.choice.reload()
        self.panel.denoise.choice.reload()

    def verify(self) -> None:
        """Look for models again and compare the weights of each with its SHA-256."""
        self._states = {}
        self._reload()
        with self.panel.waiting():
            for name, info in self._bundles.items():
                try:
                    verify_bundle(info)
                    self._states[name] = _("weights verified")
                except CTQAError as error:
                    self._states[name] = _("UNUSABLE: {reason}").format(reason=told(error))
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
            self.ui.modelsLabel.text = told(error)
            return
        self._reload()
        self._states[info.name] = _("weights verified")
        self._show(info.name)
        self.ui.modelsLabel.text = _("Added: {name}. Choose it where it is of use: under Assess or Denoise.").format(
            name=info.name
        )
        self.panel.refresh()

    def remove(self) -> None:
        """Delete the chosen model after a question; one that came with the extension stays."""
        name = self._chosen()
        if not name or why_not_removable(self._folders[name]):
            return
        if not slicer.util.confirmOkCancelDisplay(_("Delete the model '{name}' from this computer?").format(name=name)):
            return
        try:
            remove_bundle(name)
        except CTQAError as error:
            self.ui.modelsLabel.text = told(error)
            return
        self._reload()
        self._show()
        self.ui.modelsLabel.text = _("Removed: {name}").format(name=name)
        self.panel.refresh()

    def _chosen(self) -> str:
        """Name of the chosen model; empty without one."""
        names, row = list(self._folders), int(self.ui.modelList.currentRow)
        return names[row] if 0 <= row < len(names) else ""

    def _show(self, choose: str = "") -> None:
        models, names = self.ui.modelList, list(self._folders)
        models.clear()
        unknown = _("not verified yet")
        for name in names:
            info = self._bundles.get(name)
            version = f" {info.version}" if info is not None else ""
            models.addItem(f"{name}{version}: {self._states.get(name, unknown)}")
        models.currentRow = names.index(choose) if choose in names else min(0, len(names) - 1)
        self._on_row()

    def _on_row(self) -> None:
        name, button = self._chosen(), self.ui.removeModelButton
        reason = said(why_not_removable(self._folders[name])) if name else _("Choose a model in the list first.")
        button.enabled = not reason
        button.toolTip = reason or _("Delete the chosen model from this computer")
        if not name:
            self.ui.modelsLabel.text = _("No model is installed.")
            return
        info, state = self._bundles.get(name), self._states.get(name, "")
        self.ui.modelsLabel.text = f"SHA-256 {info.sha256[:16]}… {state}".strip() if info is not None else state


def ask_for_bundle(parent: qt.QWidget) -> str:
    """Path of the bundle folder that the user chooses; empty when they do not."""
    return str(qt.QFileDialog.getExistingDirectory(parent, _("Folder of the model bundle")))
