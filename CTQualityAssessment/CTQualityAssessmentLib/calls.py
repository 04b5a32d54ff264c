"""The two arguments that every long call takes, and work in steps for a window that must not wait."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

#: ``progress(done, total, message)``, called between batches on the thread that runs the work.
Progress = Callable[[int, int, str], None]
#: ``cancelled()``: True stops the work at the next batch; what is done by then is returned and marked partial.
Cancelled = Callable[[], bool]


def no_progress(done: int, total: int, message: str) -> None:
    """A :data:`Progress` that shows nothing."""


def never() -> bool:
    """A :data:`Cancelled` that never cancels."""
    return False


def finished(steps: Generator[None, None, T]) -> T:
    """Take all steps at once and give what the last one returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
