"""The DICOM files of an assessment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from highdicom import UID
from pydicom.config import disable_value_validation

from CTQualityAssessmentLib.reading.quiet import quiet
from CTQualityAssessmentLib.reporting.dicom.parametric_map import parametric_map
from CTQualityAssessmentLib.reporting.dicom.structured_report import structured_report

if TYPE_CHECKING:
    from CTQualityAssessmentLib.measures import PhysicalMeasures
    from CTQualityAssessmentLib.reading import SourceSeries
    from CTQualityAssessmentLib.results import VolumeAssessment

REPORT = "report.dcm"


def write_dicom(
    folder: Path, assessment: VolumeAssessment, source: SourceSeries, measures: PhysicalMeasures | None = None
) -> tuple[str, ...]:
    """Write ``report.dcm`` and one parametric map for each map, such as ``attention-scan-stage3.dcm``.

    They carry the patient's name and number, the study's dates and the UIDs of the images, as in the source, so that an
    archive can file them there.

    Returns:
        the names of the files.

    Raises:
        ValueError: assessment and source have another number of slices.
    """
    # Names and numbers of the source are repeated as they are, also where they break a rule of their type: a corrected
    # one would be another patient.
    with quiet(), disable_value_validation():
        objects = {REPORT: structured_report(assessment, source, measures)}
        maps_series = UID()
        for number, attention in enumerate(assessment.attention, start=1):
            objects[f"{attention.file_stem}.dcm"] = parametric_map(assessment, attention, source, maps_series, number)
        for name, one in objects.items():
            one.save_as(folder / name, enforce_file_format=True)
    return tuple(objects)
