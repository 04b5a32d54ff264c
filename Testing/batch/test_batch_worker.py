"""What one worker does with one study, also where it cannot, or where its run is gone."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.batch.errors import StaleRunError, UnencryptedSchedulerError
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.plan import make_plan
from CTQualityAssessmentLib.batch.records import FAILED, SCORED, Settings, Study, StudyRecord
from CTQualityAssessmentLib.batch.run import run_studies
from CTQualityAssessmentLib.batch.study import Outcome, do_study, fail_study, published
from CTQualityAssessmentLib.batch.workers import is_private, local_workers, remote_workers
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, find_bundle
from CTQualityAssessmentLib.reading import find_inputs
from distributed import Client, LocalCluster
from distributed.scheduler import KilledWorker

from Testing.batch.running import until, write_studies

STUDY = Study("0" * 16, "f", ("/x",), 1)


class Batch:
    """A folder with one study, and the same call that a scheduler makes."""

    def __init__(self, tmp_path, slices: int = 2) -> None:
        self.source = tmp_path / "in"
        write_studies(self.source, 1, slices)
        self.folder = BatchFolder(tmp_path / "out")
        self.settings = Settings(DEFAULT_BUNDLE, find_bundle(DEFAULT_BUNDLE).sha256, figures=False, threads=1)

    def study(self):
        return make_plan(find_inputs(self.source), self.folder, self.settings)[0].study

    def do(self, run, settings=None, version=__version__, source=None, out=None):
        source, out = str(source or self.source), str(out or self.folder.path)
        return do_study(self.study(), settings or self.settings, source, out, run, version)

    def written(self):
        return sorted(path.name for path in self.folder.studies.iterdir())


def test_a_worker_that_can_do_no_study_says_so_and_writes_nothing(tmp_path):
    """Else one computer without the disk or the model fills the table of a whole night with failures."""
    batch = Batch(tmp_path)
    with batch.folder.opened() as run:
        unfit = [
            batch.do(run, version="0.0.1"),
            batch.do(run, source=tmp_path / "not mounted"),
            batch.do(run, out=tmp_path / "not mounted"),
            batch.do(run, replace(batch.settings, model="no-such-model")),
            batch.do(run, replace(batch.settings, model_sha256="0" * 64)),
            batch.do(run, replace(batch.settings, device="cuda:99")),
        ]
        assert batch.written() == []
        assert all(one.record is None and one.unfit[1] for one in unfit)
        problems = [one.unfit[0] for one in unfit]
        for problem, words in zip(
            problems,
            (
                "has version",
                "not see the input",
                "not see the output",
                "no model of that name",
                "other weights",
                "device",
            ),
            strict=True,
        ):
            assert words in problem and str(tmp_path) not in problem
        assert batch.do(run).record.state == SCORED and batch.written() == [batch.study().name]


def test_a_study_whose_file_went_is_a_failure_of_that_study_alone(tmp_path):
    """A file that is moved while the batch runs must not stop all others."""
    batch = Batch(tmp_path)
    with batch.folder.opened() as run:
        study = batch.study()
        for path in batch.source.rglob("*.dcm"):
            path.unlink()
        record = do_study(study, batch.settings, str(batch.source), str(batch.folder.path), run).record
    assert record.state == FAILED and "no file or folder" in record.reason


def test_a_worker_that_a_run_left_behind_writes_nothing_down(tmp_path):
    """A command that loses its scheduler ends in good order and takes the scratch folders of its workers away, which
    still run: a failure from there would stand in the table as that of the study."""
    folder = BatchFolder(tmp_path / "out")
    run_ended = threading.Event()

    def work(scratch):
        run_ended.wait(60)
        (scratch / "index.html").write_text("late")  # its folder is gone by now
        raise AssertionError("the scratch folder is still there")

    faults = []

    def worker():
        try:
            published(STUDY, folder, lost, work)
        except StaleRunError as fault:
            faults.append(fault)

    with folder.opened() as lost:
        thread = threading.Thread(target=worker)
        thread.start()
        until(lambda: list(folder.studies.glob(".ctqa-*")), step=0.001)
    run_ended.set()
    thread.join()
    assert len(faults) == 1 and not any(folder.studies.iterdir())


def test_a_worker_whose_client_was_killed_cannot_spoil_the_next_run(tmp_path):
    """It goes on without anybody waiting; the next run takes its scratch folder away, which says nothing of the study:
    a failure from there would stand in the table, and be believed, until someone asks for --retry."""
    batch = Batch(tmp_path, slices=150)
    with batch.folder.opened() as killed:  # the lock goes with the process, as it does with the block
        study = batch.study()
    (batch.folder.path / ".ctqa-batch" / "run").write_text(killed)  # and a kill leaves the folder to the run
    outcomes = []
    thread = threading.Thread(target=lambda: outcomes.append(batch.do(killed)))
    thread.start()
    until(lambda: list(batch.folder.studies.glob(".ctqa-*")), step=0.001)
    with batch.folder.opened() as run:
        thread.join()
        assert outcomes[0].record is None and batch.written() == []
        with pytest.raises(StaleRunError):
            fail_study(study, batch.folder.path, killed, "late")
        assert batch.do(killed).record is None and batch.written() == []
        assert batch.do(run).record.state == SCORED


def test_two_workers_may_finish_one_study_at_the_same_moment(tmp_path):
    """After the loss of a connection a study runs twice. Neither may end the batch, and one whole result stays."""
    folder = BatchFolder(tmp_path / "out")
    with folder.opened() as run:
        for n in range(20):
            fail_study(replace(STUDY, name=f"{n:016x}"), folder.path, run, "earlier")
            gate, kept, errors = threading.Barrier(6), [], []

            def publish(name: str, number: int, gate=gate, kept=kept, errors=errors) -> None:
                try:
                    with folder.scratch() as scratch:
                        (scratch / "index.html").write_text(str(number))
                        gate.wait()
                        kept.append(folder.publish(scratch, StudyRecord(name, STUDY.fingerprint, run, SCORED)))
                except Exception as error:
                    errors.append(error)

            threads = [threading.Thread(target=publish, args=(f"{n:016x}", number)) for number in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert errors == [] and len(kept) == 6
            assert {path.name for path in (folder.studies / f"{n:016x}").iterdir()} == {"study.json", "index.html"}
            assert folder.record_of(f"{n:016x}").state == SCORED
        assert len(list(folder.studies.iterdir())) == 20


TRIED = []


def dies(allowed, study):
    """A task that ends as dask ends one whose workers died, but for one study that is sound."""
    TRIED.append(study.name)  # the worker is a thread of this process
    if study.name == STUDY.name:
        raise KilledWorker(study.name, SimpleNamespace(address="tcp://gone"), allowed)
    return Outcome(StudyRecord(study.name, study.fingerprint, "r", SCORED))


@pytest.mark.parametrize(("allowed", "tries"), [(0, 3), (1, 2), (3, 2)])
def test_deaths_of_workers_are_counted_as_the_scheduler_counts_them(tmp_path, allowed, tries):
    """With dask's own setting each try costs four workers: three tries took twelve, a night of the whole department.
    One try alone remains in any case, so that a neighbour does not take the blame."""
    folder, told = BatchFolder(tmp_path / "out"), {}
    TRIED.clear()
    studies = [STUDY, replace(STUDY, name="1" * 16), replace(STUDY, name="2" * 16)]
    with (
        folder.opened() as run,
        LocalCluster(1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        do = partial(dies, allowed)
        run_studies(studies, do, folder.path, run, client, on_record=lambda study, one: told.update({study.name: one}))
    assert TRIED.count(STUDY.name) == tries and TRIED[-1] == STUDY.name and len(TRIED) == tries + 2
    assert told[STUDY.name].state == FAILED and "ended unexpectedly three times or more" in told[STUDY.name].reason
    assert {one.state for name, one in told.items() if name != STUDY.name} == {SCORED}


def test_a_disk_that_goes_ends_the_batch_instead_of_failing_studies(tmp_path):
    """An output that cannot be written any more is no property of a study."""
    batch = Batch(tmp_path)
    with batch.folder.opened() as run:
        batch.folder.studies.rmdir()
        batch.folder.studies.write_text("in the way")
        outcome = batch.do(run)
    assert outcome.record is None and "cannot be written" in outcome.unfit[0]


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("tcp://127.0.0.1:8786", True),
        ("127.0.0.1:8786", True),
        ("localhost:8786", True),
        ("tcp://[::1]:8786", True),
        ("tls://ct-cluster:8786", True),
        ("tcp://ct-cluster:8786", False),
        ("ct-cluster:8786", False),
        ("tcp://10.0.0.7:8786", False),
        ("tcp://[fe80::1]:8786", False),
        ("ws://127.evil.example:8786", False),
        ("localhost.evil.example", False),
    ],
)
def test_an_open_line_to_another_computer_must_be_asked_for(address, private):
    """Paths of patients go over it, and whoever reaches an unencrypted scheduler runs programs on its workers."""
    assert is_private(address) == private
    if not private:
        with pytest.raises(UnencryptedSchedulerError, match="not encrypted"), remote_workers(address):
            pass


def test_a_worker_keeps_the_memory_of_its_tensors(tmp_path, monkeypatch):
    """dask has glibc give it back at once, slice by slice: the network took 2.5 times as long."""
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with local_workers(1, tmp_path) as client:
        assert list(client.run(os.environ.get, "MALLOC_TRIM_THRESHOLD_").values()) == [None]
