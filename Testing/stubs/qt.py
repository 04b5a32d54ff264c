"""The module ``qt`` of 3D Slicer, on PySide6."""

from __future__ import annotations

import importlib
import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# Enumerators without their enum's name, and as whole numbers: so they are in PythonQt.
sys.pyside6_option_python_enum = 0x01 | 0x02 | 0x04 | 0x08

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

for _module in (QtCore, QtGui, QtWidgets, QtUiTools):
    globals().update({name: getattr(_module, name) for name in dir(_module) if not name.startswith("_")})

#: PySide6's own switch between its manners of showing Qt, by module; it has no public name.
_features = importlib.import_module("shibokensupport.feature")
# At its first use it reads the source of all modules to find those that import PySide6; torch has some that cannot bear
# it. Not needed: whoever uses Qt here is named to one of the functions below.
_features._mod_uses_pyside = lambda module: False
_TRUE_PROPERTY = 2


def speak_pythonqt(*module_names: str) -> None:
    """Let these modules see Qt properties as attributes and nothing else of them."""
    for name in module_names:
        _features.set_selection(_TRUE_PROPERTY, name)


def speak_pyside(*module_names: str) -> None:
    """Let these modules see Qt as PySide6 shows it; a module that did not choose sees what the last one saw."""
    for name in module_names:
        _features.set_selection(0, name)
