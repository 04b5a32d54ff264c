"""Private folders for files on their way to somewhere, and the way into a folder that others may write to as well."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_LOCK, _FILES = "lock", "files"
#: A folder that was made this short a time ago may not be locked yet.
_YOUNG_S = 60.0


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """An empty folder that only this user can open; it goes with all that is in it when the block ends.

    A killed process cannot tidy up. So the folder holds a file that is locked as long as its process lives, and
    whoever asks for a folder of the same prefix in the same place removes those of this user that nobody holds.

    Args:
        prefix: of its name, one for each purpose.
        parent: where; the computer's temporary folder by default.

    Raises:
        OSError: it cannot be created.
    """
    where = Path(tempfile.gettempdir()) if parent is None else parent
    _sweep(where, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=where))
    try:
        with (folder / _LOCK).open("wb") as held:
            _hold(held)
            files = folder / _FILES
            files.mkdir(mode=0o700)
            yield files
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(where: Path, prefix: str) -> None:
    for folder in where.glob(f"{prefix}*"):
        with suppress(OSError):  # another process took it first, or it is not ours
            if _abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path) -> bool:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or time.time() - status.st_mtime < _YOUNG_S:
        return False
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        return False
    if fcntl is None:
        (folder / _LOCK).unlink()  # Windows refuses this while the file is open
        return True
    with (folder / _LOCK).open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process of this program is in such a block for the same folder.

    No file is left behind; a killed process holds nobody up. Where folders cannot be locked (Windows, some network
    disks) nobody waits.
    """
    if fcntl is None:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _hold(file: BinaryIO) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a disk without locks: nothing there is ever taken for abandoned
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
