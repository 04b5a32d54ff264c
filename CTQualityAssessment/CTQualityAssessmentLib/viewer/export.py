"""``python -m CTQualityAssessmentLib.viewer.export``: the files to download, made in a process of their own.

Figures and the packing of a scene take seconds, in which the pictures of the viewer would stand still. The request
comes as one line on standard input: the message that described the volume to the worker, whose folder holds the result.
"""

from __future__ import annotations

import sys
from pathlib import Path

from CTQualityAssessmentLib.assessment import patient_mask
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment
from CTQualityAssessmentLib.mrml.scene import create_bare_scene
from CTQualityAssessmentLib.mrml.scene_file import save_scene
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
from CTQualityAssessmentLib.reporting.csv_file import write_csv
from CTQualityAssessmentLib.reporting.denoising_file import write_denoising
from CTQualityAssessmentLib.reporting.figures import write_figures
from CTQualityAssessmentLib.reporting.folder import result_folder
from CTQualityAssessmentLib.reporting.json_file import write_json
from CTQualityAssessmentLib.reporting.measures_file import read_measures, write_measures
from CTQualityAssessmentLib.reporting.volume_file import write_volume
from CTQualityAssessmentLib.reporting.web_page import write_web_page
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.viewer.transfers import EXPORT_FOLDER, denoised_name
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.exchange import ASSESSMENT, DENOISING, read_denoising, read_result, read_volume_file
from CTQualityAssessmentLib.worker.protocol import VolumeRequest, decode


def export(
    folder: Path, volume: Volume, assessment: VolumeAssessment | None, measures: PhysicalMeasures | None
) -> None:
    """Write what :data:`~CTQualityAssessmentLib.viewer.transfers.FILES` names, as far as it is known, or nothing.

    What was not measured yet is measured now: it stands in the page.
    """
    with result_folder(folder) as scratch:
        if measures is None:
            measures = measure_volume(volume)
        write_measures(scratch, measures)
        if assessment is not None:
            _export_assessment(scratch, volume, assessment, measures)


def export_denoised(folder: Path, volume: Volume, report: DenoisingReport) -> None:
    """Write the denoised volume, as NRRD where its grid allows that, else as NIfTI, and the report, or nothing."""
    with result_folder(folder) as scratch:
        write_volume(scratch / denoised_name(volume), volume)
        write_denoising(scratch, report)


def _export_assessment(scratch: Path, volume: Volume, assessment: VolumeAssessment, measures: PhysicalMeasures) -> None:
    write_json(scratch / "assessment.json", assessment)
    write_csv(scratch / "slices.csv", assessment)
    write_figures(scratch / "figures.png", volume, assessment)
    write_web_page(scratch / "index.html", assessment, volume=volume, measures=measures, scene=True)
    bare = create_bare_scene()
    node = add_volume(bare.scene, volume)
    add_assessment(bare.scene, node, assessment, patient_mask(volume))
    save_scene(bare.scene, scratch / "scene.mrb")


def main() -> None:
    """Serve the one request."""
    request = VolumeRequest.from_message(decode(sys.stdin.buffer.readline()))
    folder = Path(request.folder)
    if (folder / DENOISING).exists():
        export_denoised(folder / EXPORT_FOLDER, read_volume_file(request), read_denoising(folder))
        return
    assessment = read_result(folder) if (folder / ASSESSMENT).exists() else None
    measures = read_measures(folder / "measures.json") if (folder / "measures.json").exists() else None
    export(folder / EXPORT_FOLDER, read_volume_file(request), assessment, measures)


if __name__ == "__main__":
    main()
