"""The module in a window of its own: real MRML, real Qt, real .ui, real worker; Slicer's widgets are stand-ins."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUBS = ROOT / "Testing" / "stubs"
AVAILABLE = all(importlib.util.find_spec(name) is not None for name in ("slicer", "PySide6", "torch"))
collect_ignore_glob = [] if AVAILABLE else ["test_panel_*.py"]


def pytest_report_header():
    return None if AVAILABLE else "Testing/module is left out: slicer-core, PySide6 or torch is not installed"


if AVAILABLE:
    import slicer

    # As PYTHONPATH would do it before slicer's first import, but the other tests of this process import it without.
    sys.path[:0] = [str(STUBS), str(Path(__file__).parent)]
    slicer.__path__.append(str(STUBS / "slicer"))


@pytest.fixture(scope="session")
def application():
    import qt

    return qt.QApplication.instance() or qt.QApplication([])


@pytest.fixture(scope="session")
def module(application):
    return import_module_file()


def import_module_file():
    """The module file, imported as Slicer does, all of its code under the manners of PythonQt."""
    import qt

    import CTQualityAssessment

    panel = ROOT / "CTQualityAssessment" / "CTQualityAssessmentLib" / "panel"
    names = [f"CTQualityAssessmentLib.panel.{file.stem}" for file in panel.glob("*.py")]
    for name in names:
        importlib.import_module(name)
    qt.speak_pythonqt("CTQualityAssessment", *names)
    qt.speak_pyside(__name__, "slicer_widgets", "slicer.parameterNodeWrapper", "slicer.ScriptedLoadableModule")
    return CTQualityAssessment


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with a small untrained model of each task."""
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, DEFAULT_DENOISER

    from Testing.bundle_factory import write_bundle
    from Testing.denoiser_factory import write_denoiser

    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / DEFAULT_BUNDLE)
    write_denoiser(folder / DEFAULT_DENOISER)
    return folder


@pytest.fixture
def measures():
    """Ask for this to have chosen volumes measured."""


@pytest.fixture
def window(module, application, models, monkeypatch, request, tmp_path_factory):
    """A main window with the module opened in an empty scene with three slice views; closed afterwards."""
    import qt

    qt.speak_pythonqt(request.module.__name__)
    monkeypatch.setenv("CTQA_MODELS", str(models))
    monkeypatch.setenv("CTQA_ADDED_MODELS", str(tmp_path_factory.mktemp("added")))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    if "measures" not in request.fixturenames:  # only tests of the measures wait for their process
        monkeypatch.setattr("CTQualityAssessmentLib.panel.measuring.WAIT_MS", 2**30)
    opened = open_window(module, monkeypatch)
    opened.tmp = tmp_path_factory.mktemp("window")
    yield opened
    opened.close()


def open_window(module, monkeypatch):
    """What the application provides, around a new scene; undone with ``monkeypatch``."""
    import qt
    import slicer.util
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene
    from slicer_widgets import Application, UiLoader

    bare = create_bare_scene()
    monkeypatch.setattr(slicer, "mrmlScene", bare.scene, raising=False)
    monkeypatch.setattr(slicer, "app", Application(bare.scene), raising=False)
    main_window = qt.QMainWindow()
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: main_window)
    monkeypatch.setattr(slicer.util, "loadUI", lambda path: UiLoader().load(path))
    monkeypatch.setattr(slicer.util, "childWidgetVariables", _child_widgets)
    container = qt.QWidget()
    container.layout_for_module = qt.QVBoxLayout(container)
    main_window.setCentralWidget(container)
    return Window(bare, main_window, container, module)


def _child_widgets(widget):
    import qt

    return SimpleNamespace(**{child.objectName(): child for child in widget.findChildren(qt.QWidget)})


class Window:
    """What a test does with the module."""

    def __init__(self, bare, main_window, container, module):
        self.bare, self.scene, self.main_window, self.container = bare, bare.scene, main_window, container
        self.widget = module.CTQualityAssessmentWidget(container)
        self.widget.setup()
        self.widget.enter()
        self.closed = False

    @property
    def panel(self):
        return self.widget.panel

    @property
    def ui(self):
        return self.widget.panel.ui

    def add_volume(self, volume, name="CT"):
        """A volume in the scene, chosen and shown in the slice views."""
        import slicer.util
        from CTQualityAssessmentLib.mrml.volume_nodes import add_volume

        node = add_volume(self.scene, volume, name)
        slicer.util.setSliceViewerLayers(background=node, fit=True)
        self.ui.inputSelector.setCurrentNode(node)
        return node

    def wait(self, condition, seconds=240.0):
        """Let events happen until the condition holds; long, because a worker on a busy machine takes long to start."""
        import qt

        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"still waiting; the status is {self.ui.statusLabel.text()!r}"
            qt.QApplication.processEvents()
            time.sleep(0.005)
        qt.QApplication.processEvents()

    def close(self):
        if not self.closed:
            self.closed = True
            self.widget.exit()
            self.widget.cleanup()
            self.ui.compareSelector.setMRMLScene(None)
            self.ui.inputSelector.setMRMLScene(None)  # Slicer's widgets let go of the scene by themselves
            self.ui.tableView.setMRMLTableNode(None)
            self.ui.denoisingTable.setMRMLTableNode(None)
            self.main_window.close()
            self.main_window.deleteLater()
