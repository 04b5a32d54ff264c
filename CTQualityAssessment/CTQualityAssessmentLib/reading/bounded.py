"""DICOM files as pydicom may parse them: no claim of a damaged or hostile file makes it ask for much memory."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import IO

DEFLATED = "1.2.840.10008.1.2.1.99"
#: The meta header, in which the transfer syntax stands, is shorter in practice.
_START = 4096
#: A file that grows beyond both is no CT: so much, and so many times its size.
_INFLATED_BYTES, _INFLATED_RATIO = 256 * 1024**2, 100
_CHUNK = 1024**2


class InflatedTooLargeError(ValueError):
    """A deflated dataset is a bomb."""


class BoundedFile(io.BufferedReader):
    """A file of which nobody can ask for more than there is.

    An element may claim four gigabytes; a plain file asks the system for as much before it finds out.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file."""
        if size is not None and size > 0:
            size = min(size, max(0, self._size - self.tell()))
        return super().read(size)


def opened_dicom(path: Path) -> BoundedFile:
    """A file for ``dcmread``; the caller closes it.

    Raises:
        InflatedTooLargeError: its deflated dataset grows beyond what a CT has.
        OSError: it cannot be opened.
    """
    file = BoundedFile(path)
    try:
        check_deflated(file)
    except BaseException:
        file.close()
        raise
    return file


def check_deflated(file: IO[bytes]) -> None:
    """Inflate a deflated dataset piece by piece to see how large it gets; other files are not looked at further.

    Args:
        file: from its first byte on; it stands there again afterwards.

    Raises:
        InflatedTooLargeError: it grows beyond what a CT has.
    """
    start = file.read(_START)
    named = start.find(DEFLATED.encode())
    if start[128:132] == b"DICM" and named > 0:
        # The group length of the meta header says where the dataset begins.
        file.seek(144 + int.from_bytes(start[140:144], "little"))
        _check_size(file)
    file.seek(0)


def _check_size(file: IO[bytes]) -> None:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    packed = inflated = 0
    while piece := file.read(_CHUNK):
        packed += len(piece)
        while piece:
            try:
                inflated += len(inflate.decompress(piece, _CHUNK))
            except zlib.error:  # damaged, which the parser will find too
                return
            piece = inflate.unconsumed_tail
            if inflated > max(_INFLATED_BYTES, _INFLATED_RATIO * packed):
                raise InflatedTooLargeError
