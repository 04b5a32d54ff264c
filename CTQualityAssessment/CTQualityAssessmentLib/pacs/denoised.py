"""The denoised series of a series that was fetched, for its outbox."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.pacs.archive import FoundSeries
from CTQualityAssessmentLib.pacs.kinds import Denoiser

if TYPE_CHECKING:
    from CTQualityAssessmentLib.models import LoadedDenoiser

_NONE = "No denoised series: "


def loaded_denoiser(wanted: Denoiser, device: str) -> LoadedDenoiser:
    """The denoiser of this process, with the weights that were asked for.

    Raises:
        CTQAError: they are others, or cannot be loaded.
    """
    model = _loaded(wanted.model, device)
    if model.identity.sha256 != wanted.sha256:
        raise CTQAError("it has another denoiser under this name.", "Install the same model on all computers.")
    return model


@lru_cache(maxsize=1)
def _loaded(model: str, device: str) -> LoadedDenoiser:
    """Once a process."""
    from CTQualityAssessmentLib.models import load_denoiser

    return load_denoiser(model, device=device)


def write_denoised(
    images: Path, box: Path, results: Path, wanted: Denoiser, model: LoadedDenoiser
) -> tuple[FoundSeries | None, str | None]:
    """Denoise a series, look whether lesions survive that, and write the derived series and ``denoising.json``.

    Nobody looks at the pictures before they are filed. So a series in which the guard raises its flag gets none.

    Args:
        images: folder with the images of the series.
        box: where the derived images go; they name the patient.
        results: where ``denoising.json`` goes; it names nobody.
        wanted, model: of :func:`loaded_denoiser`.

    Returns:
        the derived series, or None and why there is none, as a sentence.
    """
    from CTQualityAssessmentLib.assessment.denoising import (
        Examination,
        NotDenoisableError,
        blend,
        denoise_volume,
        examine,
        report_of,
    )
    from CTQualityAssessmentLib.denoising import Strength
    from CTQualityAssessmentLib.reading import originals
    from CTQualityAssessmentLib.reading.errors import MultiFrameError
    from CTQualityAssessmentLib.reporting.denoising_file import write_denoising
    from CTQualityAssessmentLib.reporting.dicom.derived_series import write_derived_series

    strength = Strength(*(3 * (wanted.strength,)))
    try:
        with originals(images) as files:
            found = denoise_volume(files.volume, model)
            result = found.volume if strength.full else blend(files.volume, found.volume, strength)
            report = report_of(files.volume, found, strength)
            report = examine(report, files.volume, result, model, Examination(True, False, False, None))
            write_denoising(results, report)
            flagged = [one.sentence() for one in report.retention if one.flagged]
            if flagged:
                return None, _NONE + flagged[0]
            series_uid, count = write_derived_series(box, files, result.hu, report)
            return FoundSeries(files.source.header["StudyInstanceUID"], series_uid, count), None
    except (MultiFrameError, NotDenoisableError) as error:
        return None, _NONE + error.problem
