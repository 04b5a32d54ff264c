"""Processes that do cases within bounds: so much memory, so much time; what breaks them is told with its number."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

#: Address space of a process; libraries and threads alone take about one gigabyte of it.
MEMORY_BYTES = 3 * 1024**3
#: Processor seconds that a case may take; the clock is more patient, for machines with other work.
CPU_SECONDS, CLOCK_SECONDS = 20.0, 300.0

#: What a case is: its number and an empty folder, to what was tried, what came of it, and details.
Case = Callable[[int, Path], tuple[str, str, str]]


@dataclass(frozen=True)
class Outcome:
    """Number of the case, what was tried, "volume", "refused" or a defect, details, processor seconds.

    ``peak_mib`` is the most memory that the process has had in use until then.
    """

    seed: int
    tried: str
    kind: str
    detail: str
    seconds: float
    peak_mib: float = 0.0


DEFECTS = ("fault", "memory", "slow", "hang", "crash")


def run_cases(case: Case, seeds: Iterable[int], workers: int = 1, patience: float = 1.0) -> Iterator[Outcome]:
    """Do the cases in ``workers`` processes and yield what came of each, in the order in which they end.

    A process that dies or hangs is replaced, and its case is told as "crash" or "hang". ``patience`` multiplies the
    time that a case may take.
    """
    waiting = iter(seeds)
    running: list[_Worker] = []
    try:
        for _ in range(workers):
            if (seed := next(waiting, None)) is not None:
                running.append(_Worker(case, seed, patience))
        while running:
            ready = multiprocessing.connection.wait([one.pipe for one in running], timeout=1.0)
            for one in list(running):
                outcome = one.outcome(one.pipe in ready)
                if outcome is None:
                    continue
                yield outcome
                seed = next(waiting, None)
                if seed is None:
                    one.stop()
                    running.remove(one)
                else:
                    one.give(seed)
    finally:
        for one in running:
            one.stop()


class _Worker:
    def __init__(self, case: Case, seed: int, patience: float) -> None:
        self._case, self._patience = case, patience
        self._start()
        self.give(seed)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=_serve, args=(self._case, theirs, self._patience), daemon=True
        )
        self._process.start()
        theirs.close()

    def give(self, seed: int) -> None:
        if not self._process.is_alive():
            self._start()
        self._seed, self._begun = seed, time.monotonic()
        self.pipe.send(seed)

    def outcome(self, ready: bool) -> Outcome | None:
        """What came of the case; None while it goes on."""
        if ready:
            try:
                return Outcome(self._seed, *self.pipe.recv())
            except (EOFError, OSError):
                self._process.join(10)
                return Outcome(self._seed, "?", "crash", f"exit code {self._process.exitcode}", 0.0)
        if time.monotonic() - self._begun > (limit := CLOCK_SECONDS * self._patience):
            self.stop()
            return Outcome(self._seed, "?", "hang", f"over {limit:g} s", limit)
        return None

    def stop(self) -> None:
        self._process.kill()
        self._process.join(10)
        self.pipe.close()


def _serve(case: Case, pipe: Connection, patience: float) -> None:
    _bound()
    while True:
        try:
            seed = pipe.recv()
        except EOFError:
            return
        begun = time.process_time()
        with tempfile.TemporaryDirectory(prefix="hardness-") as folder, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            tried, kind, detail = case(seed, Path(folder))
        if said and kind not in DEFECTS:  # warnings quote headers
            kind, detail = "fault", f"a warning was printed, from {Path(said[0].filename).name}:{said[0].lineno}"
        seconds = time.process_time() - begun
        if kind == "fault" and detail.startswith("MemoryError"):
            kind = "memory"
        elif kind not in DEFECTS and seconds > CPU_SECONDS * patience:
            kind, detail = "slow", f"{seconds:.0f} s: {detail}"
        pipe.send((tried, kind, detail, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
