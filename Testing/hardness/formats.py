"""Image files and zips that no scanner wrote, broken in a way that the number of the case decides."""

from __future__ import annotations

import gzip
import io
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from random import Random

import nibabel
import numpy as np
import SimpleITK
import tifffile

from Testing.dicom_factory import body
from Testing.hardness.bases import base_files
from Testing.hardness.cases import look_at
from Testing.hardness.mutations import (
    NUMBERS,
    append_junk,
    blank_piece,
    cut_out,
    cut_short,
    flip_bytes,
    flip_header_bytes,
    huge_length,
    random_bytes,
    repeat_piece,
)

FORMATS = ("a.nii", "a.nii.gz", "a.nrrd", "a.nhdr", "a.mha", "a.mhd", "a.tiff", "a.zip")
_SLICES, _SIDE = 4, 36


def broken_image(seed: int, folder: Path) -> tuple[str, str, str]:
    """A case for :func:`~Testing.hardness.pool.run_cases`: a sound file of a format, broken in one to three ways."""
    rng = Random(seed)
    name = rng.choice(FORMATS)
    files = dict(sound(name))
    spoilt = rng.choice(sorted(files)) if rng.random() < 0.3 else name
    packed = spoilt.endswith(".gz") and rng.random() < 0.6
    content = gzip.decompress(files[spoilt]) if packed else files[spoilt]
    done = rng.choices(_MUTATIONS, k=rng.choice((1, 1, 2, 3)))
    for mutate in done:
        content = mutate(rng, content) if content else content
    files[spoilt] = gzip.compress(content, mtime=0) if packed else content
    for one, found in files.items():
        (folder / one).write_bytes(found)
    tried = f"{name}: {' '.join(mutate.__name__ for mutate in done)}"
    return tried, *look_at(folder / name if rng.random() < 0.7 else folder)


@lru_cache(maxsize=len(FORMATS))
def sound(name: str) -> dict[str, bytes]:
    """The files of a sound image: the header, and its data where they are apart."""
    hu = body(_SLICES, _SIDE, _SIDE)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if name.startswith("a.nii"):
            nibabel.save(nibabel.Nifti1Image(hu.T, np.diag([-2.0, -2.0, 3.0, 1.0])), folder / name)
        elif name == "a.tiff":
            window = np.clip((hu.astype(np.float32) + 1024) / 4000, 0, 1)
            tifffile.imwrite(folder / name, window, photometric="minisblack")
        elif name == "a.zip":
            with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as zipped:
                for n, content in enumerate(base_files("explicit")):
                    zipped.writestr(f"{n}.dcm", content)
        else:
            SimpleITK.WriteImage(SimpleITK.GetImageFromArray(hu), str(folder / name), useCompression=name == "a.nrrd")
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def other_number(rng: Random, content: bytes) -> bytes:
    """A number in the text of a header becomes another one: too large, negative, none."""
    start = content[:600]
    found = list(re.finditer(rb"-?\d+(\.\d+)?", start))
    if not found:
        return flip_header_bytes(rng, content)
    chosen = rng.choice(found)
    return start[: chosen.start()] + rng.choice(NUMBERS).encode() + start[chosen.end() :] + content[600:]


def other_word(rng: Random, content: bytes) -> bytes:
    """A word in the text of a header becomes another one, or a path."""
    start = content[:600]
    found = list(re.finditer(rb"[A-Za-z_]{3,}", start))
    if not found:
        return flip_header_bytes(rng, content)
    chosen = rng.choice(found)
    words = (b"", b"/etc/passwd", b"../x", b"LIST", b"%s%s%n", b"gzip", b"double", b"A" * 5000, b"\xff\xfe", b"LOCAL")
    return start[: chosen.start()] + rng.choice(words) + start[chosen.end() :] + content[600:]


def other_field(rng: Random, content: bytes) -> bytes:
    """A binary field of a header becomes an extreme number."""
    found = bytearray(content)
    form = rng.choice(("<h", "<i", "<q", "<f", "<d"))
    at = rng.randrange(max(1, min(352, len(found) - 8)))
    if form in ("<f", "<d"):
        value: float = rng.choice((float("nan"), float("inf"), -1.0, 0.0, 1e30))
    else:
        bits = {"<h": 15, "<i": 31, "<q": 63}[form]
        value = rng.choice((0, -1, 1, 2**bits - 1, -(2**bits), 30_000))
    packed = struct.pack(form, value)
    found[at : at + len(packed)] = packed
    return bytes(found)


_MUTATIONS: tuple[Callable[[Random, bytes], bytes], ...] = (
    flip_bytes,
    flip_header_bytes,
    cut_short,
    cut_out,
    repeat_piece,
    blank_piece,
    append_junk,
    random_bytes,
    huge_length,
    other_number,
    other_number,
    other_word,
    other_field,
    other_field,
)


def hostile_zip(seed: int, folder: Path) -> tuple[str, str, str]:
    """A case for :func:`~Testing.hardness.pool.run_cases`: a zip that was made to harm."""
    rng = Random(seed)
    trick = rng.choice(_TRICKS)
    (folder / "a.zip").write_bytes(trick(rng))
    outside = sorted(path.name for path in folder.parent.iterdir() if path.name.startswith("evil"))
    kind, detail = look_at(folder / "a.zip")
    if outside != sorted(path.name for path in folder.parent.iterdir() if path.name.startswith("evil")):
        return trick.__name__, "fault", "a file was written outside"
    return trick.__name__, kind, detail


def path_trick(rng: Random) -> bytes:
    """Names that lead out of the folder, or that a system takes for something else."""
    names = (
        "../evil",
        "a/../../evil",
        "/tmp/evil",
        "..\\evil",
        "C:\\evil",
        "\\\\server\\evil",
        "a\0../evil",
        "CON",
        "é" * 300,
        "a/" * 1500 + "b",
        "-rf",
        "\u202ecod.exe",
        "a:stream",
        " ",
        "~/evil",
        "$(touch evil)",
    )
    chosen = rng.sample(names, rng.choice((1, 2, 5)))
    return _zip(*((name, rng.choice(base_files("explicit"))) for name in chosen))


def link(rng: Random) -> bytes:
    """A link to a file of the system, beside slices."""
    info = zipfile.ZipInfo("link.dcm")
    info.external_attr = (rng.choice((0o120777, 0o010666, 0o060666, 0o020666))) << 16
    return _zip((info, rng.choice((b"/etc/passwd", b"/dev/zero", b"."))), *_slices())


def bomb(rng: Random) -> bytes:
    """Much out of little."""
    size = rng.choice((1, 64, 300)) * 1024**2
    return _zip(*((f"{n}.dcm", bytes(size // 4)) for n in range(4)), *_slices())


def many(rng: Random) -> bytes:
    """More files than a series has slices."""
    return _zip(*((f"{n}", b"") for n in range(rng.choice((500, 21_000)))))


def lying_size(rng: Random) -> bytes:
    """The directory claims other sizes than there are."""
    content = bytearray(_zip(*_slices()))
    at = content.find(b"PK\x01\x02")
    struct.pack_into("<I", content, at + rng.choice((20, 24)), rng.choice((0, 1, 10**6, 0xFFFFFFFE, 0xFFFFFFFF)))
    return bytes(content)


def overlap(rng: Random) -> bytes:
    """Several entries that are one and the same piece of the file."""
    content = bytearray(_zip(("0.dcm", bytes(32 * 1024**2)), *((f"{n}.dcm", b"x") for n in range(1, 40))))
    at = content.find(b"PK\x01\x02")
    first = content[at : at + 46]
    while (at := content.find(b"PK\x01\x02", at + 46)) > 0:
        content[at + 10 : at + 28] = first[10:28]
        struct.pack_into("<I", content, at + 42, 0)
    return bytes(content)


def odd_method(rng: Random) -> bytes:
    """A compression that is not used, or encryption without a key."""
    content = bytearray(_zip(*_slices()))
    at = content.find(b"PK\x01\x02")
    if rng.random() < 0.5:
        struct.pack_into("<H", content, at + 10, rng.choice((1, 6, 9, 12, 14, 93, 98, 99, 65535)))
    else:
        struct.pack_into("<H", content, at + 8, rng.choice((1, 0x41, 0x2000, 0x800, 0xFFFF)))
    return bytes(content)


def nested(rng: Random) -> bytes:
    """Zips in zips."""
    content = _zip(*_slices())
    for _ in range(rng.choice((1, 3, 30))):
        content = _zip(("a.zip", content))
    return content


def broken(rng: Random) -> bytes:
    """Damaged on its way, anywhere or in the directory at its end."""
    content = _zip(*_slices())
    if rng.random() < 0.4:
        at = content.find(b"PK\x01\x02")
        return content[:at] + rng.choice((flip_bytes, cut_out, repeat_piece, huge_length))(rng, content[at:])
    ways = (flip_bytes, cut_short, cut_out, blank_piece, append_junk)
    for mutate in rng.choices(ways, k=rng.choice((1, 2))):
        content = mutate(rng, content) if content else content
    return content


_TRICKS = (path_trick, link, bomb, many, lying_size, overlap, odd_method, nested, broken, broken)


def _slices() -> list[tuple[str, bytes]]:
    return [(f"slice{n}.dcm", content) for n, content in enumerate(base_files("explicit"))]


def _zip(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members:
            zipped.writestr(name, content)
    return written.getvalue()
