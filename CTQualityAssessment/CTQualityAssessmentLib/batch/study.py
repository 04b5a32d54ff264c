"""One study, in the process of a worker: read, assess, measure, write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.batch.errors import StaleRunError
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import FAILED, SCORED, UNSCORED, Job, Settings, Study, StudyRecord
from CTQualityAssessmentLib.batch.table import study_values
from CTQualityAssessmentLib.batch.temporary import TemporaryDiskError
from CTQualityAssessmentLib.errors import CTQAError, is_out_of_memory

if TYPE_CHECKING:
    from CTQualityAssessmentLib.measures import PhysicalMeasures
    from CTQualityAssessmentLib.models import LoadedModel
    from CTQualityAssessmentLib.results import VolumeAssessment
    from CTQualityAssessmentLib.volume import Volume

#: One study at a time in a process, also on a worker with several threads: memory is planned for one.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """What came of a study: its record, or, where this worker can do no study at all, problem and advice."""

    record: StudyRecord | None
    unfit: tuple[str, str] | None = None


def do_study(study: Study, settings: Settings, source: str, out: str, run: str, version: str = __version__) -> Outcome:
    """Do a study and write its results, or its failure, into the output folder; see :func:`guarded`.

    Args:
        study: what to do.
        settings: how.
        source: absolute path of the folder or file in which the studies were found.
        out: absolute path of the output folder, which was begun before.
        run: identifies the run of the program.
        version: of the program that asks.
    """

    def work() -> StudyRecord:
        folder = BatchFolder(Path(out))
        check_place(folder, run, version, Path(source))
        model = loaded_model(settings)
        return published(
            study, folder, run, lambda scratch: _read_and_assessed(study, settings, folder, scratch, model, run)
        )

    return guarded(work)


def guarded(work: Callable[[], StudyRecord]) -> Outcome:
    """Do some work alone in this process, and tell what came of it.

    No exception leaves this function: dask would print it together with what the work was given.
    """
    try:
        with _one_at_a_time:
            return Outcome(work())
    except CTQAError as error:
        return Outcome(None, (error.problem, error.advice))
    except ModuleNotFoundError as error:
        return Outcome(None, (f"the package '{error.name}' is not installed there.", "Install it as the README says."))
    except Exception as error:
        return Outcome(
            None, (f"an unexpected fault stopped it ({_place(error)}).", "Try 'ctqa assess' with one study.")
        )


def fail_study(study: Job, out: Path, run: str, reason: str) -> StudyRecord:
    """Write down that a study cannot be done.

    Raises:
        StaleRunError: the folder was given to another run meanwhile.
        OutputFolderError: that cannot be written either.
    """
    folder = BatchFolder(out)
    with folder.scratch() as scratch:
        return folder.publish(scratch, StudyRecord(study.name, study.fingerprint, run, FAILED, reason, made=study.made))


def check_place(folder: BatchFolder, run: str, version: str, source: Path | None = None) -> None:
    """Whether this worker is one that can do studies of this run, from a folder of that name where there is one.

    Raises:
        CTQAError: it has another version of the program, or does not see a folder.
        StaleRunError: the folder was given to another run meanwhile.
    """
    if version != __version__:
        raise CTQAError(
            f"it has version {__version__} of this program, not {version}.", "Install the same version on both sides."
        )
    alike = "Input and output must lie on a disk that all computers see under the same path."
    if source is not None and not source.exists():
        raise CTQAError("it does not see the input.", alike)
    if not folder.exists:
        raise CTQAError("it does not see the output folder.", alike)
    if folder.run != run:
        raise StaleRunError


def loaded_model(settings: Settings) -> LoadedModel:
    """The model of this process, with the weights that were asked for.

    Raises:
        CTQAError: they are others, or cannot be loaded.
    """
    if settings.threads:
        import torch

        torch.set_num_threads(settings.threads)
    model = _loaded(settings.model, settings.device)
    if model.identity.sha256 != settings.model_sha256:
        raise CTQAError("it has other weights under this name.", "Install the same model on all computers.")
    return model


@lru_cache(maxsize=1)
def _loaded(model: str, device: str) -> LoadedModel:
    """Once a process; the weights are verified against their checksum as they are read."""
    from CTQualityAssessmentLib.models import load_bundle

    return load_bundle(model, device=device)


def published(
    study: Job,
    folder: BatchFolder,
    run: str,
    do: Callable[[Path], StudyRecord],
    stops: tuple[type[CTQAError], ...] = (),
) -> StudyRecord:
    """Have a study done in a scratch folder and publish it; what goes wrong becomes its record.

    Args:
        study: what is done.
        folder: the output folder.
        run: identifies the run of the program.
        do: writes the results into a scratch folder.
        stops: errors that say nothing of the study, and leave this function.

    Raises:
        StaleRunError, OutputFolderError: as :meth:`BatchFolder.publish`.
        TemporaryDiskError: this computer can do no study now.
    """
    from CTQualityAssessmentLib.reporting.folder import OutputFolderError

    try:
        with folder.scratch() as scratch:
            return folder.publish(scratch, do(scratch))
    except (OutputFolderError, StaleRunError, *stops):
        raise
    except TemporaryDiskError:
        _not_while_ending()
        raise
    except CTQAError as error:
        reason = error.problem
    except Exception as error:
        reason = _fault(error)
    _not_while_ending()
    # Where another run took over, it swept the scratch folder: whatever failed here says nothing of the study.
    return fail_study(study, folder.path, run, reason)


def _not_while_ending() -> None:
    """Never come back where the process is ending: its exit takes temporary files and libraries away from a study that
    still runs, which says nothing of the study. Whoever asked for it gives it to another worker."""
    while not threading.main_thread().is_alive():
        time.sleep(1)  # dask's threads end with the process


def _read_and_assessed(
    study: Study, settings: Settings, folder: BatchFolder, scratch: Path, model: LoadedModel, run: str
) -> StudyRecord:
    from CTQualityAssessmentLib.reading import Wanted, read_volume

    started = time.monotonic()
    wanted = Wanted(("CT", "MR") if model.reads_volumes else ("CT",))
    volume = read_volume([Path(file) for file in study.files], series=study.series, wanted=wanted)
    return assessed(study, volume, settings, folder, scratch, model, run, started)[0]


def assessed(
    study: Job,
    volume: Volume,
    settings: Settings,
    folder: BatchFolder,
    scratch: Path,
    model: LoadedModel,
    run: str,
    started: float,
) -> tuple[StudyRecord, VolumeAssessment, PhysicalMeasures]:
    """Score and measure a volume and write every result that names no patient.

    Args:
        study: what the volume is.
        volume: what was read.
        settings: how.
        folder: the output folder, whose key makes the pseudonym of the scanner.
        scratch: an empty folder for the files.
        model: see :func:`loaded_model`.
        run: identifies the run of the program.
        started: when work on the study began, by :func:`time.monotonic`.

    Raises:
        OutputFolderError: the disk is full or was taken away.
    """
    from CTQualityAssessmentLib.assessment import assess_volume
    from CTQualityAssessmentLib.assessment.measures import measure_volume
    from CTQualityAssessmentLib.reporting.folder import writing
    from CTQualityAssessmentLib.result_files import write_results

    assessment = assess_volume(
        volume, model, batch_size=settings.batch_size, attention_stages=settings.attention_stages
    )
    measures = measure_volume(volume)
    with writing():  # a disk that is full is no property of the study
        write_results(scratch, volume, assessment, measures, figures=settings.figures, scene=settings.scene)
    refusals = [one.refusal.reason for one in assessment.slices if one.refusal]
    scored = assessment.summary.scored > 0
    record = StudyRecord(
        study.name,
        study.fingerprint,
        run,
        SCORED if scored else UNSCORED,
        None if scored else max(sorted(set(refusals)), key=refusals.count),
        study_values(assessment, measures, volume.origin.month, _unit(folder, volume)),
        round(time.monotonic() - started, 2),
    )
    return record, assessment, measures


def _unit(folder: BatchFolder, volume: Volume) -> str | None:
    device = volume.origin.device
    parts = ("scanner", volume.facts.manufacturer, volume.facts.scanner_model, device)
    return folder.name_of("\n".join(map(str, parts)).encode())[:6] if device else None


def _fault(error: Exception) -> str:
    # Texts of foreign errors may hold paths or header values.
    if is_out_of_memory(error):
        return "The memory is not enough for this study."
    return f"An unexpected fault stopped the study ({_place(error)})."


def _place(error: Exception) -> str:
    """Type and innermost line of an error in this package, without its text."""
    import traceback

    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "CTQualityAssessmentLib" in frame.filename
    ]
    where = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"
