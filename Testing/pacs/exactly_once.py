"""Every series once, whatever is killed: a real Orthanc, a real dask cluster, and kills at random moments.

``python -m Testing.pacs.exactly_once --series 300 --kills 15 --seed 1 --table FILE`` prints what came of it, and adds a
row to a table. Scheduler and workers are started again when they end, as a service manager does; the command too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from CTQualityAssessmentLib.pacs.transfer import OURS

from Testing.pacs.filling import everything, fill
from Testing.pacs.orthanc import PASSWORD, USER, Orthanc, free_port

#: What is killed, and how often beside the others.
VICTIMS = {"worker": 3, "client": 2, "scheduler": 1}


@dataclass
class Cluster:
    """A scheduler, workers and the command, each a process that is started again when it ends."""

    archive: Orthanc
    out: Path
    logs: Path
    workers: int
    send: str
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)
    ends: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.address = f"tcp://127.0.0.1:{free_port()}"

    def command(self, name: str) -> list[str]:
        if name == "scheduler":
            host, port = self.address.removeprefix("tcp://").split(":")
            return ["-m", "distributed.cli.dask_scheduler", "--host", host, "--port", port, "--no-dashboard"]
        if name.startswith("worker"):
            options = "--nthreads 1 --no-nanny --no-dashboard --host 127.0.0.1 --death-timeout 120".split()
            return ["-m", "distributed.cli.dask_worker", self.address, *options, "--local-directory", str(self.logs)]
        options = ["--query", "Modality=CT", "--send", self.send, "--no-figures", "--scheduler", self.address]
        where = ["--url", self.archive.url, "--out", str(self.out)]
        return ["-m", "CTQualityAssessmentLib.cli", "pacs", "score", *where, *options]

    def start(self, name: str) -> None:
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *self.command(name)],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"},  # as ctqa-scheduler.service
            )

    def keep_alive(self) -> int | None:
        """Start again what ended; the exit code of the command where it says that all is done."""
        for name in ("scheduler", *(f"worker-{n}" for n in range(self.workers)), "client"):
            process = self.processes.get(name)
            if process is not None and process.poll() is None:
                continue
            if process is not None:
                self.ends[f"{name.split('-')[0]} {process.returncode}"] += 1
                if name == "client" and process.returncode in (0, 2, 3, 4):
                    return process.returncode
            self.start(name)
        return None

    def kill(self, kind: str, rng: random.Random) -> None:
        name = rng.choice([one for one in self.processes if one.startswith(kind)])
        if self.processes[name].poll() is None:
            os.kill(self.processes[name].pid, signal.SIGKILL)
            self.processes[name].wait()

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def finished(out: Path) -> int:
    """Series with results; what the ledger says of derived ones does not count."""
    return len(list((out / "studies").glob("[!.]*/assessment.json")))


def random_kills(series: int, kills: int, rng: random.Random) -> list[tuple[int, str]]:
    """When so many series are done, what is killed then: random, but spread over the whole run whatever the computer's
    speed, and each kind at least once."""
    moments = sorted(rng.sample(range(1, series), kills))
    victims = [*VICTIMS, *rng.choices(list(VICTIMS), list(VICTIMS.values()), k=max(0, kills - len(VICTIMS)))][:kills]
    rng.shuffle(victims)
    return list(zip(moments, victims, strict=True))


def survive(
    archive: Orthanc,
    folder: Path,
    series: int,
    plan: list[tuple[int, str]],
    rng: random.Random,
    workers: int = 2,
    send: str = "report,denoised",
    limit_s: float = 6000,
) -> dict:
    """Score so many series under the kills of a plan; what the archive, the ledger and the record hold in the end."""
    (logs := folder / "logs").mkdir()
    cluster = Cluster(archive, folder / "out", logs, workers, send)
    plan, killed = list(plan), Counter[str]()
    try:
        for name in ("scheduler", *(f"worker-{n}" for n in range(workers))):
            cluster.start(name)  # while the archive is filled
        uids = fill(archive, folder / "in", series)
        began = time.monotonic()
        while (code := cluster.keep_alive()) is None:
            assert time.monotonic() - began < limit_s, (logs / "client.log").read_text()[-3000:]
            if plan and finished(cluster.out) >= plan[0][0]:
                time.sleep(rng.random())  # in the middle of whatever comes next
                cluster.kill(plan[0][1], rng)
                killed[plan.pop(0)[1]] += 1
            time.sleep(0.05)
        seconds = time.monotonic() - began
        before = snapshot(archive, cluster.out)
        again = rerun(cluster)
        return {
            "series": series,
            "workers": workers,
            "killed": dict(killed),
            "ends": dict(cluster.ends),
            "seconds": round(seconds),
            "exit": code,
            "exit_again": again,
            "unchanged": before == snapshot(archive, cluster.out),
            **outcome(archive, cluster.out, uids, send),
        }
    finally:
        cluster.stop()


def rerun(cluster: Cluster) -> int:
    """The same command once more, on the cluster that is there."""
    cluster.start("client")
    return cluster.processes["client"].wait(1200)


def snapshot(archive: Orthanc, out: Path) -> tuple:
    """Every object of the archive, result of the ledger and row of the record, as they are."""
    stored = sorted((str(path), path.stat().st_mtime_ns) for path in (archive.folder / "storage").rglob("*-*-*"))
    ledger = sorted((path.parent.name, path.read_text()) for path in (out / "studies").glob("*/study.json"))
    return stored, ledger, rows(out)


def rows(out: Path) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(out / "record.sqlite")) as record:
        return record.execute("SELECT * FROM results ORDER BY id").fetchall()


def outcome(archive: Orthanc, out: Path, uids: list[str], send: str) -> dict:
    """What was lost or done twice, in the archive, the ledger and the record."""
    objects = everything(archive)
    images = {one.SOPInstanceUID for one in objects if one.SeriesInstanceUID in uids}
    made: Counter[tuple[str, str]] = Counter()
    for one in objects:
        if one.Modality == "SR":
            evidence = one.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
            made["report", evidence.SeriesInstanceUID] += 1
        elif one.SOPInstanceUID not in images:
            made["denoised", one.SourceImageSequence[0].ReferencedSOPInstanceUID] += 1
    wanted = {("report", uid) for uid in uids} | {("denoised", uid) for uid in images if "denoised" in send}
    ledger = {path.parent.name: json.loads(path.read_text()) for path in (out / "studies").glob("[!.]*/study.json")}
    ledger = {name: one for name, one in ledger.items() if one["reason"] != OURS}
    keys = Counter(row[1] for row in rows(out))
    return {
        "reports": sum(kind == "report" for kind, _ in made.elements()),
        "denoised": sum(kind == "denoised" for kind, _ in made.elements()),
        "lost": len(wanted - set(made)) + len(set(ledger) - set(keys)) + abs(len(uids) - len(ledger)),
        "twice": sum(n - 1 for n in made.values()) + sum(n - 1 for n in keys.values()) + len(set(made) - wanted),
        "scored": sum(one["state"] == "scored" for one in ledger.values()),
        "reasons": dict(Counter(one["reason"] for one in ledger.values() if one["reason"])),
        "left": len(list(out.rglob("outbox"))) + len(list((out / "studies").glob(".ctqa-*"))),
    }


def proven(found: dict) -> bool:
    """Whether each series was scored and sent back once, and the second run changed nothing."""
    clean = found["lost"] == found["twice"] == found["left"] == found["exit"] == found["exit_again"] == 0
    return clean and found["unchanged"] and found["scored"] == found["series"]


def _row(found: dict, seed: int) -> str:
    killed = ", ".join(f"{n} x {kind}" for kind, n in sorted(found["killed"].items()))
    names = ("seconds", "scored", "reports", "denoised", "lost", "twice", "left")
    cells = [found["series"], found["workers"], seed, killed, *(found[name] for name in names)]
    return "| " + " | ".join([*map(str, cells), "nothing" if found["unchanged"] else "SOMETHING"]) + " |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=300)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--table", type=Path, help="add a row of the table in README.md to this file")
    parser.add_argument("--logs", type=Path, help="keep what the processes printed in this folder")
    asked = parser.parse_args()
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, DEFAULT_DENOISER

    from Testing.bundle_factory import write_bundle
    from Testing.denoiser_factory import write_denoiser

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # nothing that it started outlives it
    with tempfile.TemporaryDirectory(prefix="ctqa-once-") as place:
        folder = Path(place)
        write_bundle(folder / "models" / DEFAULT_BUNDLE)
        write_denoiser(folder / "models" / DEFAULT_DENOISER)
        os.environ.update(CTQA_MODELS=str(folder / "models"), CTQA_PACS_USER=USER, CTQA_PACS_PASSWORD=PASSWORD)
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        rng = random.Random(asked.seed)
        archive = Orthanc(folder / "orthanc").start()
        try:
            plan = random_kills(asked.series, asked.kills, rng)
            found = survive(archive, folder, asked.series, plan, rng, asked.workers)
        finally:
            archive.stop()
            if asked.logs:
                shutil.copytree(folder / "logs", asked.logs, dirs_exist_ok=True)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    if asked.table:
        with asked.table.open("a", encoding="utf-8") as table:
            table.write(_row(found, asked.seed))
    sys.exit(0 if proven(found) else 1)


if __name__ == "__main__":
    main()
