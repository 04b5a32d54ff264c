"""Which files an input consists of."""

from __future__ import annotations

import os
import re
from pathlib import Path

from CTQualityAssessmentLib.reading.errors import NotReadableError, PathNotFoundError, TooLargeError

#: Suffixes of the formats that are not recognised by their content.
NIFTI_SUFFIXES = (".nii", ".nii.gz")
METAIMAGE_SUFFIXES = (".mha", ".mhd")
NRRD_SUFFIXES = (".nrrd", ".nhdr")
ITK_SUFFIXES = (*NRRD_SUFFIXES, *METAIMAGE_SUFFIXES)
TIFF_SUFFIXES = (".tif", ".tiff")

_MAX_FILES = 100_000


def has_suffix(path: Path, suffixes: tuple[str, ...]) -> bool:
    """Whether the file name ends so, in either case."""
    return path.name.lower().endswith(suffixes)


def natural_key(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key that puts "slice2" before "slice10"."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name.lower()))


def files_in(path: Path) -> list[Path]:
    """The file itself, or every file under a folder in natural order; links to folders are not followed.

    Raises:
        PathNotFoundError: nothing is there.
        NotReadableError: a folder or file may not be opened.
        TooLargeError: more than 100 000 files.
    """
    try:
        if not path.exists():
            raise PathNotFoundError
        if path.is_file():
            _check_readable(path)
            return [path]
    except PermissionError:
        raise NotReadableError from None

    found: list[Path] = []
    for folder, _, names in os.walk(path, onerror=_refuse):
        for name in names:
            file = Path(folder) / name
            if file.is_file() and not name.startswith("._"):  # not a pipe, nor a Mac's resource fork
                _check_readable(file)
                found.append(file)
        if len(found) > _MAX_FILES:
            raise TooLargeError(f"{_MAX_FILES} files")
    return sorted(found, key=lambda file: natural_key(file.relative_to(path).as_posix()))


def _check_readable(file: Path) -> None:
    if not os.access(file, os.R_OK):
        raise NotReadableError


def _refuse(error: OSError) -> None:
    raise NotReadableError from None
