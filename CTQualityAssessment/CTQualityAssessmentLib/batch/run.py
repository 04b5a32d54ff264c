"""Hands studies to workers and takes back what came of them."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from CTQualityAssessmentLib.batch.errors import SchedulerError, WorkerError
from CTQualityAssessmentLib.batch.records import Job, StudyRecord
from CTQualityAssessmentLib.batch.study import Outcome, fail_study
from CTQualityAssessmentLib.calls import Cancelled, never

if TYPE_CHECKING:
    from distributed import Client, Future

#: How often a study may take a worker process down with it before it is given up. A scheduler elsewhere may tell us
#: only after several deaths: with dask's own setting, ALLOWED_FAILURES=3, after each fourth.
_DEATHS = 3
_Job = TypeVar("_Job", bound=Job)
_LOST = (
    "The process that did this study ended unexpectedly three times or more, the last time with no other study beside "
    "it; perhaps the memory is not enough for it."
)
_LOST_SCHEDULER = "The connection to the dask scheduler was lost."


def run_studies(
    studies: Sequence[_Job],
    do: Callable[[_Job], Outcome],
    out: Path,
    run: str,
    client: Client,
    *,
    on_record: Callable[[_Job, StudyRecord], None],
    cancelled: Cancelled = never,
) -> None:
    """Do all studies, one at a time in each worker.

    A study whose worker dies is tried again at the end, with nothing running beside it, so that a study that is too
    large for the memory does not take the blame to its neighbours. It is given up after a try alone, once it has cost
    three processes or more.

    Args:
        studies: what to do.
        do: does one, in a worker: a function of a module, or a partial of one. It raises nothing.
        out: absolute path of the output folder, opened by the caller.
        run: identifies this run.
        client: of the workers.
        on_record: called with each study that is done or failed.
        cancelled: asked twice a second; True hands out no further study and waits for those that are running.

    Raises:
        WorkerError: a worker cannot do studies at all.
        SchedulerError: the scheduler is gone.
        OutputFolderError: a failure cannot be written down.
    """
    from distributed import wait
    from distributed.scheduler import KilledWorker

    waiting, suspects = deque(studies), deque[_Job]()
    deaths: Counter[str] = Counter()
    alone: set[str] = set()
    running: dict[Future, _Job] = {}

    def hand_out(study: _Job) -> None:
        key = f"{study.name}-{run}-{deaths[study.name]}"
        running[client.submit(do, study, key=key, pure=False)] = study

    try:
        while running or ((waiting or suspects) and not cancelled()):
            if not cancelled():
                while waiting and len(running) < max(1, len(client.nthreads())):
                    hand_out(waiting.popleft())
                if not running and suspects:
                    alone.add(suspects[0].name)
                    hand_out(suspects.popleft())
            try:
                with client.as_current():  # it is nobody's default, so that a worker's own client cannot be meant
                    finished = wait(list(running), timeout=0.5, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                continue
            for future in finished:
                study = running.pop(future)
                if future.status == "finished":
                    on_record(study, _record_of(future))
                elif future.status == "error" and isinstance(killed := future.exception(), KilledWorker):
                    deaths[study.name] += killed.allowed_failures + 1
                    if study.name in alone and deaths[study.name] >= _DEATHS:
                        on_record(study, fail_study(study, out, run, _LOST))
                    else:
                        suspects.append(study)
                elif future.status == "error":
                    raise WorkerError(
                        f"a task cannot be run there ({type(future.exception()).__name__}).",
                        "Install the same versions of this program and of dask on both sides.",
                    )
                else:
                    raise SchedulerError(_LOST_SCHEDULER)
    except CancelledError:  # dask's own way to tell that what ran is lost with the scheduler
        raise SchedulerError(_LOST_SCHEDULER) from None
    except OSError as error:
        if type(error).__module__.startswith("distributed"):
            raise SchedulerError(_LOST_SCHEDULER) from None
        raise


def _record_of(future: Future) -> StudyRecord:
    outcome = future.result()
    if outcome.record is None:
        raise WorkerError(*outcome.unfit)
    return outcome.record
