"""From frames to stacks: the sets of slices that can be one volume.

A series as it comes from a scanner or an archive may hold scouts, several orientations, kernels, time points or
interleaved passes. Each evenly spaced stack in it becomes an entry of its own, so that none is lost and none is mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.reading.errors import (
    DuplicatePositionsError,
    MissingGeometryError,
    ScoutOnlyError,
    SecondaryCaptureError,
    UnevenSpacingError,
    WrongModalityError,
)
from CTQualityAssessmentLib.reading.frames import Frame

#: Share of the slice distance by which a position may miss the even grid, and millimetres that are allowed in any case
#: (up to a larger share), since headers round positions to 0.1 mm.
_EVEN, _ROUNDING_MM, _MOST_UNEVEN = 0.1, 0.1, 0.25
#: Slices closer than this, in millimetres, lie at the same position.
_SAME_POSITION = 0.01
#: Missing slices are kept as gaps up to this share of the slices that are there.
_MAX_GAPS = 0.2

#: What tells passes over the same part of the patient apart, in the order in which it is asked.
_PASS_KEYWORDS = (
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "NominalPercentageOfCardiacPhase",
    "TriggerTime",
    "KVP",
    "EchoNumbers",
    "EchoTime",
    "DiffusionBValue",
    "ImageType",
)


@dataclass(frozen=True)
class Stack:
    """Frames that belong together.

    Attributes:
        kind: as :attr:`Frame.kind`.
        frames: for slices with geometry in the order of their positions along the slice normal.
        slots: index of each frame on the even grid; consecutive unless slices are missing.
        notes: sentences about what was left out or set apart on the way here.
        problem: the error to raise where someone wants to read this stack.
    """

    kind: str
    frames: tuple[Frame, ...]
    slots: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    problem: CTQAError | None = None

    @property
    def count(self) -> int:
        """Number of slices; the frames of a multi-frame object of another modality count too."""
        if self.kind in ("slice", "scout"):
            return len(self.frames)
        return sum(max(int(frame.number("NumberOfFrames") or 1), 1) for frame in self.frames)


def build_stacks(frames: Iterable[Frame], modalities: tuple[str, ...] = ("CT",)) -> list[Stack]:
    """All stacks of all series: slices first, then by number of slices, then in the order of the files.

    The largest comes first even where it cannot be read: a leftover of three slices must not stand in for the scan.

    Args:
        frames: of one input.
        modalities: whose slices can be read, "CT" and perhaps "MR"; all others make stacks with a problem.
    """
    series: dict[tuple[str, ...], list[Frame]] = {}
    for frame in frames:
        series.setdefault(frame.series_key, []).append(frame)
    stacks = [stack for members in series.values() for stack in _stacks_of_series(members, modalities)]
    return sorted(stacks, key=lambda stack: (stack.kind != "slice", -stack.count, stack.problem is not None))


def _stacks_of_series(frames: list[Frame], modalities: tuple[str, ...]) -> list[Stack]:
    by_kind = _grouped(frames, lambda frame: frame.kind_among(modalities))
    stacks: list[Stack] = []
    notes: list[str] = []
    if scouts := by_kind.get("scout"):
        stacks.append(Stack("scout", tuple(scouts), problem=ScoutOnlyError()))
        notes.append(f"The series holds {len(scouts)} scout image(s), which were left out.")
    if pages := by_kind.get("secondary"):
        stacks.append(Stack("secondary", tuple(pages), problem=SecondaryCaptureError()))
        notes.append(f"The series holds {len(pages)} screenshot(s) or report page(s), which were left out.")
    if others := by_kind.get("other"):
        stacks.append(Stack("other", tuple(others), problem=WrongModalityError(others[0].text("Modality"))))

    slices, copies = _without_copies(by_kind.get("slice", []))
    if copies:
        notes.append(f"{copies} file(s) are copies of other slices and were left out.")
    named = [_instance(frame) for frame in slices if frame.text("SOPInstanceUID")]
    if len(set(named)) < len(named):
        notes.append("Slices share one SOP Instance UID, which should be unique; they were told apart by position.")
    placed = [frame for frame in slices if frame.has_geometry]
    if len(placed) < len(slices):
        unplaced = tuple(frame for frame in slices if not frame.has_geometry)
        stacks.append(Stack("slice", unplaced, tuple(range(len(unplaced))), problem=MissingGeometryError()))
        notes.append(f"{len(unplaced)} slice(s) without a valid position or pixel size were left out.")

    parts = [placed] if placed else []
    for sentence, split in _SPLITS:
        pieces = [piece for part in parts for piece in split(part)]
        if len(pieces) > len(parts):
            notes.append(sentence)
        parts = pieces
    slice_stacks = [stack for part in parts for stack in _evenly_spaced(part)]
    return stacks + [replace(stack, notes=(*notes, *stack.notes)) for stack in slice_stacks]


def _grouped(frames: Iterable[Frame], key: Callable[[Frame], Hashable]) -> dict[Hashable, list[Frame]]:
    groups: dict[Hashable, list[Frame]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return groups


def _without_copies(frames: list[Frame]) -> tuple[list[Frame], int]:
    """A copy has the UID of another slice and lies where that lies: some de-identification gives all slices one UID."""
    seen: set[Hashable] = set()
    kept = []
    for frame in frames:
        place = (frame.texts("ImagePositionPatient"), frame.texts("ConvolutionKernel"))
        key = (_instance(frame), place, *(frame.texts(keyword) for keyword in _PASS_KEYWORDS))
        if frame.text("SOPInstanceUID") and key in seen:
            continue
        seen.add(key)
        kept.append(frame)
    return kept, len(frames) - len(kept)


def _instance(frame: Frame) -> tuple[str | None, int | None]:
    return frame.text("SOPInstanceUID"), frame.index


def _alike(vectors: Callable[[Frame], NDArray[np.float64]], tolerance: float) -> Callable[[list[Frame]], list]:
    """A splitter into groups whose vectors differ by no more than the tolerance from the group's first."""

    def split(frames: list[Frame]) -> list[list[Frame]]:
        values = np.array([vectors(frame) for frame in frames])
        rest = np.arange(len(frames))
        groups = []
        while rest.size:
            near = np.abs(values[rest] - values[rest[0]]).max(axis=1) <= tolerance
            groups.append([frames[n] for n in rest[near]])
            rest = rest[~near]
        return groups

    return split


def _by_kernel(frames: list[Frame]) -> list[list[Frame]]:
    return list(_grouped(frames, lambda frame: frame.texts("ConvolutionKernel")).values())


def _by_pass(frames: list[Frame]) -> list[list[Frame]]:
    """Split by the first keyword whose values come back after another value when walking along the patient."""
    positions = _positions(frames)
    for keyword in _PASS_KEYWORDS:
        passes = _grouped(frames, lambda frame: frame.texts(keyword))  # noqa: B023
        if len(passes) == 1:
            continue
        order = sorted(range(len(frames)), key=lambda n: (positions[n], frames[n].texts(keyword)))
        labels = [frames[n].texts(keyword) for n in order]
        runs = 1 + sum(a != b for a, b in pairwise(labels))
        same_place = np.diff(positions[order]) < _SAME_POSITION
        contested = any(same and a != b for same, (a, b) in zip(same_place, pairwise(labels), strict=True))
        # A number for each single slice tells no passes apart: one pass must cover half of the places.
        covering = max(len(group) for group in passes.values()) >= (1 + np.sum(~same_place)) / 2
        if (runs > len(passes) or contested) and covering:
            return [piece for group in passes.values() for piece in _by_pass(group)]
    return [frames]


#: In this order: what sets slices of a series apart, as the user is told, and how it is found.
_SPLITS: tuple[tuple[str, Callable[[list[Frame]], list[list[Frame]]]], ...] = (
    (
        "The series mixes slices of different orientations, which were set apart.",
        _alike(lambda frame: frame.orientation.ravel(), 2e-3),
    ),
    (
        "The series mixes slices of different matrix or pixel size, which were set apart.",
        _alike(lambda frame: np.array([frame.rows, frame.columns, *frame.pixel_spacing]), 1e-3),
    ),
    ("The series mixes reconstruction kernels, which were set apart.", _by_kernel),
    ("The series holds several passes over the same part of the patient, which were set apart.", _by_pass),
)


def _positions(frames: list[Frame]) -> NDArray[np.float64]:
    """Millimetres along the slice normal, shape (n,)."""
    normal = np.cross(*frames[0].orientation)
    return np.array([frame.position for frame in frames]) @ normal


def _evenly_spaced(frames: list[Frame]) -> list[Stack]:
    """One stack where the slices are evenly spaced or only few are missing, otherwise its even parts."""
    positions = _positions(frames)
    order = np.argsort(positions, kind="stable")
    frames = [frames[n] for n in order]
    positions = positions[order]

    duplicates = int(np.sum(np.diff(positions) < _SAME_POSITION))
    if duplicates:
        return [Stack("slice", tuple(frames), tuple(range(len(frames))), problem=DuplicatePositionsError(duplicates))]
    if (slots := _slots(positions)) is not None:
        missing = slots[-1] + 1 - len(slots)
        notes = (f"{missing} slice(s) are missing in between; their places were filled with air.",) if missing else ()
        return [Stack("slice", tuple(frames), slots, notes)]

    halves = [range(0, len(frames), 2), range(1, len(frames), 2)]
    if len(frames) >= 6 and all(_is_even(positions[half.start :: 2]) for half in halves):
        note = "The series interleaves two stacks of slices, which were set apart."
        return [_part(frames, half, note) for half in halves]

    runs = _even_runs(positions)
    if max(len(run) for run in runs) < len(frames) / 2:
        return [Stack("slice", tuple(frames), tuple(range(len(frames))), problem=UnevenSpacingError())]
    note = "The distance between slices changes along the series; its evenly spaced parts were set apart."
    return [_part(frames, run, note) for run in runs]


def _part(frames: list[Frame], members: range, note: str) -> Stack:
    return Stack("slice", tuple(frames[n] for n in members), tuple(range(len(members))), (note,))


def _is_even(positions: NDArray[np.float64]) -> bool:
    if len(positions) < 3:
        return True
    grid = np.linspace(positions[0], positions[-1], len(positions))
    return bool(np.abs(positions - grid).max() <= _tolerance(grid[1] - grid[0]))


def _tolerance(step: float) -> float:
    """Millimetres by which a position may miss the even grid."""
    return max(_EVEN * step, min(_ROUNDING_MM, _MOST_UNEVEN * step))


def _slots(positions: NDArray[np.float64]) -> tuple[int, ...] | None:
    """Index of each slice on an even grid, or None where there is none with few and separate gaps."""
    if _is_even(positions):
        return tuple(range(len(positions)))
    steps = np.diff(positions)
    slots = np.concatenate([[0], np.cumsum(np.rint(steps / np.median(steps)))]).astype(int)
    gaps = np.diff(slots) > 1
    if (np.diff(slots) < 1).any() or (gaps[1:] & gaps[:-1]).any():  # gaps in a row are another slice distance
        return None
    step = (positions[-1] - positions[0]) / slots[-1]
    even = np.abs(positions - positions[0] - slots * step).max() <= _tolerance(step)
    few = slots[-1] + 1 - len(slots) <= max(1, _MAX_GAPS * len(slots))
    return tuple(int(slot) for slot in slots) if even and few else None


def _even_runs(positions: NDArray[np.float64]) -> list[range]:
    """Consecutive slices at even distances, each run as long as it can be from its start."""
    runs = []
    start = 0
    while start < len(positions):
        stop = start + 1
        while stop < len(positions) and _is_even(positions[start : stop + 1]):
            stop += 1
        runs.append(range(start, stop))
        start = stop
    return runs
