"""What Slicer imports when it lists its modules, and what is imported only when it is used."""

from __future__ import annotations

import ast
import re
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
    """A text set on a widget, or told in an error or a question, without _() stays English for everyone."""
    found = []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                if node.targets[0].attr in ("text", "toolTip", "title", "plainText"):
                    found += [(path.name, text) for text in bare_texts(node.value)]
            elif isinstance(node, ast.Call) and called(node) in TELLING:
                values = [*node.args, *(k.value for k in node.keywords if k.arg in (None, "message"))]
                found += [(path.name, text) for value in values for text in bare_texts(value)]
    assert found == []


#: Calls whose texts a user reads.
TELLING = {
    "confirmOkCancelDisplay",
    "errorDisplay",
    "warningDisplay",
    "CTQAError",
    "PackagesError",
    "SampleError",
    "RunEnd",
    "MeasuringState",
    "VolumeFacts",
    "_on_progress",
    "abandon",
    "getExistingDirectory",
}


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def bare_texts(node: ast.AST) -> list[str]:
    """Words in an expression that do not go through _(); names of columns and HTML marks are no words."""
    if isinstance(node, ast.Call) and called(node) == "_":
        return []
    if isinstance(node, ast.Constant):
        plain = re.sub(r"<[^>]*>|&[a-z]+;|SHA-256", "", node.value) if isinstance(node.value, str) else ""
        return [node.value] if re.search(r"[A-Za-z]{3}", plain) else []
    if isinstance(node, ast.Compare):
        return []
    if isinstance(node, ast.Call) and not isinstance(node.func, ast.Attribute):
        return [text for value in node.args for text in bare_texts(value)] if called(node) != "getattr" else []
    if isinstance(node, ast.Subscript):
        return bare_texts(node.value)
    return [text for child in ast.iter_child_nodes(node) for text in bare_texts(child)]


def test_the_search_for_bare_texts_finds_them():
    """Guards the test above."""
    for source in ("'Hello there'", "f'{n} slices'", "'Hello' if x else ''", "' '.join(['Hello'])", "str('Hello')"):
        assert bare_texts(ast.parse(source, mode="eval").body)
    for source in ("_('Hello')", "_('Hello {n}').format(n=1)", "f'<b>{_(name)}</b>'", "x['name']", "''"):
        assert not bare_texts(ast.parse(source, mode="eval").body)


def test_translated_texts_are_literals():
    """The translators' tool reads the source: an f-string or a name inside _() is never found."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}"


def test_nothing_is_used_that_pythonqt_or_qt_6_lacks():
    """Both raise only when the line runs, in front of a user."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    gone = (
        "QTextCodec",
        "QRegExp",
        "QDesktopWidget",
        "qt.Signal",
        "qt.Slot",
        "PySide",
        "from PyQt",
        ".exec_()",
        "imp.",
    )
    assert [name for name in gone if re.search(rf"(?<![\w.]){re.escape(name)}", text)] == []
