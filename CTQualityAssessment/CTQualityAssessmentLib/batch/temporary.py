"""The temporary disk of the computer of a worker, on which images lie while a study is done."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.scratch import scratch_folder


class TemporaryDiskError(CTQAError):
    """The temporary folder of this computer cannot be written: full, read-only or closed. It says nothing of what was
    to be written there."""

    def __init__(self, error: OSError) -> None:
        super().__init__(
            f"The temporary disk of the computer '{platform.node()}' cannot be written "
            f"({error.strerror or type(error).__name__}).",
            "Free space there, or start its workers with another TMPDIR (those that this command starts itself use the "
            "disk of --out); the same command goes on.",
        )


@contextmanager
def on_temporary_disk() -> Iterator[None]:
    """Turn what the file system refuses in the block into a TemporaryDiskError, which quotes no path."""
    try:
        yield
    except OSError as error:
        raise TemporaryDiskError(error) from error


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """As :func:`~CTQualityAssessmentLib.scratch.scratch_folder`, in the computer's temporary folder.

    Raises:
        TemporaryDiskError: it cannot be created.
    """
    with ExitStack() as opened:
        with on_temporary_disk():
            folder = opened.enter_context(scratch_folder(prefix))
        yield folder
