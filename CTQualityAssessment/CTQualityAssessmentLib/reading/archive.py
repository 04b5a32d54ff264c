"""Reading and unpacking a zip that may come from anywhere."""

from __future__ import annotations

import errno
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from CTQualityAssessmentLib.calls import Cancelled, never
from CTQualityAssessmentLib.reading.errors import (
    DamagedArchiveError,
    ReadingCancelledError,
    TooLargeError,
    UnsafeArchiveError,
)
from CTQualityAssessmentLib.reading.files import natural_key
from CTQualityAssessmentLib.scratch import scratch_folder

_PREFIX = "ctqa-unpacked-"
_MAX_FILES = 20_000
_MAX_BYTES = 8 * 1024**3
#: A stack of CT slices shrinks two- to fourfold, one full of air a hundredfold; from this size on no CT shrinks more.
_RATIO_FROM_BYTES = 256 * 1024**2
_MAX_RATIO = 100
#: Not LZMA: a few bytes can ask for gigabytes of memory.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)


@dataclass(frozen=True)
class Member:
    """A file in a zip, under a name of our own.

    Files are numbered in the natural order of their names and keep a plain suffix, so that no name reaches anywhere.
    """

    name: str
    _zipped: zipfile.ZipFile
    _entry: zipfile.ZipInfo

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its content, unpacked while it is read: nothing is written anywhere.

        Raises:
            DamagedArchiveError: it cannot be unpacked.
        """
        with _damaged(), self._zipped.open(self._entry) as file:
            yield file


@contextmanager
def opened_archive(archive: Path, room_bytes: float = inf) -> Iterator[list[Member]]:
    """The files in a zip, which may come from anywhere, once its directory is known to be harmless.

    Args:
        archive: the zip.
        room_bytes: how much there is place for where it will be unpacked.

    Raises:
        UnsafeArchiveError: path tricks, links, encryption, or a bomb.
        TooLargeError: more than 20 000 files, 8 GiB or the room.
        DamagedArchiveError: it cannot be read.
    """
    with ExitStack() as stack:
        with _damaged():
            zipped = stack.enter_context(zipfile.ZipFile(archive))
            entries = [entry for entry in zipped.infolist() if not entry.is_dir()]
        _check(entries, room_bytes)
        ordered = sorted(entries, key=lambda entry: natural_key(entry.filename))
        yield [Member(f"{number:06d}{_suffix(entry)}", zipped, entry) for number, entry in enumerate(ordered)]


@contextmanager
def unpacked(archive: Path, cancelled: Cancelled = never) -> Iterator[Path]:
    """The folder that a zip was unpacked into, see :class:`Member`; it goes afterwards.

    It lies in the computer's temporary folder. What a killed process left there goes when the next zip is unpacked.

    Raises:
        UnsafeArchiveError, TooLargeError, DamagedArchiveError: as :func:`opened_archive`.
        ReadingCancelledError: ``cancelled`` said so.
    """
    with ExitStack() as stack:
        with _damaged():
            folder = stack.enter_context(scratch_folder(_PREFIX))
        with opened_archive(archive, shutil.disk_usage(folder).free) as members:
            for member in members:
                if cancelled():
                    raise ReadingCancelledError
                # zipfile yields no more bytes than the directory promised, so what was checked holds for lies too.
                with member.opened() as source, (folder / member.name).open("wb") as sink:
                    shutil.copyfileobj(source, sink, 1024**2)
        yield folder


@contextmanager
def _damaged() -> Iterator[None]:
    """Whatever zipfile stumbles over, in our words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TooLargeError("the free disk space") from None
        raise DamagedArchiveError from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OverflowError):
        raise DamagedArchiveError from None


def _check(entries: list[zipfile.ZipInfo], room_bytes: float) -> None:
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
        if entry.compress_type not in _METHODS:
            raise UnsafeArchiveError("it is compressed in an unusual way")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > min(_MAX_BYTES, room_bytes):
        raise TooLargeError(f"{_MAX_BYTES // 1024**3} GiB unpacked, or of the free disk space")
    if unpacked > max(_RATIO_FROM_BYTES, _MAX_RATIO * sum(entry.compress_size for entry in entries)):
        raise UnsafeArchiveError("it grows more than a hundredfold when unpacked")


def _suffix(entry: zipfile.ZipInfo) -> str:
    name = PurePosixPath(entry.filename.lower())
    return ".nii.gz" if name.name.endswith(".nii.gz") else name.suffix if re.fullmatch(r"\.\w+", name.suffix) else ""
