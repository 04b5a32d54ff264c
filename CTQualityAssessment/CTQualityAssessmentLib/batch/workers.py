"""The processes that do the studies: dask workers on this computer, or those of a scheduler elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import dask
import psutil
from distributed import Client, LocalCluster, Worker, WorkerPlugin
from distributed.comm import connect
from distributed.security import Security

from CTQualityAssessmentLib.batch.addresses import is_loopback
from CTQualityAssessmentLib.batch.errors import SchedulerError, UnencryptedSchedulerError

#: Enough for a chest of 1000 slices of 512 x 512 with its maps and measures, beside torch.
_BYTES_EACH = 4 * 1024**3
_CONNECT_S = 30
_Resource = TypeVar("_Resource", bound=AbstractContextManager)


def default_workers() -> int:
    """As many as this process has cores and the free memory allows, at least one."""
    return max(1, min(cores(), psutil.virtual_memory().available // _BYTES_EACH))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def local_workers(count: int, work: Path) -> Iterator[Client]:
    """Start worker processes on this computer; they end with the block, and with this process however it ends.

    Scheduler and workers listen on 127.0.0.1 only and ask for a certificate that is made for this run, so that nobody
    else on this computer can hand them work. A worker that dies is replaced.

    Args:
        count: number of processes, one study each at a time.
        work: an existing folder for their own files and unpacked images; what a kill leaves there is the caller's.
    """
    settings = {
        # The scheduler's own folder too: dask leaves it in the computer's temporary folder when it is killed.
        "temporary-directory": str(work),
        # The first death of a worker comes back to us: we know better than to blame all that was running beside.
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.work-stealing": False,
        # Network disks may know no locks; what is left there goes with the next run anyway.
        "distributed.worker.use-file-locking": False,
        # No page without a key: their HTTP servers stay, but serve nothing.
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        # dask has glibc give back the memory of every tensor at once: the network takes more than twice as long so.
        "distributed.nanny.pre-spawn-environ": {
            name: value
            for name, value in dask.config.get("distributed.nanny.pre-spawn-environ").items()
            if name != "MALLOC_TRIM_THRESHOLD_"
        },
    }
    with (
        dask.config.set(settings),
        _ended_anyway(
            LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                security=True,
                silence_logs=logging.CRITICAL,  # dask's messages quote the arguments of a task, which are paths
                local_directory=str(work),
            )
        ) as cluster,
        _ended_anyway(Client(cluster)) as client,
    ):
        client.register_plugin(_DeafToInterrupts())
        yield client


@contextmanager
def remote_workers(address: str, trust_network: bool = False) -> Iterator[Client]:
    """Connect to a scheduler; keys and certificates of a ``tls://`` address come from dask's own configuration.

    Args:
        address: of the scheduler; without a scheme it is ``tcp://``.
        trust_network: whether an unencrypted address of another computer is wanted all the same.

    Raises:
        UnencryptedSchedulerError: it is one, and not wanted.
        SchedulerError: it does not answer, or has no worker, within half a minute.
    """
    if not (trust_network or is_private(address)):
        raise UnencryptedSchedulerError
    for name in ("distributed", "distributed.client"):  # dask gives the client a level of its own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        # A client that is refused in the middle of its start cannot be closed any more and complains at exit.
        asyncio.run(_reach(address))
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError):  # a timeout is an OSError
        raise SchedulerError("No dask scheduler answers at this address.") from None
    with _ended_anyway(client):
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError:
            raise SchedulerError("The dask scheduler has no worker.") from None
        yield client


@contextmanager
def _ended_anyway(resource: _Resource) -> Iterator[_Resource]:
    """On an overloaded computer an end that takes too long must not cost the table; the processes end with this one."""
    resource.__enter__()
    try:
        yield resource
    finally:
        with suppress(TimeoutError):
            resource.__exit__(None, None, None)


async def _reach(address: str) -> None:
    comm = await connect(address, timeout=_CONNECT_S, **Security().get_connection_args("client"))
    await comm.close()


def is_private(address: str) -> bool:
    """Whether nobody in the network can read or send along: encrypted with certificates, or on this computer."""
    scheme, _, rest = address.rpartition("://")
    if scheme in ("tls", "wss"):
        return True
    host = rest.rpartition(":")[0] if ":" in rest.rpartition("]")[2] else rest
    return is_loopback(host.strip("[]"))


class _DeafToInterrupts(WorkerPlugin):
    """Ctrl-C in a terminal reaches all its processes; only the command itself decides what it means."""

    name = "ctqa-deaf-to-interrupts"

    def setup(self, worker: Worker) -> None:
        """Runs in the main thread of the worker's process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # Unpacked images go with the worker's own folder, however the worker ends.
        tempfile.tempdir = worker.local_directory
