"""A look at an NRRD header before ITK's parser, which puts its lines into fixed memory, sees it."""

from __future__ import annotations

import re
from pathlib import Path

_LONGEST_HEADER = 1024**2
#: Bytes of a field's line; ITK's parser writes beyond its memory from about a thousand on.
_LONGEST_LINE = 500
#: What the parser keeps as it is: comments, keys with their values, and the free description.
_FREE = re.compile(rb"#|[^:]*:=|content\s*:", re.IGNORECASE)


def is_sound_nrrd(path: Path) -> bool:
    """Whether the header has an end, and no line that ITK's parser has no room for."""
    with path.open("rb") as file:
        header = file.read(_LONGEST_HEADER)
    for line in header.split(b"\n"):
        if not line.strip():  # the data follow
            return True
        if len(line) > _LONGEST_LINE and not _FREE.match(line):
            return False
    return len(header) < _LONGEST_HEADER
