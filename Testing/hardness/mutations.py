"""Ways in which a DICOM file can be broken: its bytes, its elements, what its pixels claim to be.

Every mutation takes a generator of random numbers and the bytes of one file, and gives other bytes. The same seed
gives the same bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from random import Random

from CTQualityAssessmentLib.reading.quiet import quiet
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag
from pydicom.uid import UID

from Testing.hardness.bases import SYNTAXES

Mutation = Callable[[Random, bytes], bytes]

#: Elements that decide what is read, and how.
_TELLING = (
    "Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored HighBit "
    "PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit RescaleSlope RescaleIntercept RescaleType "
    "ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness SpacingBetweenSlices GantryDetectorTilt "
    "Modality ImageType SOPClassUID SOPInstanceUID SeriesInstanceUID StudyInstanceUID FrameOfReferenceUID SeriesNumber "
    "KVP XRayTubeCurrent Exposure CTDIvol ConvolutionKernel AcquisitionNumber SpecificCharacterSet PlanarConfiguration "
    "CTDIPhantomTypeCodeSequence PixelData PerFrameFunctionalGroupsSequence SharedFunctionalGroupsSequence "
    "LossyImageCompression ReconstructionDiameter BodyPartExamined"
).split()
#: Texts where a number should be.
NUMBERS = (
    "NaN nan inf -inf Infinity 0 -0 -1 1e-300 1e300 1e30 -1e30 1e9 2147483647 2147483648 4294967296 "
    "99999999999999999999 0.0000001 1,5 0x10 1e 1e999 ' '"
).split()
_TEXTS = (
    b"",
    b" ",
    b"\0\0",
    b"CT\\MR",
    b"\xff\xfe\xfd",
    b"\xc3\x28",
    b"A" * 4000,
    b"\\" * 2000,
    b"1\\2\\3\\4\\5\\6\\7\\8",
    b"../../etc",
    b"<script>",
    b"\x1b$B\x1b(B",
    b"LOCALIZER",
    b"OD",
)
_SHORTS = (0, 1, 2, 3, 7, 8, 12, 15, 16, 17, 31, 32, 63, 64, 255, 1000, 32767, 32768, 65535)
_VRS = (
    "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV ZZ \0\0"
).split(" ")
_COUNTS = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}


def flip_bytes(rng: Random, content: bytes) -> bytes:
    """A few bytes anywhere become others."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 2, 8, 64))):
        found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found)


def flip_header_bytes(rng: Random, content: bytes) -> bytes:
    """A few bytes of the first 1500 become others: tags, VRs, lengths, values."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 2, 4, 16))):
        found[rng.randrange(min(1500, len(found)))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))
    return bytes(found)


def cut_short(rng: Random, content: bytes) -> bytes:
    """The end is missing, as after a broken transfer."""
    return content[: rng.randrange(len(content))]


def cut_out(rng: Random, content: bytes) -> bytes:
    """A piece in the middle is missing."""
    start = rng.randrange(len(content))
    return content[:start] + content[start + rng.choice((1, 2, 8, 100, 1000)) :]


def repeat_piece(rng: Random, content: bytes) -> bytes:
    """A piece is there twice."""
    start = rng.randrange(len(content))
    end = start + rng.choice((1, 2, 8, 100, 1000))
    return content[:end] + content[start:end] + content[end:]


def blank_piece(rng: Random, content: bytes) -> bytes:
    """A piece is all zeros, as from a damaged disk."""
    start = rng.randrange(len(content))
    piece = len(content[start : start + rng.choice((4, 64, 512, 4096))])
    return content[:start] + bytes(piece) + content[start + piece :]


def append_junk(rng: Random, content: bytes) -> bytes:
    """Something follows the data."""
    return content + rng.randbytes(rng.choice((1, 7, 1000, 100_000)))


def random_bytes(rng: Random, content: bytes) -> bytes:
    """No DICOM at all, with or without its preamble."""
    start = rng.choice((b"", bytes(128) + b"DICM", b"\x08\x00\x05\x00", b"\x02\x00\x10\x00UI"))
    return start + rng.randbytes(rng.choice((0, 1, 3, 131, 132, 133, 5000)))


def huge_length(rng: Random, content: bytes) -> bytes:
    """An element claims to be longer than the file."""
    found = bytearray(content)
    at = rng.randrange(128, max(129, min(1500, len(found) - 8)))
    found[at : at + 4] = struct.pack("<I", rng.choice((0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x40000000, 100_000_000)))
    return bytes(found)


def delete_element(rng: Random, content: bytes) -> bytes:
    """An element is missing."""
    dataset = _parsed(content)
    if dataset is None:
        return content
    del dataset[_some_tag(rng, dataset)]
    return _written(dataset)


def other_value(rng: Random, content: bytes) -> bytes:
    """An element holds what it must not: no number, infinity, too much, too little, nonsense."""
    dataset = _parsed(content)
    if dataset is None:
        return content
    for _ in range(rng.choice((1, 1, 2, 3))):
        tag = _telling_tag(rng)
        _put(dataset, tag, _value(rng, tag))
    return _written(dataset)


def other_type(rng: Random, content: bytes) -> bytes:
    """An element has another VR than it should, and the bytes of before."""
    dataset = _parsed(content)
    if dataset is None:
        return content
    tag = _some_tag(rng, dataset)
    raw = dataset.get_item(tag)
    value = raw.value if isinstance(raw.value, bytes) else rng.randbytes(8)
    _put(dataset, tag, value, rng.choice(_VRS))
    return _written(dataset)


def twice(rng: Random, content: bytes) -> bytes:
    """An element comes a second time at the end, with another value."""
    tag = Tag(_telling_tag(rng))
    value = _value(rng, tag)
    value += b" " * (len(value) % 2)
    vr = dictionary_VR(tag)[:2].encode()
    long = vr in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    length = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value) % 65536)
    return content + struct.pack("<HH", tag.group, tag.element) + vr + length + value


def wrong_syntax(rng: Random, content: bytes) -> bytes:
    """The meta header names another encoding than the file has, or one that nobody knows."""
    dataset = _parsed(content)
    if dataset is None:
        return content
    known = [*SYNTAXES.values(), "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"]
    other = ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.201", "1.2.3", "", "x" * 70]
    return _written(dataset, rng.choice(known + other))


def no_meta(rng: Random, content: bytes) -> bytes:
    """Preamble and meta header are missing."""
    at = content.find(b"\x08\x00\x05\x00")
    return content[at:] if at > 0 else content[132:]


def huge_matrix(rng: Random, content: bytes) -> bytes:
    """The header claims a matrix, or a number of frames, that the file cannot hold."""
    dataset = _parsed(content)
    if dataset is None:
        return content
    for keyword in rng.choice((["Rows"], ["Columns"], ["Rows", "Columns"], ["Rows", "Columns", "NumberOfFrames"])):
        size = rng.choice((2048, 20_000, 32_767, 65_535))
        value = str(size).encode() if keyword == "NumberOfFrames" else struct.pack("<H", size)
        _put(dataset, tag_for_keyword(keyword), value)
    return _written(dataset)


def huge_codestream(rng: Random, content: bytes) -> bytes:
    """The compressed frame itself claims another matrix than the header."""
    size = rng.choice((0, 1, 35, 37, 4096, 65_535))
    found = bytearray(content)
    for start, at, form in ((b"\xff\x4f\xff\x51", 8, ">II"), (b"\xff\xf7", 5, ">HH"), (b"\xff\xc3", 5, ">HH")):
        where = found.find(start, 132)
        if where > 0:
            struct.pack_into(form, found, where + at, size, rng.choice((size, 40)))
    return bytes(found)


def deep_sequence(rng: Random, content: bytes) -> bytes:
    """Sequences inside sequences, deeper than anyone reads."""
    depth = rng.choice((50, 900, 5000))
    item = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    at = content.find(b"\x08\x00\x60\x00")
    at = at if at > 0 else len(content)
    return content[:at] + item * depth + content[at:]


def deflate_bomb(rng: Random, content: bytes) -> bytes:
    """A deflated dataset that grows to half a gigabyte, or to eight."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(b"\x08\x00\x05\x00CS\x02\x00  \x09\x00\x01\x10OB\0\0\xf0\xff\xff\xff")
    head += packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush nothing refers to what came before, so one packed piece can follow itself.
    return _meta(content, SYNTAXES["deflated"]) + head + zeros * rng.choice((32, 512)) + packer.flush()


#: Cheap ones first; the last three are drawn less often.
MUTATIONS: tuple[Mutation, ...] = (
    flip_bytes,
    flip_header_bytes,
    cut_short,
    cut_out,
    repeat_piece,
    blank_piece,
    append_junk,
    random_bytes,
    huge_length,
    delete_element,
    other_value,
    other_type,
    twice,
    wrong_syntax,
    no_meta,
    huge_matrix,
    huge_codestream,
    deep_sequence,
    deflate_bomb,
)
WEIGHTS = (3, 4, 2, 2, 2, 2, 1, 1, 3, 3, 8, 4, 2, 3, 1, 3, 2, 1, 0.03)


def with_value(content: bytes, keyword: str, value: bytes) -> bytes:
    """The file with other bytes in one element."""
    dataset, tag = _parsed(content), tag_for_keyword(keyword)
    assert dataset is not None and tag is not None
    _put(dataset, tag, value)
    return _written(dataset)


def _parsed(content: bytes) -> FileDataset | None:
    """The file as elements; None where another mutation left nothing that can be taken apart."""
    try:
        with quiet():  # what is printed in a case is then the library's
            dataset = dcmread(io.BytesIO(content), force=True)
        return dataset if len(dataset) > 3 else None
    except Exception:
        return None


def _some_tag(rng: Random, dataset: FileDataset) -> int:
    telling = [tag for keyword in _TELLING if (tag := tag_for_keyword(keyword)) in dataset]
    return rng.choice(telling if telling and rng.random() < 0.8 else sorted(dataset.keys()))


def _telling_tag(rng: Random) -> int:
    tag = tag_for_keyword(rng.choice(_TELLING))
    assert tag is not None
    return tag


def _value(rng: Random, tag: int) -> bytes:
    vr = dictionary_VR(tag)
    if rng.random() < 0.15:
        return rng.choice((rng.randbytes(rng.randrange(40)), *_TEXTS))
    if vr.startswith(("US", "SS")):
        return b"".join(struct.pack("<H", rng.choice(_SHORTS)) for _ in range(rng.choice((1, 1, 1, 2))))
    if vr == "FD":
        return struct.pack("<d", rng.choice((float("nan"), float("inf"), -1.0, 0.0, 1e300)))
    if vr in ("DS", "IS"):
        count = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}.get(
            keyword_for_tag(tag), 1
        )
        count = count if rng.random() < 0.8 else rng.randrange(8)
        mixed = [rng.choice((rng.choice(NUMBERS), "1", "0", "0.7", "30")) for _ in range(count)]
        return "\\".join(mixed).encode()
    if vr in ("OW", "OB or OW", "SQ"):
        return rng.randbytes(rng.choice((0, 1, 2, 100, 3001)))
    return rng.choice(_TEXTS)


def _put(dataset: FileDataset, tag: int, value: bytes, vr: str | None = None) -> None:
    """The bytes as they are, whatever the VR allows."""
    value += b" " * (len(value) % 2)
    kept = vr or dictionary_VR(tag)[:2]
    dataset._dict[Tag(tag)] = RawDataElement(Tag(tag), kept, len(value), value, 0, False, True)


def _written(dataset: FileDataset, syntax: str | None = None) -> bytes:
    """Explicit little endian behind the old meta header, or one that names ``syntax``; nothing is checked."""
    body = DicomBytesIO()
    body.is_little_endian, body.is_implicit_VR = True, False
    try:
        with quiet():
            write_dataset(body, dataset)
    except Exception:  # a mutation that cannot be written is none
        return b""
    was = str(getattr(dataset, "file_meta", {}).get("TransferSyntaxUID", ""))
    explicit = SYNTAXES["explicit"] if was in (SYNTAXES["implicit"], SYNTAXES["deflated"], "") else was
    return _meta_of(syntax if syntax is not None else explicit) + body.getvalue()


def _meta(content: bytes, syntax: str) -> bytes:
    return _meta_of(syntax)


def _meta_of(syntax: str) -> bytes:
    value = syntax.encode()
    value += b"\0" * (len(value) % 2)
    element = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(value)) + value
    sop_class = UID("1.2.840.10008.5.1.4.1.1.2").encode() + b"\0"
    element = b"\x02\x00\x02\x00UI" + struct.pack("<H", len(sop_class)) + sop_class + element
    return bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(element)) + element
