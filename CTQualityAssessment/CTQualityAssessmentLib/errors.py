"""Errors that a user is meant to read.

Every refusal of this package is a :class:`CTQAError`: one sentence for the problem, one for the way out, and an exit
code for the command line. Neither sentence may hold a patient tag, a UID or a path.
"""

from __future__ import annotations


class CTQAError(Exception):
    """Base of every error the package raises on purpose.

    Args:
        problem: what is wrong, as one sentence without a trailing advice.
        advice: what the user can do about it, as one sentence.

    Attributes:
        exit_code: what ``ctqa`` exits with when this error ends a command.
    """

    exit_code = 1

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem} {advice}")
        self.problem = problem
        self.advice = advice


#: Problem and way out where the memory is not enough.
NO_MEMORY = ("There is not enough memory for this volume.", "Close other programs, or give a part of the slices.")
#: What libraries say of it, beside the errors made for that: of a tensor, an image, a thread, a part of themselves.
_NO_MEMORY_WORDS = (
    "can't allocate memory",
    "cannot allocate memory",
    "failed to allocate memory",
    "bad_alloc",
    "can't start new thread",
    "failed to map segment",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of the computer, of this process or of the graphics card was short."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower() if isinstance(error, (RuntimeError, ImportError, OSError)) else ""
    return any(words in text for words in _NO_MEMORY_WORDS)
