"""One series, in the process of a worker: fetch, assess, publish, send back."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import FAILED, SKIPPED, WAITING, Settings, StudyRecord
from CTQualityAssessmentLib.batch.study import Outcome, assessed, check_place, guarded, loaded_model, published
from CTQualityAssessmentLib.batch.temporary import TemporaryDiskError, temporary_folder
from CTQualityAssessmentLib.pacs.address import Address
from CTQualityAssessmentLib.pacs.archive import Archive, open_archive
from CTQualityAssessmentLib.pacs.denoised import loaded_denoiser, write_denoised
from CTQualityAssessmentLib.pacs.errors import ArchiveError, SeriesError
from CTQualityAssessmentLib.pacs.kinds import MAPS, REPORT
from CTQualityAssessmentLib.pacs.outbox import UNSENT, create_outbox, send_waiting, study_waiting
from CTQualityAssessmentLib.pacs.patience import will_pass
from CTQualityAssessmentLib.pacs.plan import SeriesJob, record_of_ours
from CTQualityAssessmentLib.pacs.transfer import NotToBeScored, fetch_series

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models import LoadedDenoiser, LoadedModel

#: How the folders are named in which images lie while they are assessed.
_PRIVATE = "ctqa-series-"


def do_series(
    job: SeriesJob,
    settings: Settings,
    address: Address,
    out: str,
    run: str,
    endure: bool = False,
    version: str = __version__,
) -> Outcome:
    """Do a series and publish its results, or its failure, in the output folder; then send back what is wanted.

    A transfer that fails is not written down, so that the next run tries again; damaged images are. Where this
    computer's temporary disk cannot be written, it is unfit. With ``endure`` that, or a fault of the archive that will
    pass, gives a record in state "waiting".

    Args:
        job: what to do.
        settings: how.
        address: of the archive; the login comes from the environment or the keyring of this process.
        out: absolute path of the output folder, which was begun before.
        run: identifies the run of the program.
        endure: whether an archive that does not answer, or a full temporary disk, fails this series only, instead of
            ending the run.
        version: of the program that asks.
    """
    bearable = ArchiveError if endure else SeriesError

    def work() -> StudyRecord:
        folder = BatchFolder(Path(out))
        check_place(folder, run, version)
        try:
            with open_archive(address) as archive:
                return _done(job, settings, archive, folder, run, endure)
        except TemporaryDiskError as error:
            if not endure:
                raise
            return StudyRecord(job.name, job.fingerprint, run, WAITING, error.problem)
        except bearable as error:
            if endure and will_pass(error):
                return StudyRecord(job.name, job.fingerprint, run, WAITING, error.problem)
            known = folder.record_of(job.name)
            if (
                known and known.state != FAILED and known.fingerprint == job.fingerprint
            ):  # it was published, and could not be sent
                return replace(known, reason=f"{UNSENT}{error.problem}")
            return StudyRecord(job.name, job.fingerprint, run, FAILED, error.problem, made=job.made)

    return guarded(work)


def _done(
    job: SeriesJob, settings: Settings, archive: Archive, folder: BatchFolder, run: str, endure: bool
) -> StudyRecord:
    here = folder.studies / job.name
    known = folder.record_of(job.name)
    study = study_waiting(here) if job.series is None else None
    if known and study and not archive.find({"StudyInstanceUID": study}):
        # The folder may have been used with another archive, which these results of a patient belong to.
        return replace(known, reason=f"{UNSENT}The archive does not have the study.")
    # What an earlier run made goes first: assessing again would replace it.
    unsent = send_waiting(archive, here, endure=endure) if job.send else None
    known = folder.record_of(job.name)
    if known and (unsent or not job.assess or (known.fingerprint == job.fingerprint and known.state != FAILED)):
        return replace(known, reason=unsent) if unsent else known
    model = loaded_model(settings)
    denoises = job.denoiser is not None and job.denoiser.kind in job.make
    denoiser = loaded_denoiser(job.denoiser, settings.device) if job.denoiser and denoises else None

    def make(scratch: Path) -> StudyRecord:
        done = _made(job, settings, archive, folder, scratch, model, denoiser, run)
        return replace(done, made=tuple(sorted({*job.made, *job.make})))

    record = published(job, folder, run, make, (ArchiveError,))
    unsent = send_waiting(archive, here, fresh=True, endure=endure) if job.send else None
    return replace(record, reason=unsent) if unsent else record


def _made(
    job: SeriesJob,
    settings: Settings,
    archive: Archive,
    folder: BatchFolder,
    scratch: Path,
    model: LoadedModel,
    denoiser: LoadedDenoiser | None,
    run: str,
) -> StudyRecord:
    """Fetch and assess; the objects to be sent lie in the outbox of the scratch folder."""
    from CTQualityAssessmentLib.reading import read_volume, read_with_source
    from CTQualityAssessmentLib.reporting.dicom.files import REPORT as REPORT_FILE
    from CTQualityAssessmentLib.reporting.dicom.files import write_dicom

    assert job.series is not None  # else nothing is assessed
    started = time.monotonic()
    # What a worker that was killed left of a patient's images on this computer's disk goes first.
    with temporary_folder(_PRIVATE) as private:
        images = private / "images"
        try:
            fetch_series(archive, job.series, images)
        except NotToBeScored as reason:
            return StudyRecord(job.name, job.fingerprint, run, SKIPPED, str(reason))
        # Without a report to be made, images whose UIDs nothing could refer to are as good as others.
        volume, source = read_with_source(images) if job.make else (read_volume(images), None)
        record, assessment, measures = assessed(job, volume, settings, folder, scratch, model, run, started)
        if source is None:
            return record
        box = create_outbox(scratch)
        if {REPORT, MAPS} & set(job.make):
            write_dicom(box, assessment if MAPS in job.make else replace(assessment, attention=()), source, measures)
            if REPORT not in job.make:
                (box / REPORT_FILE).unlink()
        if denoiser is None or job.denoiser is None:
            return record
        del volume  # it is read once more, with its files
        ours, reason = write_denoised(images, box, scratch, job.denoiser, denoiser)
        if ours is not None:
            with folder.scratch() as empty:
                folder.publish(empty, record_of_ours(ours, folder, settings, run))
        elif not any(box.iterdir()):
            box.rmdir()
        return replace(record, reason=record.reason or reason, seconds=round(time.monotonic() - started, 2))
