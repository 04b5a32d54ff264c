"""A folder of results that appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from CTQualityAssessmentLib.errors import CTQAError


class OutputFolderError(CTQAError):
    """The output folder cannot be written."""


@contextmanager
def result_folder(destination: Path, *, optional: Sequence[str] = ()) -> Iterator[Path]:
    """A scratch folder beside ``destination`` whose files move into it, one rename each, when the block ends well.

    Files of the same name are replaced, and what matches a pattern of ``optional`` and was not written goes: it is of
    an earlier run, perhaps of another patient. All others in ``destination`` stay. When the block raises,
    ``destination`` is left as it was.

    Raises:
        OutputFolderError: ``destination`` is a file or cannot be created or written.
    """
    # Beside the destination, so that the renames stay within one file system.
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".ctqa-", dir=destination.parent))
    except OSError as error:
        raise _cannot_write(error) from error
    try:
        yield scratch
        try:
            destination.mkdir(exist_ok=True)
            written = set()
            for file in sorted(scratch.iterdir()):
                file.replace(destination / file.name)
                written.add(file.name)
            for old in [file for pattern in optional for file in destination.glob(pattern)]:
                if old.name not in written:
                    old.unlink()
        except OSError as error:
            raise _cannot_write(error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _cannot_write(error: OSError) -> OutputFolderError:
    return OutputFolderError(
        f"The output folder cannot be written ({error.strerror or type(error).__name__}).",
        "Choose with --out a folder that you may write to and that is not a file.",
    )
