"""Workers for ``ctqa batch`` and ``ctqa pacs`` as jobs of SLURM, one for each graphics card.

    python Resources/Cluster/slurm.py --share /data/ctqa --jobs 4 --queue gpu --gpus 1 --script    # look first
    python Resources/Cluster/slurm.py --share /data/ctqa --jobs 4 --queue gpu --gpus 1

The folder of --share lies on a disk that all computers see. The second command stays: it is the scheduler. It writes
certificates of this run into the folder, which its owner alone can open, and prints what to type in another window.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
from pathlib import Path

import dask
from dask_jobqueue import SLURMCluster
from distributed.security import Security

#: For a series: one process, a few cores, and the memory of a chest of 1000 slices beside torch.
CORES, MEMORY = 4, "8GB"


def cluster_of(asked: argparse.Namespace) -> SLURMCluster:
    """The scheduler, and the job that starts one worker. A worker does one series at a time, with one model."""
    dask.config.set(
        {
            "distributed.scheduler.http.routes": [],  # no page that everyone could read
            "distributed.scheduler.allowed-failures": 0,  # the command counts deaths; else each try costs four workers
        }
    )
    directives = [f"--gpus={asked.gpus}"] if asked.gpus else []
    # Only names: the values stay in the environment, from which SLURM passes them on, and in no job script.
    login = "CTQA_PACS_USER,CTQA_PACS_PASSWORD,CTQA_PACS_TOKEN,CTQA_MODELS"
    return SLURMCluster(
        queue=asked.queue,
        account=asked.account,
        cores=1,  # of dask: one thread, so one series at a time
        job_cpu=CORES,
        memory=MEMORY,
        processes=1,
        walltime=asked.walltime,
        interface=asked.interface,
        local_directory=asked.scratch,
        log_directory=str(asked.share / "logs"),
        shared_temp_directory=str(asked.share),
        job_extra_directives=[*directives, f"--export=ALL,{login}", "--requeue"],
        job_script_prologue=[
            f"export OMP_NUM_THREADS={CORES}",
            "export DASK_DISTRIBUTED__WORKER__HTTP__ROUTES='[]'",
            # Else dask has glibc give back the memory of every tensor at once, and the network takes twice as long.
            "export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8589934592",
            *([f"export TMPDIR={shlex.quote(asked.scratch)}"] if asked.scratch else []),
        ],
        security=Security.temporary(),
        protocol="tls://",
        scheduler_options={"dashboard": False, "dashboard_address": ":0"},
        # At this age, give or take the stagger, dask ends the worker and breaks off its series; another worker does
        # that series from its start, and SLURM starts the next job. Nothing is lost but the work on that series; one
        # that takes longer than this is never done. --walltime has to be longer still: then SLURM kills the job.
        worker_extra_args=["--lifetime", asked.lifetime, "--lifetime-stagger", "5m", "--no-dashboard"],
    )


def write_certificates(share: Path, security: Security) -> dict[str, Path]:
    """What the command needs to be let in: three files that only their owner can read."""
    found = {}
    for name, content in security.get_tls_config_for_role("client").items():
        if name in ("ca_file", "cert", "key"):
            found[name] = share / f"client-{name}.pem"
            with os.fdopen(os.open(found[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(content)
    return found


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options of this recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=Path, required=True, help="folder on a disk that all computers see")
    parser.add_argument("--jobs", type=int, default=1, help="at most so many workers; none while nothing is to be done")
    parser.add_argument("--queue", help="partition of SLURM")
    parser.add_argument("--account")
    parser.add_argument("--gpus", type=int, default=0, help="graphics cards of a worker: 1 or 0")
    parser.add_argument("--walltime", default="08:00:00")
    parser.add_argument(
        "--lifetime",
        default="7h30m",
        help="many times what the longest series takes, which is broken off then; 10 minutes less than --walltime",
    )
    parser.add_argument("--interface", help="network interface, such as ib0")
    parser.add_argument("--scratch", help="private disk of a computer; images lie there for minutes")
    parser.add_argument("--script", action="store_true", help="print the job and submit nothing")
    return parser.parse_args(arguments)


def main() -> None:
    """Print the job, or be the scheduler until Ctrl-C."""
    asked = options()
    asked.share.mkdir(mode=0o700, parents=True, exist_ok=True)
    with cluster_of(asked) as cluster:
        if asked.script:
            print(cluster.job_script())  # noqa: T201
            return
        files = write_certificates(asked.share, cluster.security)
        cluster.adapt(minimum=0, maximum=asked.jobs)
        print(  # noqa: T201
            f"export DASK_DISTRIBUTED__COMM__TLS__CA_FILE={files['ca_file']}\n"
            f"export DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT={files['cert']} "
            f"DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY={files['key']}\n"
            f"ctqa pacs score ... --scheduler {cluster.scheduler_address}",
            flush=True,
        )
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()
