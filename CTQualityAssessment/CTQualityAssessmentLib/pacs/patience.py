"""Ask again, with growing pauses, where a fault may pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from CTQualityAssessmentLib.pacs.address import Patience
from CTQualityAssessmentLib.pacs.errors import PartialTransferError, RefusedError, ServerFaultError, UnreachableError

_Result = TypeVar("_Result")
_FIRST_S, _LONGEST_S = 0.5, 30.0
_TOO_MANY_REQUESTS = 429


def patiently(patience: Patience, call: Callable[[], _Result]) -> _Result:
    """What the call gives, or the error of its last try.

    Only errors that may pass are worth another try: no answer, a fault of the archive, a transfer that was cut short,
    too many requests. The pauses are random, so that several workers do not come back at once.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    again = Retrying(
        stop=stop_after_attempt(patience.tries),
        wait=wait_random_exponential(multiplier=_FIRST_S, max=_LONGEST_S, min=_FIRST_S),
        retry=retry_if_exception(_may_pass),
        reraise=True,
    )
    return again(call)


def will_pass(error: BaseException) -> bool:
    """Whether a fault is of the archive's state and not of what was asked: waiting helps, however long it takes."""
    if isinstance(error, RefusedError):
        return error.status == _TOO_MANY_REQUESTS
    return isinstance(error, (UnreachableError, ServerFaultError))


def _may_pass(error: BaseException) -> bool:
    return will_pass(error) or isinstance(error, PartialTransferError)
