"""Which other files a header with detached data (MHD, NHDR) names."""

from __future__ import annotations

import os
import re
from pathlib import Path

from CTQualityAssessmentLib.reading.files import METAIMAGE_SUFFIXES, NRRD_SUFFIXES, has_suffix

_LONGEST_HEADER = 1024**2
_MOST_FILES = 100_000
_INDEXED = re.compile(r"(.*%[0-9]*d.*?)\s+(-?[0-9]+)\s+(-?[0-9]+)\s+(-?[0-9]+)(?:\s+[0-9]+)?")


def data_files(header: Path) -> tuple[Path, ...]:
    """The files, beside the header itself, that hold the voxels of an image; none where they follow the header.

    Files that are named but not there are named too. Formats: MetaImage (ElementDataFile) and NRRD (data file), each
    with one file, a pattern with first, last and step, or a list.

    Args:
        header: a MetaImage or NRRD file; of any other there are none.
    """
    try:
        with header.open("rb") as file:
            text = os.fsdecode(file.read(_LONGEST_HEADER))
    except OSError:
        return ()
    if has_suffix(header, METAIMAGE_SUFFIXES):
        names = _named_by_metaimage(text)
    elif has_suffix(header, NRRD_SUFFIXES):
        names = _named_by_nrrd(text)
    else:
        names = []
    return tuple(header.parent / name for name in names if name and "\0" not in name)


def _named_by_metaimage(text: str) -> list[str]:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        name, equals, value = line.partition("=")
        if equals and name.strip() == "ElementDataFile":
            word = value.split()[0].upper() if value.split() else ""
            if word == "LOCAL":
                return []
            return _listed(lines[number + 1 :]) if word == "LIST" else _one_or_indexed(value.strip())
    return []


def _named_by_nrrd(text: str) -> list[str]:
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not line.strip():  # the data follow
            return []
        name, colon, value = line.partition(":")
        if colon and name.strip().lower() in ("data file", "datafile"):
            return _listed(lines[number + 1 :]) if value.split()[:1] == ["LIST"] else _one_or_indexed(value.strip())
    return []


def _listed(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines]


def _one_or_indexed(value: str) -> list[str]:
    indexed = _INDEXED.fullmatch(value)
    if not indexed:
        return [value]
    pattern, first, last, step = indexed[1], *(int(number) for number in indexed.groups()[1:])
    if step == 0 or abs(last - first) // abs(step) > _MOST_FILES:
        return []
    numbers = range(first, last + (1 if step > 0 else -1), step)
    before, digits, after = re.fullmatch(r"(.*)%([0-9]*)d(.*)", pattern).groups()  # type: ignore[union-attr]
    width = min(int(digits.lstrip("0") or 0), 32)
    return [f"{before}{str(n).zfill(width) if digits.startswith('0') else str(n).rjust(width)}{after}" for n in numbers]
