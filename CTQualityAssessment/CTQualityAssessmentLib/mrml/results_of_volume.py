"""Everything that was made for a volume, whatever made it: is there something, and away with it."""

from __future__ import annotations

import slicer

from CTQualityAssessmentLib.mrml.assessment_nodes import find_assessments, remove_assessment
from CTQualityAssessmentLib.mrml.denoised_nodes import find_all_denoised, find_denoised, remove_denoised
from CTQualityAssessmentLib.mrml.difference import find_differences, remove_differences
from CTQualityAssessmentLib.mrml.measure_nodes import find_measures, remove_measures
from CTQualityAssessmentLib.mrml.time_series import find_time_series, remove_time_series


def has_results(scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> bool:
    """Whether something was made for a volume. None: for one that is no longer in the scene."""
    return (
        bool(find_assessments(scene, volume_node))
        or find_denoised(scene, volume_node) is not None
        or bool(find_differences(scene, volume_node))
        or bool(find_measures(scene, volume_node))
        or find_time_series(scene, volume_node) is not None
    )


def remove_results(scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Take away all that was made for a volume and nothing else. None: for volumes that are no longer in the scene.

    Results that a denoised volume had of its own belong to no volume once that is gone: with None they go too.
    """
    while has_results(scene, volume_node):
        remove_assessment(scene, volume_node)
        remove_measures(scene, volume_node)
        remove_differences(scene, volume_node)
        remove_denoised(scene, volume_node)
        remove_time_series(scene, volume_node)


def denoised_without_source(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """The denoised volumes that :func:`remove_results` takes away with None: somebody may want to keep one."""
    found = find_all_denoised(scene, None)
    return [one.volume for one in found if one.volume is not None]
