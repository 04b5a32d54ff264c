"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.scratch import one_at_a_time, scratch_folder
from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)

_PREFIX = ".ctqa-results-"


class OutputFolderError(CTQAError):
    """The output folder cannot be written."""


@contextmanager
def result_folder(destination: Path, *, optional: Sequence[str] = ()) -> Iterator[Path]:
    """A scratch folder beside ``destination`` whose files move into it, one rename each, when the block ends well.

    Files of the same name are replaced, and what matches a pattern of ``optional`` and was not written goes: it is of
    an earlier run, perhaps of another patient. All others in ``destination`` stay. When the block raises,
    ``destination`` is left as it was. Of two runs that end together, one moves its files after the other.

    Raises:
        OutputFolderError: ``destination`` is a file or cannot be created or written; as far as it can be known, before
            the block has run.
    """
    with ExitStack() as opened:
        with writing():
            scratch = opened.enter_context(_scratch_beside(destination))
        yield scratch
        with writing():
            destination.mkdir(exist_ok=True)
            with one_at_a_time(destination):
                written = set()
                for file in sorted(scratch.iterdir()):
                    file.replace(destination / file.name)
                    written.add(file.name)
                for old in [file for pattern in optional for file in destination.glob(pattern)]:
                    if old.name not in written:
                        old.unlink()


@contextmanager
def _scratch_beside(destination: Path) -> Iterator[Path]:
    """Beside the destination, so that the renames stay within one file system."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    if destination.exists() and not (destination.is_dir() and os.access(destination, os.W_OK | os.X_OK)):
        raise PermissionError(errno.EACCES, _("Not a folder that may be written to"))
    with scratch_folder(_PREFIX, destination.parent) as scratch:
        yield scratch


@contextmanager
def writing() -> Iterator[None]:
    """Turn what the file system refuses in the block into an OutputFolderError, which quotes no path."""
    try:
        yield
    except OSError as error:
        raise OutputFolderError(
            _("The output folder cannot be written ({reason}).").format(reason=error.strerror or type(error).__name__),
            _("Choose with --out a folder that you may write to, that is not a file and whose disk has room."),
        ) from error
