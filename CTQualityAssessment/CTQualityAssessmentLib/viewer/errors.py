"""What can go wrong with the viewer's own work."""

from __future__ import annotations

from CTQualityAssessmentLib.errors import NO_MEMORY, CTQAError


class PortError(CTQAError):
    """The port cannot be had."""

    def __init__(self) -> None:
        super().__init__("The port cannot be opened.", "Choose another with --port, or 0 for any free one.")


class StartError(CTQAError):
    """Options that mean nothing together."""


class BusyError(CTQAError):
    """Something else is going on."""

    def __init__(self) -> None:
        super().__init__("The viewer is busy with another task.", "Wait for its end, or cancel it.")


class ReaderGoneError(CTQAError):
    """The system killed the process that reads ahead."""

    def __init__(self) -> None:
        super().__init__("The process that reads ended unexpectedly; perhaps memory was short.", NO_MEMORY[1])


class RunError(CTQAError):
    """The worker, or the process that writes files, could not do it."""


def no_space() -> RunError:
    """The disk is full, or the folder is gone."""
    return RunError("The temporary folder cannot be written.", "Check that the disk is not full, and try again.")
