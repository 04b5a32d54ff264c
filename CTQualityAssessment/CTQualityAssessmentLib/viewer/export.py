"""``python -m CTQualityAssessmentLib.viewer.export``: the files to download, made in a process of their own.

Figures and the packing of a scene take seconds, in which the pictures of the viewer would stand still. The request
comes as one line on standard input: the message that described the volume to the worker, whose folder holds the result.
"""

from __future__ import annotations

import sys
from pathlib import Path

from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.reporting.denoising_file import write_denoising
from CTQualityAssessmentLib.reporting.folder import result_folder
from CTQualityAssessmentLib.reporting.measures_file import read_measures, write_measures
from CTQualityAssessmentLib.reporting.volume_file import write_volume
from CTQualityAssessmentLib.result_files import write_results
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.viewer.transfers import EXPORT_FOLDER, denoised_name
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.exchange import (
    ASSESSMENT,
    DENOISED,
    DENOISING,
    read_denoised,
    read_denoising,
    read_result,
    read_volume_file,
)
from CTQualityAssessmentLib.worker.protocol import VolumeRequest, decode


def export(
    folder: Path,
    volume: Volume,
    assessment: VolumeAssessment | None,
    measures: PhysicalMeasures | None,
    comparison: tuple[DenoisingReport, Volume] | None = None,
) -> None:
    """Write what :data:`~CTQualityAssessmentLib.viewer.transfers.FILES` names, as far as it is known, or nothing.

    What was not measured yet is measured now: it stands in the page. A denoising of the volume stands in the page and
    in the scene.
    """
    with result_folder(folder) as scratch:
        if measures is None:
            measures = measure_volume(volume)
        if assessment is None:
            write_measures(scratch, measures)
        else:
            write_results(scratch, volume, assessment, measures, figures=True, scene=True, comparison=comparison)


def export_denoised(folder: Path, volume: Volume, report: DenoisingReport) -> None:
    """Write the denoised volume, as NRRD where its grid allows that, else as NIfTI, and the report, or nothing."""
    with result_folder(folder) as scratch:
        write_volume(scratch / denoised_name(volume), volume)
        write_denoising(scratch, report)


def main() -> None:
    """Serve the one request."""
    request = VolumeRequest.from_message(decode(sys.stdin.buffer.readline()))
    folder = Path(request.folder)
    volume = read_volume_file(request)
    assessment = read_result(folder) if (folder / ASSESSMENT).exists() else None
    measures = read_measures(folder / "measures.json") if (folder / "measures.json").exists() else None
    if assessment is None and measures is None and (folder / DENOISING).exists():
        export_denoised(folder / EXPORT_FOLDER, volume, read_denoising(folder))
        return
    comparison = None
    if (folder / DENOISED).exists():
        denoised, report = read_denoised(folder, volume)
        comparison = report, denoised
    export(folder / EXPORT_FOLDER, volume, assessment, measures, comparison)


if __name__ == "__main__":
    main()
