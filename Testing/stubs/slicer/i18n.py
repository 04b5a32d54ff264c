"""Translation by the catalogues that are installed in Qt, under the names that 3D Slicer gives to files."""

from __future__ import annotations

import inspect
from pathlib import Path

import qt


def translate(context: str, text: str) -> str:
    return qt.QCoreApplication.translate(context, text)


def getContext(sourceFile: str) -> str:
    """The file's name, after that of its folder where this is a package."""
    path = Path(sourceFile)
    return f"{path.parent.name}.{path.stem}" if (path.parent / "__init__.py").is_file() else path.stem


def tr(text: str) -> str:
    return translate(getContext(inspect.currentframe().f_back.f_code.co_filename), text)
