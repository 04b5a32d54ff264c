"""What a user is told when something goes wrong in the worker."""

from __future__ import annotations

import errno
import traceback
from typing import Any

from CTQualityAssessmentLib.errors import CTQAError, is_out_of_memory
from CTQualityAssessmentLib.models.errors import BundleError, DeviceUnavailable
from CTQualityAssessmentLib.reading.errors import ReadingCancelledError
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.worker.protocol import BadRequestError, RunCancelledError

_ = marks_of(__file__)

#: What a disk answers that is full, or is no longer one to write to.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)


def describe(error: BaseException) -> dict[str, Any]:
    """``kind``, ``problem`` and ``advice`` of an error message.

    Texts of foreign errors are left out: they may hold paths or header values.
    """
    if isinstance(error, CTQAError):
        kinds = {
            ReadingCancelledError: "cancelled",
            RunCancelledError: "cancelled",
            BadRequestError: "bad-request",
            DeviceUnavailable: "bad-request",
        }
        default = "bad-model" if isinstance(error, BundleError) else "bad-input"
        return _told(kinds.get(type(error), default), error.problem, error.advice)
    if is_out_of_memory(error):
        return _told(
            "oom", _("The memory is not enough for this volume."), _("Close other programs, or choose fewer maps.")
        )
    if isinstance(error, OSError) and error.errno in _DISK:
        return _told(
            "disk",
            _("The temporary files of the run cannot be written ({reason}).").format(reason=error.strerror),
            _("Free space on the disk of temporary files, and run again."),
        )
    if isinstance(error, ModuleNotFoundError):
        name = (error.name or "of this program").split(".")[0]
        return _told(
            "missing-package",
            _("The package '{name}' is not installed.").format(name=name),
            _("Install the missing packages."),
        )
    if isinstance(error, (ImportError, OSError)) and _while_importing(error):
        return _told(
            "broken-package",
            _("A package is installed but cannot be started."),
            _("Remove torch and install it again."),
        )
    return _told(
        "internal",
        _("An unexpected fault stopped the run ({place}).").format(place=place(error)),
        _("Run again; if it stays, report it."),
    )


def place(error: BaseException) -> str:
    """Type and innermost line of an error in this package, without its text."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "CTQualityAssessmentLib" in f.filename]
    where = f" in {frames[-1].filename.replace(chr(92), '/').rsplit('/', 1)[-1]}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def _told(kind: str, problem: str, advice: str) -> dict[str, Any]:
    return {"kind": kind, "problem": problem, "advice": advice}


def _while_importing(error: BaseException) -> bool:
    return isinstance(error, ImportError) or any(
        "importlib" in frame.filename for frame in traceback.extract_tb(error.__traceback__)
    )
