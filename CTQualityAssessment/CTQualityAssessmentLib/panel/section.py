"""What all sections of the panel have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import slicer

if TYPE_CHECKING:
    from types import SimpleNamespace

    import qt

    from CTQualityAssessmentLib.panel.panel import Panel
    from CTQualityAssessmentLib.panel.parameters import PanelParameters


class Section:
    """A part of the panel: connects its widgets once, and brings them up to date when :meth:`refresh` is called.

    Attributes:
        ui: all widgets of the .ui file by name.
        panel: whole panel, through which sections reach each other.
    """

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.ui: SimpleNamespace = panel.ui
        self._uses: dict[str, str] = {}

    @property
    def parameters(self) -> PanelParameters | None:
        """What the scene remembers; None while the module is closed or the scene is being replaced."""
        return self.panel.parameters

    @property
    def input(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The chosen volume."""
        return self.parameters.inputVolume if self.parameters is not None else None

    def offer(self, widget: qt.QWidget, reason: str) -> None:
        """Switch a widget on, or off with the reason as its tooltip; what it is for stands in the .ui file."""
        use = self._uses.setdefault(widget.objectName, widget.toolTip)
        widget.enabled = not reason
        widget.toolTip = reason or use

    def refresh(self) -> None:
        """Show the state of the scene. Called often: must be cheap when nothing changed."""
