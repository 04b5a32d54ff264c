"""What grows with the number of series beside the work itself: ``python -m Testing.benchmarks.ledger [--series 5000]``.

Ledger, plan, record, pages and the scheduler, each with so many series of which all but a few are done: no image, no
network and no archive is in it. Seconds of the processor are given, or of the clock where other processes or the disk
do the work.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import SCORED, Settings, StudyRecord
from CTQualityAssessmentLib.batch.run import run_studies
from CTQualityAssessmentLib.batch.study import Outcome
from CTQualityAssessmentLib.pacs.address import web_address
from CTQualityAssessmentLib.pacs.archive import FoundSeries
from CTQualityAssessmentLib.pacs.plan import SeriesJob, plan_series
from CTQualityAssessmentLib.pacs.series import do_series

from Testing.record.simulated import department

SETTINGS = Settings("model", "d" * 64, figures=False)
#: So many are published and handed out one by one, to see what one takes.
ONE_BY_ONE = 300


def nothing(job: SeriesJob, run: str) -> Outcome:
    """A task without work."""
    return Outcome(StudyRecord(job.name, job.fingerprint, run, SCORED))


def timed(what: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    began = clock()
    what()
    return clock() - began


def say(name: str, seconds: float, count: int) -> None:
    sys.stdout.write(f"| {name} | {1000 * seconds / count:.3f} | {seconds:.1f} |\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=5000)
    count = parser.parse_args().series
    with tempfile.TemporaryDirectory(prefix="ctqa-ledger-") as place:
        out = BatchFolder(Path(place) / "out")
        with out.opened() as run:
            measure(out, run, count)


def measure(out: BatchFolder, run: str, count: int) -> None:
    from CTQualityAssessmentLib.batch.workers import local_workers
    from CTQualityAssessmentLib.cli.studies import write_group
    from CTQualityAssessmentLib.record.address import record_url
    from CTQualityAssessmentLib.record.filing import Filing
    from CTQualityAssessmentLib.record.store import open_record
    from CTQualityAssessmentLib.record.trend_page import find_trends, trend_page

    sys.stdout.write(f"{count} series.\n\n| step | each (ms) | all (s) |\n|---|---|---|\n")
    figures = [one.figures for one in department(1, 24, -(-count // 72))][:count]
    found = [FoundSeries("1", f"1.2.{number}", 300) for number in range(count)]
    jobs = [entry.study for entry in plan_series(found, out, SETTINGS, ["report"])]
    records = [
        StudyRecord(job.name, job.fingerprint, run, SCORED, None, {"slices": 300, **values}, 60.0, ("report",))
        for job, values in zip(jobs, figures, strict=True)
    ]

    def publish() -> None:
        for record in records[:ONE_BY_ONE]:
            with out.scratch() as scratch:
                out.publish(scratch, record)

    say(f"publish one ({ONE_BY_ONE} of them), by the clock", timed(publish, time.monotonic), ONE_BY_ONE)
    for record in records[ONE_BY_ONE:]:
        (out.studies / record.name).mkdir()
        (out.studies / record.name / "study.json").write_text(record.to_json())
    plan = []
    say("plan, all done", timed(lambda: plan.extend(plan_series(found, out, SETTINGS, ["report"]))), count)
    if any(entry.record is None for entry in plan):
        raise SystemExit("the ledger lost a series")
    with open_record(record_url(None, out.path)) as opened:
        filing = Filing(opened, out, SETTINGS)
        say(
            f"enter one ({ONE_BY_ONE} of them) into SQLite, by the clock",
            timed(lambda: [filing.enter(one) for one in records[:ONE_BY_ONE]], time.monotonic),
            ONE_BY_ONE,
        )
        say("enter all others at once", timed(lambda: filing.settle(records)), count)
        say("compare all with the record", timed(lambda: filing.settle(records)), count)
        say(
            "page of trends",
            timed(
                lambda: (out.path / "trends.html").write_text(trend_page(find_trends(opened.results()), "d" * 64, None))
            ),
            count,
        )
    say("page and table of the folder", timed(lambda: write_group(tuple(plan), SETTINGS, out, "", False)), count)
    with local_workers(2, out.work) as client:
        some = jobs[:ONE_BY_ONE]
        hand_out = partial(
            run_studies, some, partial(nothing, run=run), out.path, run, client, on_record=lambda *_: None
        )
        hand_out()  # the workers import what they need
        say(
            f"hand out one ({ONE_BY_ONE} of them) to 2 workers, by the clock",
            timed(hand_out, time.monotonic),
            ONE_BY_ONE,
        )
    task = partial(do_series, settings=SETTINGS, address=web_address("https://pacs.example.org/x"), out="/out", run=run)
    sizes = {
        "ledger, without results (kB a series)": sum(len(one.to_json()) for one in records) / count / 1000,
        "SQLite (kB a series)": (out.path / "record.sqlite").stat().st_size / count / 1000,
        "page of the folder (kB a series)": (out.path / "index.html").stat().st_size / count / 1000,
        "page of trends (kB a series)": (out.path / "trends.html").stat().st_size / count / 1000,
        "a task on its way to the scheduler (kB)": (len(pickle.dumps(task)) + len(pickle.dumps(jobs[0]))) / 1000,
    }
    sys.stdout.write("\n| size | |\n|---|---|\n" + "".join(f"| {name} | {kb:.2f} |\n" for name, kb in sizes.items()))


if __name__ == "__main__":
    main()
