"""Pictures of the panel after a real run on the sample: ``python -m Testing.module.screenshot panel.png [MODELS]``.

Writes two columns of the whole panel, all sections open, and beside it ``panel-dark.png`` in a dark palette.
MODELS is a folder of model bundles; without it the shipped ones are used. Slicer's own widgets (selector, table, plot,
sliders, collapsible groups) are stand-ins, so the picture shows the arrangement and the content, not Slicer's looks.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path

import pytest

_WIDTH, _GAP = 560, 16
#: Sections on the left; the others stand on the right.
_LEFT = ("volumeButton", "assessSectionButton", "overlaysButton")


def main(picture: Path, models: str = "") -> None:
    """Open the module, load the sample, measure and assess it, compare it with a smoothed copy, write the pictures."""
    if models:
        os.environ["CTQA_MODELS"] = models
    from Testing.module import conftest

    qt = importlib.import_module("qt")  # conftest put it on the path
    with pytest.MonkeyPatch.context() as patch:
        application = qt.QApplication.instance() or qt.QApplication([])
        application.setStyle("Fusion")
        module = conftest.import_module_file()
        qt.speak_pyside(__name__)
        window = conftest.open_window(module, patch)
        window.main_window.resize(_WIDTH, 2000)
        window.main_window.show()
        times = [time.monotonic()]
        window.ui.loadSampleButton.click()
        times.append(time.monotonic())
        window.wait(lambda: window.panel.measures.measuring.state.measures is not None, seconds=900)
        times.append(time.monotonic())
        window.wait(lambda: not window.panel.measures.measuring.busy, seconds=900)
        times.append(time.monotonic())
        window.ui.assessButton.click()
        window.wait(lambda: not window.panel.assess.run.busy, seconds=900)
        times.append(time.monotonic())
        steps = ("load", "first figures", "all figures", "assess with start of torch")
        print(", ".join(f"{name} {b - a:.1f} s" for name, a, b in zip(steps, times[:-1], times[1:], strict=True)))
        window.panel.results.jump_to_rank(0)
        window.panel.overlays.choose("Attention focus stage 3")
        compare_with_a_smoothed_copy(window)
        application.processEvents()
        save_columns(window, picture)
        application.setPalette(dark_palette(qt))
        application.processEvents()
        save_columns(window, picture.with_name(f"{picture.stem}-dark.png"))
        print(*(getattr(window.ui, name).text() for name in ("statusLabel", "verdictLabel", "compareLabel")))
        window.close()


def compare_with_a_smoothed_copy(window) -> None:
    """A second volume such as a denoiser would give."""
    import slicer
    from CTQualityAssessmentLib.mrml.volume_nodes import add_scalar_volume, ijk_to_ras
    from scipy.ndimage import gaussian_filter

    first = window.panel.parameters.inputVolume
    smooth = gaussian_filter(slicer.util.arrayFromVolume(first), (0, 1, 1))
    window.panel.parameters.compareVolume = add_scalar_volume(window.scene, smooth, ijk_to_ras(first), "smoothed")
    window.panel.refresh()
    window.ui.differenceButton.click()


def save_columns(window, picture: Path) -> None:
    """The sections in two columns, so that the picture can be read on a page."""
    from PySide6 import QtCore, QtGui

    left, right = [], []
    for name in _sections():
        section = getattr(window.ui, name)
        section.resize(_WIDTH, max(section.sizeHint().height(), section.heightForWidth(_WIDTH)))
        (left if name in _LEFT else right).append(section.grab())
    heights = [sum(one.height() + _GAP for one in column) for column in (left, right)]
    page = QtGui.QPixmap(2 * _WIDTH + 3 * _GAP, max(heights) + _GAP)
    page.fill(window.main_window.palette().window().color())
    painter = QtGui.QPainter(page)
    for x, column in ((_GAP, left), (_WIDTH + 2 * _GAP, right)):
        y = _GAP
        for one in column:
            painter.drawPixmap(QtCore.QPoint(x, y), one)
            y += one.height() + _GAP
    painter.end()
    plain = QtCore.Qt.ThresholdDither | QtCore.Qt.AvoidDither  # flat colours, which PNG makes small
    few = page.toImage().convertToFormat(QtGui.QImage.Format_Indexed8, plain)
    assert few.save(str(picture))


def _sections() -> list[str]:
    names = ("volume", "assessSection", "results", "overlays", "compare", "report", "models")
    return [f"{name}Button" for name in names]


def dark_palette(qt):
    """A palette as dark themes have it."""
    from PySide6 import QtGui

    palette = QtGui.QPalette(QtGui.QColor(45, 45, 48))
    palette.setColor(QtGui.QPalette.Base, QtGui.QColor(30, 30, 30))
    palette.setColor(QtGui.QPalette.Text, QtGui.QColor(230, 230, 230))
    palette.setColor(QtGui.QPalette.WindowText, QtGui.QColor(230, 230, 230))
    palette.setColor(QtGui.QPalette.ButtonText, QtGui.QColor(230, 230, 230))
    for role in (QtGui.QPalette.Text, QtGui.QPalette.WindowText, QtGui.QPalette.ButtonText):
        palette.setColor(QtGui.QPalette.Disabled, role, QtGui.QColor(120, 120, 120))
    return palette


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
