"""Texts in the reader's language, for code that does not know who translates.

A host that has translations (3D Slicer) brings a translator with :func:`use_translator`; without one every text stays
as it is written. There are two kinds of code with texts:

* Code that shows them begins with ``_ = texts_of(__file__)``; its ``_("...")`` translates at once.
* Code whose texts travel, in results, in errors or from one process to another, begins with ``_ = marks_of(__file__)``;
  its ``_("...")`` leaves them in English, so that files and messages are the same everywhere. Whoever shows such a text
  translates it with :func:`said`, an error with :func:`told`.

Both mark the text for a tool that collects texts to translate by ``_("...")`` and the name of the file. :func:`said`
looks into the sources itself once, because what a worker tells was never marked in this process.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from CTQualityAssessmentLib.errors import CTQAError

#: ``translator(source file, text)`` gives the text in the reader's language, the same text where it knows none.
Translator = Callable[[str, str], str]

_PLACEHOLDER = re.compile(r"\{(\w+)(?:![rsa])?(?::[^{}]*)?\}")

#: One or more literals, such as "a" "b" over two lines, as the only argument.
_MARKED = re.compile(r"""(?<![\w.])_\(\s*((?:"(?:[^"\\\n]|\\.)*"\s*|'(?:[^'\\\n]|\\.)*'\s*)+)\)""")

_translator: Translator | None = None
_known: dict[tuple[str, str], str] = {}
#: Files with marked texts that nobody looked into yet.
_unread: list[str] = []
#: Marked texts without and with placeholders, and the file that each stands in.
_plain: dict[str, str] = {}
_templates: dict[str, tuple[re.Pattern[str], str]] = {}


def use_translator(translator: Translator | None) -> None:
    """Translate with this from now on; None for texts as they are written."""
    global _translator
    _translator = translator
    _known.clear()


@contextmanager
def untranslated() -> Iterator[None]:
    """Texts as they are written, for files that are read elsewhere."""
    before = _translator
    use_translator(None)
    try:
        yield
    finally:
        use_translator(before)


def texts_of(file: str) -> Callable[[str], str]:
    """The function ``_`` of a file that shows its texts."""

    def translated(text: str) -> str:
        return _translated(file, text)

    return translated


def marks_of(file: str) -> Callable[[str], str]:
    """The function ``_`` of a file whose texts travel: it gives back what it gets, and :func:`said` knows it then.

    A text with values is marked before they are filled in, ``_("{done} of {total}").format(...)``; each placeholder has
    a name and occurs once.
    """
    _unread.append(file)
    return str


def said(text: str) -> str:
    """A text that came from elsewhere, translated where it was marked: as it is, or with values filled in.

    Values that are marked texts themselves are translated too. What nobody marked (names, what a model says of itself)
    comes back as it is.
    """
    if _translator is None or not text:
        return text
    while _unread:
        _read(_unread.pop())
        _template_of.cache_clear()
    if text in _plain:
        return _translated(_plain[text], text)
    found = _template_of(text)
    if found is None:
        return text
    file, template, values = found
    return _filled(_translated(file, template), values)


def told(error: CTQAError) -> str:
    """What an error tells the user: the problem and the way out."""
    return f"{said(error.problem)} {said(error.advice)}"


@lru_cache(maxsize=256)
def _template_of(text: str) -> tuple[str, str, dict[str, str]] | None:
    """File, template and values of a text that was filled in; a volume says the same of many slices."""
    for template, (pattern, file) in _templates.items():
        found = pattern.fullmatch(text)
        if found is not None:
            return file, template, found.groupdict()
    return None


def _filled(template: str, values: dict[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda place: said(values[place[1]]), template)


def _translated(file: str, text: str) -> str:
    if _translator is None or not text:
        return text
    if (file, text) not in _known:
        translation = _translator(file, text)
        # A translation that lost a placeholder would stop the program where the value is filled in.
        same = set(_PLACEHOLDER.findall(translation)) == set(_PLACEHOLDER.findall(text))
        _known[file, text] = translation if same else text
    return _known[file, text]


def _read(file: str) -> None:
    """Know the texts that are marked in a source file; without its source they stay as they are."""
    with suppress(OSError):
        for text in marked_in(Path(file).read_text(encoding="utf-8")):
            if _PLACEHOLDER.search(text):
                _templates[text] = (_pattern(text), file)
            else:
                _plain[text] = file


def marked_in(source: str) -> list[str]:
    """The literals inside ``_("...")`` of a Python source, in order.

    Not by parsing: a window waits for it, and parsing all sources takes ten times as long.
    """
    return [ast.literal_eval(f"({literals})") for literals in _MARKED.findall(source)]


def _pattern(template: str) -> re.Pattern[str]:
    parts, end = [], 0
    for place in _PLACEHOLDER.finditer(template):
        parts += [re.escape(template[end : place.start()]), f"(?P<{place[1]}>.*?)"]
        end = place.end()
    return re.compile("".join(parts) + re.escape(template[end:]), re.DOTALL)
