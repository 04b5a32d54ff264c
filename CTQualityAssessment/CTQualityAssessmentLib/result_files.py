"""The files of one assessment: what ``ctqa assess`` and ``ctqa batch`` write for a volume."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.calls import Progress, no_progress

if TYPE_CHECKING:
    from CTQualityAssessmentLib.denoising import DenoisingReport
    from CTQualityAssessmentLib.measures import PhysicalMeasures
    from CTQualityAssessmentLib.reading import SourceSeries
    from CTQualityAssessmentLib.results import VolumeAssessment
    from CTQualityAssessmentLib.volume import Volume


#: Files that not every run writes: those of an earlier run must not stay beside the results of another volume.
OPTIONAL_FILES = (
    "figures.png",
    "scene.mrb",
    "report.dcm",
    "attention-*-stage[1-4].dcm",
    "grad-cam-*.dcm",
    "weight-*.dcm",
    "*-map.nii.gz",
)


def missing_for_scene() -> str | None:
    """Why a scene cannot be written here, as a sentence; None where it can."""
    return "the package slicer-core is not installed." if importlib.util.find_spec("slicer") is None else None


def write_results(
    folder: Path,
    volume: Volume,
    assessment: VolumeAssessment,
    measures: PhysicalMeasures,
    source: SourceSeries | None = None,
    *,
    figures: bool,
    scene: bool,
    comparison: tuple[DenoisingReport, Volume] | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write every result of a volume into an empty folder.

    Args:
        folder: where to; the caller makes it appear whole, see :mod:`CTQualityAssessmentLib.reporting.folder`.
        volume: what was assessed.
        assessment: what the network found, with attention maps where they are to be shown.
        measures: what was measured without it.
        source: the images that ``report.dcm`` and the parametric maps refer to; None writes neither.
        figures: whether to draw ``figures.png``.
        scene: whether to write ``scene.mrb``; see :func:`missing_for_scene`.
        comparison: a denoising of this volume and its result, for the page and the scene.
        progress: called with steps done, steps in all and what is being done.
    """
    from CTQualityAssessmentLib.reporting.csv_file import write_csv
    from CTQualityAssessmentLib.reporting.figures import write_figures
    from CTQualityAssessmentLib.reporting.json_file import write_json
    from CTQualityAssessmentLib.reporting.measures_file import write_measures
    from CTQualityAssessmentLib.reporting.web_page import write_web_page

    progress(0, 3, "Writing tables")
    write_json(folder / "assessment.json", assessment)
    write_csv(folder / "slices.csv", assessment)
    write_measures(folder, measures)
    if source is not None:
        from CTQualityAssessmentLib.reporting.dicom.files import write_dicom

        write_dicom(folder, assessment, source, measures)
    _write_maps(folder, assessment)
    progress(1, 3, "Drawing figures")
    if figures:
        write_figures(folder / "figures.png", volume, assessment)
    denoising, denoised = comparison or (None, None)
    write_web_page(
        folder / "index.html",
        assessment,
        volume=volume,
        measures=measures,
        scene=scene,
        dicom=source is not None,
        denoising=denoising,
        denoised=denoised,
    )
    progress(2, 3, "Saving the scene")
    if scene:
        _write_scene(folder / "scene.mrb", volume, assessment, comparison)
    progress(3, 3, "Written")


def _write_maps(folder: Path, assessment: VolumeAssessment) -> None:
    """``score-map.nii.gz`` and ``weight-map.nii.gz`` of a network that reads volumes, each on its own affine."""
    from CTQualityAssessmentLib.reporting.volume_file import write_volume
    from CTQualityAssessmentLib.volume import Volume

    for found in assessment.volume_maps:
        write_volume(folder / f"{found.name}-map.nii.gz", Volume(found.values, found.ijk_to_ras, units="signal"))


def _write_scene(
    path: Path,
    volume: Volume,
    assessment: VolumeAssessment,
    comparison: tuple[DenoisingReport, Volume] | None = None,
) -> None:
    from CTQualityAssessmentLib.assessment.body import patient_mask
    from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene
    from CTQualityAssessmentLib.mrml.scene_file import save_scene
    from CTQualityAssessmentLib.mrml.volume_nodes import add_volume

    bare = create_bare_scene()
    node = add_volume(bare.scene, volume)
    add_assessment(bare.scene, node, assessment, patient_mask(volume))
    if comparison is not None:
        from CTQualityAssessmentLib.mrml.denoised_nodes import keep_examination, put_denoised
        from CTQualityAssessmentLib.mrml.volume_nodes import image_of
        from CTQualityAssessmentLib.reporting.denoising_words import measure_rows

        report, denoised = comparison
        put_denoised(bare.scene, node, image_of(denoised.hu), volume.acquisition_axis, report)
        keep_examination(bare.scene, node, report, measure_rows(report))
    save_scene(bare.scene, path)
