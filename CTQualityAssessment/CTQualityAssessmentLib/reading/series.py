"""The series of an input, and the choice of one."""

from __future__ import annotations

from dataclasses import dataclass

from CTQualityAssessmentLib.reading.errors import NoSuchSeriesError
from CTQualityAssessmentLib.reading.stacks import Stack

_NAMED = 5


@dataclass(frozen=True)
class SeriesInfo:
    """A stack of slices to choose from, without anything that identifies a patient.

    Attributes:
        number: what ``read_volume(..., series=number)`` takes, from 1; number 1 is read where nothing is chosen.
            CT slices come first, then larger before smaller stacks.
        modality: DICOM code such as "CT"; None where absent.
        kind: "slice", "scout", "secondary" (screenshots, report pages) or "other" (another modality).
        slice_count: number of slices.
        rows, columns: matrix; 0 for objects without an image.
        kernel: reconstruction kernel; None where absent.
        thickness_mm: nominal slice thickness; None where absent.
        problem: why it cannot be read, as a sentence; None where nothing in the headers stands against it.
        description: the series description where it was asked for. It is free text and may identify.
    """

    number: int
    modality: str | None
    kind: str
    slice_count: int
    rows: int
    columns: int
    kernel: str | None = None
    thickness_mm: float | None = None
    problem: str | None = None
    description: str | None = None

    @property
    def label(self) -> str:
        """One line to show, for example "CT, 120 slices, 512 x 512, B70f, 1 mm"."""
        parts = [self.modality or "no modality"]
        if self.kind in ("scout", "secondary"):
            parts.append({"scout": "scout", "secondary": "screenshots or report"}[self.kind])
        parts.append(f"{self.slice_count} slice{'s' if self.slice_count != 1 else ''}")
        if self.rows and self.columns:
            parts.append(f"{self.rows} x {self.columns}")
        if self.kernel:
            parts.append(self.kernel)
        if self.thickness_mm:
            parts.append(f"{self.thickness_mm:g} mm")
        return ", ".join(parts)


def describe(stacks: list[Stack], descriptions: bool = False) -> tuple[SeriesInfo, ...]:
    """The stacks in their order, numbered from 1."""
    return tuple(
        SeriesInfo(
            number,
            first.text("Modality"),
            stack.kind,
            stack.count,
            first.rows,
            first.columns,
            first.text("ConvolutionKernel"),
            first.positive("SliceThickness"),
            stack.problem.problem if stack.problem else None,
            first.text("SeriesDescription") if descriptions else None,
        )
        for number, stack in enumerate(stacks, start=1)
        for first in stack.frames[:1]
    )


def choose(stacks: list[Stack], series: str | int | None) -> tuple[Stack, tuple[str, ...]]:
    """The stack to read and warnings that name the others.

    Args:
        series: number of a stack, a SeriesInstanceUID (its largest stack), or None for the first.

    Raises:
        NoSuchSeriesError: there is none by that number or UID.
        ReadingError: the stack cannot be read; which error says why.
    """
    wanted = str(series).strip() if series is not None else "1"
    if wanted.isdigit():
        chosen = int(wanted) - 1
    else:
        uids = [stack.frames[0].text("SeriesInstanceUID") for stack in stacks]
        chosen = uids.index(wanted) if wanted in uids else -1
    if not 0 <= chosen < len(stacks):
        raise NoSuchSeriesError(len(stacks))
    if (problem := stacks[chosen].problem) is not None:
        raise problem
    return stacks[chosen], _others(stacks, chosen)


def _others(stacks: list[Stack], chosen: int) -> tuple[str, ...]:
    others = [info for info in describe(stacks) if info.number != chosen + 1]
    if not others:
        return ()
    named = "; ".join(f"{info.number}: {info.label}" for info in others[:_NAMED])
    more = f"; and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return (f"Series {chosen + 1} of {len(stacks)} was read; the others are {named}{more}.",)
