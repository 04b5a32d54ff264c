"""How another process of this package is started: with its own modules, never with those of the current folder.

``python -m`` and ``python -c`` look into the current folder first. It may be the folder of a CT, and a ``json.py`` that
came with the images on a disc would run.
"""

from __future__ import annotations

from pathlib import Path

#: ``sys`` is built in: nothing is searched for before the current folder, the empty entry, is off the path. Slicer's
#: Python does not know this package's folder, and its launcher may replace PYTHONPATH: an argument names it.
_START = (
    "import sys; package, module = sys.argv[1:3]; del sys.argv[1:3]; "
    "sys.path[:] = [package, *filter(None, sys.path)]; "
    "import runpy; runpy.run_module(module, run_name='__main__')"
)
_PACKAGE = str(Path(__file__).resolve().parents[2])


def module_arguments(module: str, *arguments: str) -> list[str]:
    """Arguments with which a Python runs a module of this package as its program."""
    return ["-u", "-c", _START, _PACKAGE, module, *arguments]
