"""A few series through a real cluster whose worker and command are killed.

:mod:`Testing.pacs.exactly_once` does it with hundreds, with denoised series, and kills the scheduler too.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile

import pytest
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import Settings, StudyRecord
from CTQualityAssessmentLib.batch.run import run_studies
from CTQualityAssessmentLib.batch.study import Outcome
from CTQualityAssessmentLib.batch.temporary import TemporaryDiskError
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle
from CTQualityAssessmentLib.pacs.address import Patience, dimse_address, web_address
from CTQualityAssessmentLib.pacs.archive import FoundSeries, open_archive
from CTQualityAssessmentLib.pacs.errors import PartialTransferError
from CTQualityAssessmentLib.pacs.plan import SeriesJob, plan_series
from CTQualityAssessmentLib.pacs.series import do_series
from CTQualityAssessmentLib.pacs.transfer import fetch_series
from distributed import Client, LocalCluster
from pydicom import dcmread

from Testing.dicom_factory import body, write_series
from Testing.pacs.exactly_once import proven, random_kills, survive
from Testing.pacs.filling import fill
from Testing.pacs.orthanc import AET, OUR_AET
from Testing.small_disk import small_disk

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


@pytest.mark.parametrize("kind", ["web", "dimse"])
def test_a_full_temporary_disk_is_no_fault_of_the_series(archive, tmp_path, monkeypatch, kind):
    """Such a computer fails fastest and took every series of the night, and no later run did them."""
    fill(archive, tmp_path / "in", 1)
    settings = Settings(DEFAULT_BUNDLE, find_bundle(DEFAULT_BUNDLE).sha256, figures=False)
    dimse = kind == "dimse"
    address = dimse_address(f"127.0.0.1:{archive.dicom}", OUR_AET, AET) if dimse else web_address(archive.url)
    output = BatchFolder(tmp_path / "out")
    with small_disk(tmp_path / "disk") as disk, output.opened() as run, open_archive(address) as one:
        found = one.find({"Modality": "CT"})

        def do(place, **keywords):
            monkeypatch.setattr(tempfile, "tempdir", str(place))
            (entry,) = plan_series(found, output, settings, [])
            return do_series(entry.study, settings, address, str(output.path), run, **keywords)

        ballast = disk / "ballast"
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free - 8 * 1024))  # one image has room, the second has none
        unfit = do(disk)
        assert unfit.record is None and not list(output.studies.iterdir())
        assert "temporary disk of the computer" in unfit.unfit[0] and "No space left" in unfit.unfit[0]
        waits = do(disk, endure=True).record
        assert (waits.state, waits.reason) == ("waiting", unfit.unfit[0]) and not list(output.studies.iterdir())
        assert list(disk.iterdir()) == [ballast]
        away = do(tmp_path / "not mounted").unfit
        assert "temporary disk" in away[0] and str(tmp_path) not in "".join(away)
        ballast.unlink()
        assert do(disk).record.state == "scored"


def test_an_image_that_cannot_be_written_is_not_taken_for_a_full_disk(tmp_path):
    """pydicom tells both as an OSError; one such image in the archive would end every night."""
    (file,) = write_series(tmp_path / "in", body(1, 8, 8))

    class Archive:
        """Gives one image."""

        patience = Patience(tries=1)

        def fetch(self, series, keep):
            keep(self.image)

    archive, image = Archive(), dcmread(file)
    archive.image = image
    found = FoundSeries(image.StudyInstanceUID, image.SeriesInstanceUID, 1)
    with pytest.warns(UserWarning, match="US"):
        image.add_new("Rows", "US", 70000)
    with pytest.raises(PartialTransferError):
        fetch_series(archive, found, tmp_path / "got")
    image.Rows = 8
    fetch_series(archive, found, tmp_path / "got")
    with pytest.raises(TemporaryDiskError):
        fetch_series(archive, found, tmp_path / "absent" / "got")


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
