"""One study, in the process of a worker: read, assess, measure, write."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.batch.errors import StaleRunError
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import FAILED, SCORED, UNSCORED, Settings, Study, StudyRecord
from CTQualityAssessmentLib.batch.table import study_values
from CTQualityAssessmentLib.errors import CTQAError

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models import LoadedModel

#: One study at a time in a process, also on a worker with several threads: memory is planned for one.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """What came of a study: its record, or, where this worker can do no study at all, problem and advice."""

    record: StudyRecord | None
    unfit: tuple[str, str] | None = None


def do_study(study: Study, settings: Settings, source: str, out: str, run: str, version: str = __version__) -> Outcome:
    """Do a study and write its results, or its failure, into the output folder.

    No exception leaves this function: dask would print it together with the paths of the study.

    Args:
        study: what to do.
        settings: how.
        source: absolute path of the folder or file in which the studies were found.
        out: absolute path of the output folder, which was begun before.
        run: identifies the run of the program.
        version: of the program that asks.
    """
    try:
        with _one_at_a_time:
            folder = BatchFolder(Path(out))
            _check_place(Path(source), folder, run, version)
            model = _model(settings)
            return Outcome(_done(study, settings, folder, model, run))
    except CTQAError as error:
        return Outcome(None, (error.problem, error.advice))
    except ModuleNotFoundError as error:
        return Outcome(None, (f"the package '{error.name}' is not installed there.", "Install it as the README says."))
    except Exception as error:
        return Outcome(
            None, (f"an unexpected fault stopped it ({_place(error)}).", "Try 'ctqa assess' with one study.")
        )


def fail_study(study: Study, out: Path, run: str, reason: str) -> StudyRecord:
    """Write down that a study cannot be done.

    Raises:
        StaleRunError: the folder was given to another run meanwhile.
        OutputFolderError: that cannot be written either.
    """
    folder = BatchFolder(out)
    with folder.scratch() as scratch:
        return folder.publish(scratch, StudyRecord(study.name, study.fingerprint, run, FAILED, reason))


def _check_place(source: Path, folder: BatchFolder, run: str, version: str) -> None:
    """Whether this worker is one that can do studies of this run."""
    if version != __version__:
        raise CTQAError(
            f"it has version {__version__} of this program, not {version}.", "Install the same version on both sides."
        )
    alike = "Input and output must lie on a disk that all computers see under the same path."
    if not source.exists():
        raise CTQAError("it does not see the input.", alike)
    if not folder.exists:
        raise CTQAError("it does not see the output folder.", alike)
    if folder.run != run:
        raise StaleRunError


def _model(settings: Settings) -> LoadedModel:
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


def _done(study: Study, settings: Settings, folder: BatchFolder, model: LoadedModel, run: str) -> StudyRecord:
    from CTQualityAssessmentLib.reporting.folder import OutputFolderError

    started = time.monotonic()
    try:
        with folder.scratch() as scratch:
            record = _assessed(study, settings, scratch, model, run, started)
            return folder.publish(scratch, record)
    except (OutputFolderError, StaleRunError):
        raise
    except CTQAError as error:
        reason = error.problem
    except Exception as error:
        reason = _fault(error)
    # Where another run took over, it swept the scratch folder: whatever failed here says nothing of the study.
    return fail_study(study, folder.path, run, reason)


def _assessed(
    study: Study, settings: Settings, scratch: Path, model: LoadedModel, run: str, started: float
) -> StudyRecord:
    from CTQualityAssessmentLib.assessment import assess_volume
    from CTQualityAssessmentLib.assessment.measures import measure_volume
    from CTQualityAssessmentLib.reading import Wanted, read_volume
    from CTQualityAssessmentLib.result_files import write_results

    wanted = Wanted(("CT", "MR") if model.reads_volumes else ("CT",))
    volume = read_volume([Path(file) for file in study.files], series=study.series, wanted=wanted)
    assessment = assess_volume(
        volume, model, batch_size=settings.batch_size, attention_stages=settings.attention_stages
    )
    measures = measure_volume(volume)
    write_results(scratch, volume, assessment, measures, figures=settings.figures, scene=settings.scene)
    refusals = [one.refusal.reason for one in assessment.slices if one.refusal]
    scored = assessment.summary.scored > 0
    return StudyRecord(
        study.name,
        study.fingerprint,
        run,
        SCORED if scored else UNSCORED,
        None if scored else max(sorted(set(refusals)), key=refusals.count),
        study_values(assessment, measures),
        round(time.monotonic() - started, 2),
    )


def _fault(error: Exception) -> str:
    # Texts of foreign errors may hold paths or header values.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
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
