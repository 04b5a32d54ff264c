"""A few series through a real cluster whose worker and command are killed.

:mod:`Testing.pacs.exactly_once` does it with hundreds, with denoised series, and kills the scheduler too.
"""

from __future__ import annotations

import os
import random
import tempfile

import pytest
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import Settings, StudyRecord
from CTQualityAssessmentLib.batch.run import run_studies
from CTQualityAssessmentLib.batch.study import Outcome
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle
from CTQualityAssessmentLib.pacs.address import web_address
from CTQualityAssessmentLib.pacs.archive import FoundSeries, open_archive
from CTQualityAssessmentLib.pacs.plan import SeriesJob, plan_series
from CTQualityAssessmentLib.pacs.series import do_series
from distributed import Client, LocalCluster

from Testing.pacs.exactly_once import proven, random_kills, survive
from Testing.pacs.filling import fill

pytestmark = pytest.mark.xdist_group("orthanc")


def test_killed_parts_lose_nothing_and_bring_nothing_twice(archive, tmp_path):
    """A computer that is switched off at night must cost no report, and the radiologist must not find two."""
    plan = [(1, "worker"), (2, "client")]
    found = survive(archive, tmp_path, 4, plan, random.Random(1), send="report", limit_s=900)
    assert proven(found), found
    assert found["killed"] == {"worker": 1, "client": 1} and found["ends"]["client -9"] == 1
    assert (found["reports"], found["reasons"]) == (4, {})


def test_a_plan_kills_each_kind_at_least_once():
    """A long run that never killed the scheduler would prove nothing of it."""
    for seed in range(20):
        plan = random_kills(300, 15, random.Random(seed))
        assert len(plan) == 15 and {victim for _, victim in plan} == {"worker", "client", "scheduler"}
        assert [moment for moment, _ in plan] == sorted({moment for moment, _ in plan})


def test_images_of_a_killed_worker_do_not_stay_on_its_disk(archive, tmp_path, monkeypatch):
    """A computer that is switched off now and then would fill with images of patients that nobody knows of."""
    private = tmp_path / "private"
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    left = private / "ctqa-series-left"
    (left / "files" / "images").mkdir(parents=True)
    (left / "lock").touch()
    (left / "files" / "images" / "000000.dcm").write_bytes(b"a patient")
    os.utime(left, (0, 0))
    fill(archive, tmp_path / "in", 1)
    settings = Settings(DEFAULT_BUNDLE, find_bundle(DEFAULT_BUNDLE).sha256, figures=False)
    address, output = web_address(archive.url), BatchFolder(tmp_path / "out")
    with output.opened() as run, open_archive(address) as one:
        (entry,) = plan_series(one.find({"Modality": "CT"}), output, settings, [])
        outcome = do_series(entry.study, settings, address, str(output.path), run)
    assert outcome.record is not None and outcome.record.state == "scored"
    assert not list(private.glob("ctqa-series-*"))


def nothing(job):
    """A task without work, for a worker."""
    return Outcome(StudyRecord(job.name, job.fingerprint, "r", "scored"))


def test_no_more_series_are_handed_out_than_there_are_workers(tmp_path):
    """A month that is handed out at once would be held by the scheduler, and lost with it."""
    jobs = [SeriesJob(f"{n:016x}", "f", FoundSeries("1", f"1.{n}", 1), (), True, False) for n in range(12)]
    done, known = [], []
    with LocalCluster(2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        tasks = cluster.scheduler.tasks

        def keep(job, _):
            done.append(job.name)
            known.append(len(tasks))

        with Client(cluster) as client:
            run_studies(jobs, nothing, tmp_path, "r", client, on_record=keep)
    assert sorted(done) == [job.name for job in jobs]
    assert max(known) <= 2 + 1  # one may be forgotten a moment after it is done
