"""The files that the extension ships, as the tree has them and as CTQualityAssessment/CMakeLists.txt lists them.

``python -m Testing.packaging.shipped_files`` writes the tree's lists into the CMake file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

MODULE = Path(__file__).resolve().parents[2] / "CTQualityAssessment"
CMAKE = MODULE / "CMakeLists.txt"
SCRIPTS = "MODULE_PYTHON_SCRIPTS"
RESOURCES = "MODULE_PYTHON_RESOURCES"


def in_tree() -> dict[str, list[str]]:
    """Shipped files by CMake list, relative to the module's folder, sorted."""
    files = sorted(
        path.relative_to(MODULE).as_posix()
        for pattern in ("CTQualityAssessment.py", "CTQualityAssessmentLib/**/*", "Resources/**/*")
        for path in MODULE.glob(pattern)
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    )
    return {SCRIPTS: [f for f in files if f.endswith(".py")], RESOURCES: [f for f in files if not f.endswith(".py")]}


def _list(name: str) -> re.Pattern[str]:
    return re.compile(rf"^(set\({name}\n)(.*?)(^  \))", re.MULTILINE | re.DOTALL)


def in_cmake() -> dict[str, list[str]]:
    """The same lists as CMakeLists.txt has them, in its order."""
    text = CMAKE.read_text(encoding="utf-8")
    return {name: _list(name).search(text)[2].split() for name in (SCRIPTS, RESOURCES)}


def write_cmake() -> None:
    """Put the tree's lists into CMakeLists.txt."""
    text = CMAKE.read_text(encoding="utf-8")
    for name, files in in_tree().items():
        lines = "".join(f"  {file}\n" for file in files)
        text = _list(name).sub(rf"\g<1>{lines}\g<3>", text)
    unfinished = CMAKE.with_suffix(".part")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, CMAKE)


if __name__ == "__main__":
    write_cmake()
