"""What a series costs from the archive and back: ``python -m Testing.benchmarks.archive [--series 4] [--slices 60]``.

``ctqa pacs score --send report,maps`` with the shipped weights against a real Orthanc on this computer, with 1, 2 and 4
workers of one thread each; then the same steps one by one in one process. Seconds of the processor are given beside
those of the clock: they hold on a computer that does other things too. The slices are those of the shipped sample,
repeated. Needs Linux, Orthanc and its DICOMweb plugin.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil

from Testing.benchmarks.memory import SAMPLE
from Testing.dicom_factory import write_series
from Testing.pacs.filling import store
from Testing.pacs.orthanc import PASSWORD, USER, Orthanc

#: Processor seconds hold the start of the workers too: imports and model.
COLUMNS = (
    "workers",
    "series an hour",
    "clock a series and worker (s)",
    "of it network (s)",
    "processor a series (s)",
    "start (s)",
    "peak of a worker (MB)",
    "private disk of all (MB)",
    "kept a series (MB)",
)


@dataclass
class Watched:
    """What the workers of a command took: seconds of the processor and peak memory of each, and the disk of all."""

    seconds: dict[int, float] = field(default_factory=dict)
    peak_mb: dict[int, float] = field(default_factory=dict)
    disk_mb: float = 0.0

    def look(self, command: psutil.Process, out: Path) -> None:
        for child in command.children(recursive=True):
            try:
                if "spawn_main" not in " ".join(child.cmdline()):
                    continue
                times = child.cpu_times()
                self.seconds[child.pid] = times.user + times.system
                status = Path(f"/proc/{child.pid}/status").read_text()
                peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                self.peak_mb[child.pid] = int(peak.split()[1]) * 1024 / 1e6
            except (psutil.Error, OSError, StopIteration):
                continue  # it ended just now
        private = (out / ".ctqa-batch" / "work", *(out / "studies").glob(".ctqa-*"))
        self.disk_mb = max(self.disk_mb, sum(megabytes(folder) for folder in private))


def megabytes(folder: Path) -> float:
    found = 0
    for where, _, files in os.walk(folder):
        for name in files:
            try:
                found += os.stat(f"{where}/{name}").st_size
            except OSError:  # gone meanwhile
                continue
    return found / 1e6


class TimedScorer:
    """A scorer that counts the seconds of its calls."""

    def __init__(self, scorer: object) -> None:
        self.scorer, self.clock, self.processor = scorer, 0.0, 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self.scorer, name)

    def __call__(self, *arguments: object) -> object:
        clock, processor = time.monotonic(), time.process_time()
        found = self.scorer(*arguments)
        self.clock += time.monotonic() - clock
        self.processor += time.process_time() - processor
        return found


@contextmanager
def filled(folder: Path, series: int, slices: int):
    """An archive with so many series, no two alike."""
    from CTQualityAssessmentLib.reading import read_volume

    hu = read_volume(SAMPLE).hu
    archive = Orthanc(folder / "orthanc").start()
    try:
        for number in range(series):
            repeated = np.roll(np.resize(hu, (slices, *hu.shape[1:])), 7 * number, axis=2)
            for path in (paths := write_series(folder / f"in {number}", repeated, pixel_spacing=(0.75, 0.75))):
                store(archive, [path])
            for path in paths:
                path.unlink()
        yield archive
    finally:
        archive.stop()


def with_workers(archive: Orthanc, out: Path, workers: int) -> dict[str, float]:
    """One run of the command."""
    command = [sys.executable, "-m", "CTQualityAssessmentLib.cli", "pacs", "score", "--url", archive.url, "--out", out]
    options = ["--query", "Modality=CT", "--send", "report,maps", "--workers", workers]
    watched, began = Watched(), time.monotonic()
    process = subprocess.Popen(list(map(str, command + options)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        watched.look(psutil.Process(process.pid), out)
        time.sleep(0.3)
    wall = time.monotonic() - began
    if process.returncode:
        raise SystemExit(process.stderr.read().decode()[-2000:])
    studies = list((out / "studies").glob("*/study.json"))
    took = [(path.stat().st_mtime, json.loads(path.read_text())["seconds"]) for path in studies]
    span = max(end for end, _ in took) - min(end - seconds for end, seconds in took)
    network = [json.loads((path.parent / "assessment.json").read_text())["timings_s"]["network"] for path in studies]
    return {
        "workers": workers,
        "an_hour": 3600 * len(took) / span,
        "start": wall - span,
        "clock": workers * span / len(took),
        "network": sum(network) / len(took),
        "processor": sum(watched.seconds.values()) / len(took),
        "peak_mb": max(watched.peak_mb.values()),
        "disk_mb": watched.disk_mb,
        "kept_mb": sum(megabytes(path.parent) for path in studies) / len(took),
    }


def step_by_step(archive: Orthanc, out: Path) -> dict[str, tuple[float, float]]:
    """Seconds of the clock and of this process's processor for each step of one series, after one that warms up."""
    from CTQualityAssessmentLib.assessment import assess_volume
    from CTQualityAssessmentLib.assessment.measures import measure_volume
    from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, load_bundle
    from CTQualityAssessmentLib.pacs.address import web_address
    from CTQualityAssessmentLib.pacs.archive import open_archive
    from CTQualityAssessmentLib.pacs.outbox import create_outbox, send_waiting
    from CTQualityAssessmentLib.pacs.transfer import fetch_series
    from CTQualityAssessmentLib.reading import read_with_source
    from CTQualityAssessmentLib.reporting.dicom.files import write_dicom
    from CTQualityAssessmentLib.result_files import write_results

    model, spent = load_bundle(DEFAULT_BUNDLE, device="cpu"), {}
    model = replace(model, scorer=(network := TimedScorer(model.scorer)))

    @contextmanager
    def step(name: str):
        clock, processor = time.monotonic(), time.process_time()
        yield
        spent[name] = (time.monotonic() - clock, time.process_time() - processor)

    with open_archive(web_address(archive.url)) as one:
        for number, series in enumerate(one.find({"Modality": "CT"})[:2]):
            (results := out / str(number)).mkdir(parents=True)
            with step("fetch (WADO-RS)"):
                fetch_series(one, series, out / "images")
            with step("read"):
                volume, source = read_with_source(out / "images")
            with step("assess, without the network"):
                found = assess_volume(volume, model, attention_stages=(3,))
            with step("physical measures"):
                measures = measure_volume(volume)
            with step("report, page, pictures"):
                write_results(results, volume, found, measures, figures=True, scene=False)
            with step("DICOM report and maps"):
                write_dicom(create_outbox(results), found, source, measures)
            with step("send (STOW-RS)"):
                send_waiting(one, results, fresh=True)
            name = "assess, without the network"
            spent["network"] = (network.clock, network.processor)
            spent[name] = (spent[name][0] - network.clock, spent[name][1] - network.processor)
            network.clock = network.processor = 0.0
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=4)
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4])
    asked = parser.parse_args()
    os.environ.update(CTQA_PACS_USER=USER, CTQA_PACS_PASSWORD=PASSWORD, OMP_NUM_THREADS="1")
    with tempfile.TemporaryDirectory(prefix="ctqa-archive-") as place:
        folder = Path(place)
        with filled(folder, asked.series, asked.slices) as archive:
            say(f"{asked.series} series of {asked.slices} slices of 512 x 512; {os.cpu_count()} cores, load before ")
            say(f"{os.getloadavg()[0]:.1f} of other programs\n\n")
            say("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS) + "\n")
            for workers in asked.workers:
                got = with_workers(archive, folder / f"out {workers}", workers)
                say(
                    "| {workers} | {an_hour:.0f} | {clock:.1f} | {network:.1f} | {processor:.1f} | {start:.0f} ".format(
                        **got
                    )
                )
                say("| {peak_mb:.0f} | {disk_mb:.0f} | {kept_mb:.1f} |\n".format(**got))
            say("\n| step of one series | clock (s) | processor (s) |\n|---|---|---|\n")
            for name, (clock, processor) in step_by_step(archive, folder / "steps").items():
                say(f"| {name} | {clock:.2f} | {processor:.2f} |\n")
            say(f"\nThe archive has {megabytes(archive.folder / 'storage'):.0f} MB now.\n")


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
