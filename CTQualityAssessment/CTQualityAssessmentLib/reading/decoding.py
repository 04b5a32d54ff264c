"""Pixel data of DICOM files to stored values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.reading.bounded import DEFLATED, opened_dicom
from CTQualityAssessmentLib.reading.errors import DamagedPixelDataError, NotReadableError, UnsupportedCompressionError
from CTQualityAssessmentLib.reading.frames import Frame

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_RLE = "1.2.840.10008.1.2.5"
#: Decoders of pydicom in the order of trust. GDCM comes last, for JPEG lossless, which no other has: where a damaged
#: stream makes the others raise, GDCM may end the process.
_PLUGINS = ("pyjpegls", "pylibjpeg", "pydicom", "pillow", "gdcm")

#: Run lengths grow 64-fold at most (PS3.5 annex G.3.1).
_MOST_RLE = 64
#: Pixels of a compressed frame whose own matrix is not known.
_MOST_UNTOLD = 1 << 26
_JPEG_START = b"\xff\xd8"
_JPEG_SCAN = 0xDA
_JPEG_2000_START = b"\xff\x4f\xff\x51"
#: Start-of-frame markers of JPEG (C0 to CF but for tables and extensions) and JPEG-LS (F7).
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})


def check_codec(transfer_syntax: str) -> None:
    """Raise UnsupportedCompressionError where no installed decoder knows the transfer syntax."""
    if transfer_syntax:
        _plugin(transfer_syntax)


def decode_file(frame: Frame) -> NDArray[np.generic]:
    """Stored values of a single-frame file, ``(rows, columns)``.

    Raises:
        DamagedPixelDataError: pixel data are absent, cut short or damaged.
        NotReadableError: the file may not be opened any more.
    """
    (stored,) = decode_frames([frame])
    return stored


def decode_frames(frames: Sequence[Frame]) -> Iterator[NDArray[np.generic]]:
    """Stored values of frames that are in one file, one after the other.

    Uncompressed multi-frame data are read frame by frame, so that no second copy of the volume is in memory.

    Raises:
        DamagedPixelDataError, NotReadableError: as :func:`decode_file`.
    """
    from pydicom.pixels import iter_pixels, pixel_array

    first = frames[0]
    try:
        if first.index is not None and _is_native(first.transfer_syntax):
            yield from iter_pixels(first.path, indices=[frame.index for frame in frames], raw=True)
            return
        dataset = _load(first)
        plugin = _plugin(dataset.file_meta.TransferSyntaxUID)
        for frame in frames:
            _check_codestream(dataset, frame, plugin)
            yield pixel_array(dataset, index=frame.index, raw=True, decoding_plugin=plugin)
    except PermissionError:
        raise NotReadableError from None
    except MemoryError:
        raise
    except Exception:
        # Decoders of damaged data raise anything; that there is a codec was checked before.
        raise DamagedPixelDataError from None


def _plugin(transfer_syntax: str) -> str:
    """Name of the decoder to use, "" for uncompressed data."""
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

    try:
        decoder = get_decoder(UID(transfer_syntax))
    except NotImplementedError:
        raise UnsupportedCompressionError from None
    if not decoder.UID.is_encapsulated:
        return ""
    for plugin in _PLUGINS:
        if plugin in decoder.available_plugins:
            return plugin
    raise UnsupportedCompressionError


def _is_native(transfer_syntax: str) -> bool:
    from pydicom.uid import UID

    return transfer_syntax not in ("", DEFLATED) and not UID(transfer_syntax).is_encapsulated


def _load(frame: Frame) -> Dataset:
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    with opened_dicom(frame.path) as file:
        dataset = dcmread(file, force=True)
    if not frame.transfer_syntax:
        implicit = dataset.original_encoding[0]
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    return dataset


def _check_codestream(dataset: Dataset, frame: Frame, plugin: str) -> None:
    """Refuse a compressed frame whose own matrix is not that of the header, before memory is asked for it."""
    from pydicom.encaps import get_frame

    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    options: dict[str, Any] = {"number_of_frames": int(frame.number("NumberOfFrames") or 1)}
    if "ExtendedOffsetTable" in dataset:
        options["extended_offsets"] = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    codestream = get_frame(dataset.PixelData, frame.index or 0, **options)
    pixels = frame.rows * frame.columns
    if dataset.file_meta.TransferSyntaxUID == _RLE:
        if pixels * _bytes_a_pixel(frame) > _MOST_RLE * len(codestream):
            raise DamagedPixelDataError
        return
    if not _samples_agree(dataset, codestream) or (plugin == "gdcm" and not jpeg_header_is_whole(codestream)):
        raise DamagedPixelDataError
    matrix = codestream_matrix(codestream)
    if matrix not in (None, (frame.rows, frame.columns)) or (matrix is None and pixels > _MOST_UNTOLD):
        raise DamagedPixelDataError


def _samples_agree(dataset: Dataset, codestream: bytes) -> bool:
    """Whether header and codestream of a JPEG agree on what a sample is; GDCM ends the process where it cannot be."""
    start = _jpeg_frame(codestream)
    if start is None:
        return True
    precision, components = codestream[start + 4], codestream[start + 9]
    allocated, stored = int(dataset.get("BitsAllocated", 0)), int(dataset.get("BitsStored", 0))
    return (
        components == 1
        and allocated in (8, 16)
        and 2 <= precision <= allocated
        and 1 <= stored <= allocated
        and int(dataset.get("SamplesPerPixel", 0)) == 1
        and int(dataset.get("PixelRepresentation", 0)) in (0, 1)
    )


def check_claims(frames: Sequence[Frame]) -> None:
    """Refuse frames that their files cannot hold, before memory is asked for the volume.

    Files without compression must be as large as their pixels. Of the others the first frame is decoded for trial.

    Raises:
        DamagedPixelDataError, NotReadableError: as :func:`decode_file`.
    """
    claimed: dict[Path, int] = {}
    for frame in frames:
        if _is_native(frame.transfer_syntax) or not frame.transfer_syntax:
            claimed[frame.path] = claimed.get(frame.path, 0) + frame.rows * frame.columns * _bytes_a_pixel(frame)
    try:
        if any(path.stat().st_size < size for path, size in claimed.items()):
            raise DamagedPixelDataError
    except OSError:
        raise NotReadableError from None
    first = next((frame for frame in frames if frame.path not in claimed), None)
    if first is not None and decode_file(first).shape != (first.rows, first.columns):
        raise DamagedPixelDataError


def _bytes_a_pixel(frame: Frame) -> int:
    return max(1, int(frame.number("BitsAllocated") or 16) // 8)


def codestream_matrix(codestream: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG, JPEG-LS or JPEG 2000 codestream (ITU-T T.81 B.2.2, T.87 C.2.2, T.800 A.5.1).

    None where it is none of these or has no such marker.
    """
    if codestream[:4] == _JPEG_2000_START:
        columns, rows, left, top = (int.from_bytes(codestream[at : at + 4], "big") for at in (8, 12, 16, 20))
        return rows - top, columns - left
    start = _jpeg_frame(codestream)
    if start is None:
        return None
    rows, columns = (int.from_bytes(codestream[n : n + 2], "big") for n in (start + 5, start + 7))
    return rows, columns


def jpeg_header_is_whole(codestream: bytes) -> bool:
    """Whether one marker segment follows the other from a JPEG's start to its scan (ITU-T T.81 B.1.1, B.2.1).

    GDCM ends the process where its JPEG library warns before the scan: of bytes between segments, of an end before the
    scan, of a JFIF or Adobe segment of another kind.
    """
    at = 2 if codestream[:2] == _JPEG_START else len(codestream)
    while at + 4 <= len(codestream) and codestream[at] == 0xFF:
        marker, length = codestream[at + 1], int.from_bytes(codestream[at + 2 : at + 4], "big")
        if marker == 0xFF:  # bytes to fill up may stand before a marker
            at += 1
            continue
        content = codestream[at + 4 : at + 2 + length]
        told = content[:5] == b"JFIF\0" and content[5:6] != b"\1"
        told = told or (content[:5] == b"Adobe" and content[11:12] > b"\2")
        if length < 2 or told or len(content) < length - 2:
            return False
        if marker == _JPEG_SCAN:
            return True
        at += 2 + length
    return False


def _jpeg_frame(codestream: bytes) -> int | None:
    """Where the frame header of a JPEG or JPEG-LS begins, at its marker; None where there is none."""
    if codestream[:2] != _JPEG_START:
        return None
    at = 2
    while at + 10 <= len(codestream) and codestream[at] == 0xFF:
        if codestream[at + 1] in _JPEG_FRAMES:
            return at
        at += 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
    return None
