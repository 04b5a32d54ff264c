"""What every open page shows, and the one thing at a time that goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from trame_server.state import State

from CTQualityAssessmentLib.calls import Progress
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.viewer.errors import BusyError, RunError
from CTQualityAssessmentLib.worker.faults import place

#: How often the page hears of new rows and progress.
_FLUSH_SECONDS = 0.25


class Board:
    """The state that all pages share.

    Args:
        state: trame's.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def __getitem__(self, name: str) -> Any:
        return self._state[name]

    def tell(self, **changes: Any) -> None:
        """Show changes on all pages."""
        with self._state:
            self._state.update(changes)

    def tell_error(self, error: CTQAError) -> None:
        """Show what went wrong, and the way out."""
        self.tell(error={"problem": error.problem, "advice": error.advice})


class Tasks:
    """One piece of work at a time, with its progress and its errors on the board.

    Args:
        board: where they are shown.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._task: asyncio.Task | None = None
        self._flushed = 0.0

    @property
    def idle(self) -> bool:
        """Whether something new may begin."""
        return self._task is None

    @property
    def cancellable(self) -> bool:
        """Whether what goes on is the worker's, and nobody has cancelled it."""
        return bool(self._board["busy"] and self._board["busy"]["cancellable"])

    async def alone(self, work: Awaitable[None], message: str) -> None:
        """Do something that excludes everything else, and show its error before passing it on.

        Raises:
            BusyError: something else goes on.
            CTQAError: of the work.
        """
        if self._task is not None:
            work.close()
            raise BusyError
        self._task = asyncio.current_task()
        self._board.tell(busy=busy(message), error=None)
        try:
            await work
        except CTQAError as error:
            self._board.tell_error(error)
            raise
        except Exception as error:
            told = _unexpected(error)
            self._board.tell_error(told)
            raise told from error
        finally:
            self._task = None
            self._board.tell(busy=None)

    def begin(self, work: Awaitable[None], message: str = "Starting") -> None:
        """Do something for which nobody waits: its errors go to the board, also those that nobody thought of."""
        self._board.tell(busy=busy(message), error=None)
        self._task = asyncio.get_running_loop().create_task(self._reported(work))

    def stop(self) -> None:
        """Drop what goes on, because the program ends."""
        if self._task is not None:
            self._task.cancel()

    def progress(self) -> Progress:
        """Shows the progress of work in a thread."""
        loop = asyncio.get_running_loop()

        def progress(done: int, total: int, message: str) -> None:
            loop.call_soon_threadsafe(self.show, busy(message, done, total))

        return progress

    def show(self, state: dict[str, Any], **more: Any) -> None:
        """Show progress, and with it what else has changed; several times a second at most."""
        if self._board["busy"] is None:
            return
        now = time.monotonic()
        if now - self._flushed >= _FLUSH_SECONDS or state["done"] == state["total"]:
            self._flushed = now
            self._board.tell(busy=state, **more)

    async def _reported(self, work: Awaitable[None]) -> None:
        try:
            await work
        except CTQAError as error:
            self._board.tell_error(error)
        except Exception as error:
            self._board.tell_error(_unexpected(error))
        finally:
            self._task = None
            self._board.tell(busy=None)


def busy(
    message: str,
    done: int = 0,
    total: int = 0,
    eta_s: float | None = None,
    cancellable: bool = False,
    scoring: bool = False,
) -> dict[str, Any]:
    """What the page shows of work that goes on: 0 of 0 where nothing can be counted; ``scoring`` fills the curve."""
    shown = {"message": message, "done": done, "total": total, "eta_s": eta_s}
    return {**shown, "cancellable": cancellable, "scoring": scoring}


def _unexpected(error: Exception) -> RunError:
    return RunError(f"An unexpected fault stopped this ({place(error)}).", "Try again; if it stays, report it.")
