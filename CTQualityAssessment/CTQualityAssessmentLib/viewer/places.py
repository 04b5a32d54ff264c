"""Where the views stand on the page, which of them a layout shows, and the windows to choose from."""

from __future__ import annotations

#: Views of the volume by their place on the page; the large one shows the slices that are scored.
OWN: tuple[str, ...] = ("large", "upper", "lower")
#: All views: beside those of the volume the same slice of a second volume, and the difference of the two.
PLACES: tuple[str, ...] = (*OWN, "second", "difference")
#: Which views a layout shows; "one" shows any one of the volume's own.
LAYOUTS: dict[str, tuple[str, ...]] = {
    "three": OWN,
    "one": OWN,
    "compare": ("large", "second", "difference"),
}
#: Window presets in the order of their keys.
PRESETS: tuple[tuple[str, str], ...] = (
    ("soft-tissue", "Soft tissue"),
    ("lung", "Lung"),
    ("bone", "Bone"),
    ("ldctiqa", "Network"),
)
