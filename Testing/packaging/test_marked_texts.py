"""If these fail, a text that users read stays English, because no catalogue can ever hold it or nobody marked it."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from CTQualityAssessmentLib.translation import marked_in

MODULE = Path(__file__).resolve().parents[2] / "CTQualityAssessment"
LIBRARY = MODULE / "CTQualityAssessmentLib"
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(MODULE.rglob("*.py"))}
#: Whose errors and notes the panel shows, beside those of files in the library's own folder. The panel hands over
#: voxels, so that it never hears of files that cannot be read.
SHOWN = ("panel", "mrml", "models", "assessment", "worker")
#: Not of the panel: the extension's self-test, and what the command line and the viewer write.
NOT_SHOWN = ("self_test.py", "result_files.py")
MARKS = ("marks_of", "texts_of")


def calls_of(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def marks(tree: ast.Module) -> bool:
    """Whether ``_`` of this file marks texts."""
    return any(True for name in MARKS for _ in calls_of(tree, name)) or any(
        isinstance(node, ast.ImportFrom) and any(one.asname == "_" for one in node.names) for node in ast.walk(tree)
    )


MARKING = [path for path, tree in TREES.items() if path.name != "translation.py" and marks(tree)]


def marked(tree: ast.AST) -> list[str]:
    """All texts that go through a function which marks."""
    return [node.args[0].value for node in calls_of(tree, "_") if isinstance(node.args[0], ast.Constant)]


def collected(source: str) -> list[str]:
    """What lupdate finds once Slicer's Utilities/Scripts has put ``translate("context", ...)`` for ``_(...)``.

    lupdate takes an f-string for a text without code in it.
    """
    for pattern in (r'([^_])_\((\s*?".+?"\s*?)\)', r"([^_])_\((\s*?'.+?'\s*?)\)"):
        source = re.sub(pattern, r"\1translate(context, \2)", source, flags=re.DOTALL)
    tree = ast.parse(source)
    inside = {id(node) for outer in ast.walk(tree) if isinstance(outer, ast.JoinedStr) for node in ast.walk(outer)}
    return [
        node.args[1].value
        for node in calls_of(tree, "translate")
        if id(node) not in inside and len(node.args) == 2 and isinstance(node.args[1], ast.Constant)
    ]


@pytest.mark.parametrize("path", MARKING, ids=lambda path: path.relative_to(MODULE).as_posix())
def test_the_collector_of_texts_finds_every_marked_text(path):
    """What it does not find is in no catalogue."""
    assert set(marked(TREES[path])) <= set(collected(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MARKING, ids=lambda path: path.relative_to(MODULE).as_posix())
def test_texts_from_elsewhere_are_looked_up_among_all_marked_ones(path):
    """What a worker tells is searched for in the sources, which are read without parsing them."""
    assert sorted(marked_in(path.read_text(encoding="utf-8"))) == sorted(marked(TREES[path]))


def test_every_function_that_marks_is_called_underscore():
    """Under another name its texts escape the collector."""
    named = {
        (path.name, ast.unparse(node.targets[0]))
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(True for name in MARKS for _ in calls_of(node.value, name))
    }
    assert len(named) > 10 and {target for _, target in named} == {"_"}


def test_the_search_for_marked_texts_sees_what_escapes():
    """Guards the tests above."""
    for source in ("_ = f\nx = f\"{_('Hello')}\"", 'x = _("Hello",)'):
        assert marked(ast.parse(source)) == ["Hello"] and collected(source) == []
    for source in ('x = _("Hello")', "x = _('Hello')", 'x = _(\n    "Hel"\n    "lo"\n)', 'x = y(_("Hello").format())'):
        assert marked(ast.parse(source)) == collected(source) == marked_in(source) == ["Hello"]
    assert collected('x = _mark("Hello")') == []


def told_classes() -> set[str]:
    """CTQAError and all that derive from it, in the whole library."""
    bases = {
        node.name: {ast.unparse(base).rsplit(".", 1)[-1] for base in node.bases}
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"CTQAError"}
    while more := {name for name, of in bases.items() if of & found} - found:
        found |= more
    return found


TOLD = told_classes()


def tells(name: str) -> bool:
    """Whether a user reads the texts in a call of this class.

    Of the errors that Python itself has, the reasons of the file system only: errors for programmers, such as a
    ValueError, are replaced by one of ours, or go to the log.
    """
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, BaseException):
        return issubclass(known, OSError)
    return name in TOLD or name.endswith("Error")


def words(node: ast.AST) -> list[str]:
    """Texts in an expression that do not go through _()."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
        return []
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) and re.search(r"[A-Za-z]{3}", node.value) else []
    if isinstance(node, ast.Subscript):
        return words(node.value)
    return [text for child in ast.iter_child_nodes(node) for text in words(child)]


def unmarked(tree: ast.AST) -> list[str]:
    """Texts of errors, and sentences that a function returns or yields, alone or in a list, that nobody marked."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if tells(name):
                found += words(node)
        elif isinstance(node, ast.ClassDef) and node.name in TOLD:
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    found += words(call)
        elif isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
            found += [text for text in words(node.value) if re.search(r"[a-z] [a-z]+ .*\.$", text)]
    return found


@pytest.mark.parametrize("path", TREES, ids=lambda path: path.relative_to(MODULE).as_posix())
def test_what_the_panel_tells_is_marked(path):
    """An error, its reason or a warning without _() stays English in every language."""
    place = path.relative_to(MODULE).parts
    of_library = len(place) == 2 or place[1:2] in [(one,) for one in SHOWN] or place[1:] == ("reporting", "folder.py")
    if of_library and path.name not in NOT_SHOWN:
        assert unmarked(TREES[path]) == []


def test_the_search_for_unmarked_texts_finds_them():
    """Guards the test above."""
    for source in (
        "raise CTQAError('Hello', _('There'))",
        "raise UnsafeBundle(f'{n} is unsafe')",
        "raise errors.SampleError(_('Hello'), 'Do that.')",
        "raise OSError(1, 'No plain file')",
        "class DamagedBundle(BundleError):\n def __init__(self):\n  super().__init__('Hello', 'There')",
        "def f():\n return ['The volume is not one.']",
    ):
        assert unmarked(ast.parse(source))
    for source in ("raise CTQAError(_('Hello'), _('{n}').format(n=1))", "raise ValueError('no size')", "x = ['Hello']"):
        assert not unmarked(ast.parse(source))
