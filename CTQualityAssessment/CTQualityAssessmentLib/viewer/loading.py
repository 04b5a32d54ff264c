"""Loads the libraries of the views without what the views never use, which would take a second longer."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from CTQualityAssessmentLib.viewer.viewer import Viewer

#: Asked for by pydicom, for files of its own from the network, and by nothing here.
_UNUSED = ("requests", "tqdm")


def load_viewer() -> type[Viewer]:
    """The viewer's class. May run in any thread, once; takes a second or more.

    Raises:
        ModuleNotFoundError: a package is not installed.
    """
    for name in _UNUSED:
        _load_when_used(name)
    _vtk_by_need()
    from CTQualityAssessmentLib.viewer.viewer import Viewer

    return Viewer


def _load_when_used(name: str) -> None:
    spec = importlib.util.find_spec(name) if name not in sys.modules else None
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


class _VtkByNeed(ModuleType):
    """``vtk`` is the names of all its 150 libraries. What uses it here needs a few, which Slicer has mostly loaded."""

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for title, part in list(sys.modules.items()):
                if title.startswith("vtkmodules.vtk") and name in vars(part):
                    return vars(part)[name]
        self.__class__ = ModuleType
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _vtk_by_need() -> None:
    """From now on ``import vtk`` gives names from where they are; with the first that is nowhere all is loaded."""
    spec = importlib.util.find_spec("vtk") if "vtk" not in sys.modules else None
    if spec is None or spec.loader is None:
        return
    import vtkmodules.vtkInteractionWidgets  # the one name that is asked for and not loaded by others is in it

    module = importlib.util.module_from_spec(spec)
    module.__class__ = _VtkByNeed
    module.__path__ = vtkmodules.__path__  # as vtk does it
    sys.modules["vtk"] = module
