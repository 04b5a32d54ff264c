"""Two volumes by turns in the same place: the eye finds what differs."""

from __future__ import annotations

import qt
import slicer
import vtk
from slicer.i18n import tr as _

#: Slow enough for everybody: under three changes a second.
_TURN_MS = 700


class Flicker:
    """Shows the second volume instead of the first and back, in the slice views where the first is the background.

    Args:
        parent: widget that owns the timer.
    """

    def __init__(self, parent: qt.QWidget) -> None:
        self._pair: tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLScalarVolumeNode] | None = None
        self._names: list[str] = []
        self._second_shown = False
        self._timer = qt.QTimer(parent)
        self._timer.timeout.connect(self.turn)

    @property
    def running(self) -> bool:
        """Whether the volumes change places."""
        return self._pair is not None

    def concerns(self, node: slicer.vtkMRMLNode | None) -> bool:
        """Whether this node is one of the two."""
        return self._pair is not None and any(node is one for one in self._pair)

    def start(
        self,
        first: slicer.vtkMRMLScalarVolumeNode,
        second: slicer.vtkMRMLScalarVolumeNode,
        names: list[str],
    ) -> bool:
        """Begin in the views of these names that show ``first``; False where none does."""
        self.stop()
        self._names = [name for name in names if self._composite(name).GetBackgroundVolumeID() == first.GetID()]
        if not self._names:
            return False
        self._pair = (first, second)
        self.turn()
        self._timer.start(_TURN_MS)
        return True

    def stop(self) -> None:
        """Show the first volume again; harmless when nothing changes places."""
        self._timer.stop()
        pair, self._pair, self._second_shown = self._pair, None, False
        if pair is None:
            return
        first, second = pair
        for name in self._names:
            if self._composite(name).GetBackgroundVolumeID() == second.GetID() and first.GetScene() is not None:
                self._composite(name).SetBackgroundVolumeID(first.GetID())
            self._write(name, "")

    def turn(self) -> None:
        """Change places."""
        if self._pair is None:
            return
        self._second_shown = not self._second_shown
        node = self._pair[1 if self._second_shown else 0]
        for name in self._names:
            self._composite(name).SetBackgroundVolumeID(node.GetID())
            self._write(name, _("second volume") if self._second_shown else _("first volume"))

    @staticmethod
    def _composite(name: str) -> slicer.vtkMRMLSliceCompositeNode:
        return slicer.app.layoutManager().sliceWidget(name).mrmlSliceCompositeNode()

    @staticmethod
    def _write(name: str, text: str) -> None:
        # The lower edge: the upper one has the score, the corners belong to the Data Probe.
        view = slicer.app.layoutManager().sliceWidget(name).sliceView()
        view.cornerAnnotation().SetText(vtk.vtkCornerAnnotation.LowerEdge, text)
        view.scheduleRender()
