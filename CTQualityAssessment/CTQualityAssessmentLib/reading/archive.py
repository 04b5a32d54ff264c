"""Unpacking a zip that may come from anywhere."""

from __future__ import annotations

import re
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from CTQualityAssessmentLib.calls import Cancelled, never
from CTQualityAssessmentLib.reading.errors import (
    DamagedArchiveError,
    ReadingCancelledError,
    TooLargeError,
    UnsafeArchiveError,
)
from CTQualityAssessmentLib.reading.files import natural_key

_MAX_FILES = 20_000
_MAX_BYTES = 8 * 1024**3
#: A stack of CT slices shrinks two- to fourfold, one full of air a hundredfold; from this size on no CT shrinks more.
_RATIO_FROM_BYTES = 256 * 1024**2
_MAX_RATIO = 100


def unpack(archive: Path, target: Path, cancelled: Cancelled = never) -> None:
    """Unpack a zip into an empty folder under names of our own, so that no name in it can reach anywhere.

    Files are numbered in the natural order of their names and keep a plain suffix.

    Raises:
        UnsafeArchiveError: path tricks, links, encryption, or a bomb.
        TooLargeError: more than 20 000 files, 8 GiB or the free disk space.
        DamagedArchiveError: it cannot be unpacked.
        ReadingCancelledError: ``cancelled`` said so.
    """
    try:
        with zipfile.ZipFile(archive) as zipped:
            entries = [entry for entry in zipped.infolist() if not entry.is_dir()]
            _check(entries, shutil.disk_usage(target).free)
            for number, entry in enumerate(sorted(entries, key=lambda e: natural_key(e.filename))):
                if cancelled():
                    raise ReadingCancelledError
                # zipfile yields no more bytes than the directory promised, so the check above holds for lies too.
                with zipped.open(entry) as source, (target / f"{number:06d}{_suffix(entry)}").open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1024**2)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError):
        raise DamagedArchiveError from None


def _check(entries: list[zipfile.ZipInfo], free_bytes: int) -> None:
    if len(entries) > _MAX_FILES:
        raise TooLargeError(f"{_MAX_FILES} files")
    for entry in entries:
        # orig_filename is what the archive says; filename is already mended by zipfile.
        windows, posix = PureWindowsPath(entry.orig_filename), PurePosixPath(entry.orig_filename)
        if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
            raise UnsafeArchiveError("a file in it has a name that leads out of its folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UnsafeArchiveError("it holds a link")
        if entry.flag_bits & 0x1:
            raise UnsafeArchiveError("it is encrypted")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > min(_MAX_BYTES, free_bytes):
        raise TooLargeError(f"{_MAX_BYTES // 1024**3} GiB unpacked, or of the free disk space")
    if unpacked > max(_RATIO_FROM_BYTES, _MAX_RATIO * sum(entry.compress_size for entry in entries)):
        raise UnsafeArchiveError("it grows more than a hundredfold when unpacked")


def _suffix(entry: zipfile.ZipInfo) -> str:
    name = PurePosixPath(entry.filename.lower())
    return ".nii.gz" if name.name.endswith(".nii.gz") else name.suffix if re.fullmatch(r"\.\w+", name.suffix) else ""
