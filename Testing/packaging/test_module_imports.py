"""What Slicer imports when it lists its modules, and what is imported only when it is used."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "CTQualityAssessment"
#: What every 3D Slicer from 5.10 on can import in its own process at start.
ALLOWED = {"slicer", "vtk", "qt", "ctk", "numpy", "CTQualityAssessmentLib"}
FILES = [MODULE / "CTQualityAssessment.py", *sorted((MODULE / "CTQualityAssessmentLib" / "panel").glob("*.py"))]


def imported_at_file_scope(tree: ast.Module) -> set[str]:
    """Top-level packages that importing the file imports: not in functions, not under TYPE_CHECKING."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
        waiting += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_third_party_is_imported_at_file_scope(path):
    """One such import, and the module does not open on a computer where the package is missing."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert imported_at_file_scope(tree) <= ALLOWED | sys.stdlib_module_names


def test_the_search_sees_imports_in_classes_and_branches_only():
    """Guards the test above."""
    tree = ast.parse("class A:\n import torch\nif 1:\n import monai\ndef f():\n import scipy\n")
    assert imported_at_file_scope(tree) == {"torch", "monai"}


def test_torch_is_never_imported_by_the_module_in_its_own_process():
    """Importing torch inside Slicer can end the application; networks run in the worker, or where a script asks."""
    for path in FILES[1:]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in ("torch", "monai", "torchvision")], path.name


def test_strings_that_users_read_are_translatable():
    """A text set on a widget without _() stays English for everyone."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                bare = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) and node.value.value
                assert not (node.targets[0].attr in ("text", "toolTip") and bare), f"{path.name}: {bare}"
