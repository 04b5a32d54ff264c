"""A look at a MetaImage header before ITK's parser, which trusts it, sees it."""

from __future__ import annotations

from pathlib import Path

_LONGEST_HEADER = 65536
#: Fields with a number for each axis, and those with a number for each pair of axes.
_PER_AXIS = ("DimSize", "ElementSpacing", "ElementSize", "Offset", "Position", "Origin", "CenterOfRotation")
_PER_PAIR = ("TransformMatrix", "Orientation", "Rotation")


def is_sound_metaimage(path: Path) -> bool:
    """Whether the header says what it needs, each field as long as the number of axes asks.

    ITK's parser writes beyond its memory where they disagree.
    """
    fields = _fields(path)
    if fields is None:
        return False
    axes = fields.get("NDims", "")
    if axes not in ("2", "3", "4") or not {"DimSize", "ElementType", "ElementDataFile"} <= fields.keys():
        return False
    lengths = {name: int(axes) for name in _PER_AXIS} | {name: int(axes) ** 2 for name in _PER_PAIR}
    return all(len(fields[name].split()) == length for name, length in lengths.items() if name in fields)


def says_orientation(path: Path) -> bool:
    """Whether the header says how the axes lie in the patient, where ITK would assume it."""
    return any(name in (_fields(path) or {}) for name in _PER_PAIR)


def _fields(path: Path) -> dict[str, str] | None:
    """The header's fields up to the pixel data; None where a line is none."""
    with path.open("rb") as file:
        header = file.read(_LONGEST_HEADER)
    fields: dict[str, str] = {}
    for line in header.split(b"\n"):
        name, equals, value = line.decode("latin-1").partition("=")
        if not equals and line.strip():
            return None
        fields[name.strip()] = value.strip()
        if name.strip() == "ElementDataFile":
            break
    return fields
