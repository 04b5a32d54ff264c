"""How every command speaks: plain errors, a progress bar, and Ctrl-C that keeps what is done."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from CTQualityAssessmentLib.errors import NO_MEMORY, CTQAError, is_out_of_memory

if TYPE_CHECKING:
    from CTQualityAssessmentLib.calls import Cancelled
    from CTQualityAssessmentLib.calls import Progress as ProgressCall

EXIT_FAULT = 1
EXIT_NOTHING_SCORED = 3
EXIT_SOME_UNSCORED = 4
EXIT_CANCELLED = 130

# soft_wrap: a line stays a line, so that checksums and messages can be searched for.
console = Console(markup=False, highlight=False, soft_wrap=True)
error_console = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def plain_errors() -> Iterator[None]:
    """End a command with one line instead of a traceback, which could quote a path or a header.

    ``CTQA_TRACEBACK=1`` lets the traceback of a fault through, for those who look for its cause.
    """
    try:
        yield
    except typer.Exit:
        raise
    except CTQAError as error:
        error_console.print(f"Error: {error}")
        raise typer.Exit(error.exit_code) from None
    except ModuleNotFoundError as error:
        error_console.print(
            f"Error: The package '{error.name}' is needed for this and not installed. "
            "Install CTQualityAssessment with its extras, as the README says."
        )
        raise typer.Exit(EXIT_FAULT) from None
    except KeyboardInterrupt:
        error_console.print("Stopped; nothing was written.")
        raise typer.Exit(EXIT_CANCELLED) from None
    except Exception as error:
        if os.environ.get("CTQA_TRACEBACK") == "1":
            raise
        if is_out_of_memory(error):
            error.__traceback__ = None  # it holds what filled the memory, and a line is to be printed
            error_console.print(f"Error: {' '.join(NO_MEMORY)}")
            raise typer.Exit(EXIT_FAULT) from None
        error_console.print(
            f"Error: An unexpected fault stopped the run ({type(error).__name__}). "
            "Set CTQA_TRACEBACK=1 to see where, and report it without patient data."
        )
        raise typer.Exit(EXIT_FAULT) from None


@contextmanager
def cancel_on_interrupt(
    message: str = "Cancelling after this batch; press Ctrl-C again to stop at once.",
    terminate_asks: bool = False,
) -> Iterator[Cancelled]:
    """The first Ctrl-C asks the work to stop at its next batch, and says so; the second stops at once.

    So does what a scheduler of jobs or a shutdown sends (SIGTERM): temporary files go, as after a Ctrl-C.
    With ``terminate_asks`` that is as gentle as the first Ctrl-C.
    """
    asked = threading.Event()

    def ask(signum: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        error_console.print(message)

    def stop(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    terminate = ask if terminate_asks else stop
    before = [(one, signal.signal(one, call)) for one, call in ((signal.SIGINT, ask), (signal.SIGTERM, terminate))]
    try:
        yield asked.is_set
    finally:
        for one, handler in before:
            signal.signal(one, handler)


@contextmanager
def progress_bar() -> Iterator[ProgressCall]:
    """A bar on standard error, on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=error_console, transient=True, disable=not error_console.is_terminal) as bar:
        task = bar.add_task("Starting", total=None)

        def show(done: int, total: int, message: str) -> None:
            bar.update(task, completed=done, total=total or None, description=message)

        yield show
