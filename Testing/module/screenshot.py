"""Pictures of the panel after a real run on the sample: ``python -m Testing.module.screenshot FOLDER [MODELS]``.

Writes into FOLDER ``panel.png``, two columns of the whole panel, all sections open, the same in a dark palette as
``panel-dark.png``, and one picture of each section that the tutorial speaks of; prints how long each step took.
MODELS is a folder of model bundles; without it the shipped ones are used. Slicer's own widgets (selector, table, plot,
sliders, collapsible groups) are stand-ins, so the pictures show the arrangement and the content, not Slicer's looks.
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
_LEFT = ("volumeButton", "assessSectionButton", "overlaysButton", "reportButton", "modelsButton")
#: Sections with a picture of their own.
_STEPS = {"volumeButton": 2, "assessSectionButton": 3, "resultsButton": 4, "overlaysButton": 5, "compareButton": 6}


def main(folder: Path, models: str = "") -> None:
    """Open the module, load the sample, measure, assess, denoise and compare it, write the pictures."""
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
        window.main_window.resize(_WIDTH, 3200)
        window.main_window.show()
        panel, ui, clock = window.panel, window.ui, _Clock()

        def wait(condition):
            window.wait(condition, seconds=900)

        ui.loadSampleButton.click()
        clock.tell("load")
        wait(lambda: panel.measures.measuring.state.measures is not None)
        clock.tell("first figures")
        wait(lambda: not panel.measures.measuring.busy)
        clock.tell("all figures")
        ui.assessButton.click()
        wait(lambda: panel.assess.run.live.table.GetNumberOfRows() > 0)
        clock.tell("torch and the first slice")
        wait(lambda: not panel.assess.run.busy)
        clock.tell("the other slices")
        panel.jumps.jump_to_rank(0)
        panel.overlays.choose("Attention focus stage 3")
        ui.denoiseButton.click()
        wait(lambda: panel.denoise.nodes is not None)
        clock.tell("denoised")
        wait(lambda: not panel.denoise.run.busy)
        clock.tell("looked at lesions and figures")
        ui.findingsCheck.setChecked(True)
        ui.scoresCheck.setChecked(True)
        ui.denoiseButton.click()
        wait(lambda: not panel.denoise.run.busy)
        clock.tell("the same again, with boxes and scores")
        ui.differenceButton.click()
        wait(lambda: not panel.compare.run.busy)
        clock.tell("difference")
        application.processEvents()
        save_columns(window, folder / "panel.png")
        for name, number in _STEPS.items():
            step = name.removesuffix("Button").removesuffix("Section")
            save(_picture(getattr(ui, name)), folder / f"panel-{number}-{step}.png")
        application.setPalette(dark_palette(qt))
        application.processEvents()
        save_columns(window, folder / "panel-dark.png")
        print(*(getattr(ui, name).text() for name in ("statusLabel", "verdictLabel", "guardLabel", "compareLabel")))
        window.close()


class _Clock:
    def __init__(self) -> None:
        self._last = time.monotonic()

    def tell(self, step: str) -> None:
        now = time.monotonic()
        print(f"{step}: {now - self._last:.1f} s", flush=True)
        self._last = now


def save_columns(window, picture: Path) -> None:
    """The sections in two columns, so that the picture can be read on a page."""
    from PySide6 import QtCore, QtGui

    left, right = [], []
    for name in _sections():
        (left if name in _LEFT else right).append(_picture(getattr(window.ui, name)))
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
    save(page, picture)


def _picture(section):
    section.resize(_WIDTH, max(section.sizeHint().height(), section.heightForWidth(_WIDTH)))
    return section.grab()


def save(page, picture: Path) -> None:
    """In few flat colours, which PNG makes small."""
    from PySide6 import QtCore, QtGui

    plain = QtCore.Qt.ThresholdDither | QtCore.Qt.AvoidDither
    assert page.toImage().convertToFormat(QtGui.QImage.Format_Indexed8, plain).save(str(picture))


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
