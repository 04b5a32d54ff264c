"""What tells of a volume's voxels: scores, measures, differences. It goes where the voxels go, or become others."""

from __future__ import annotations

import slicer

from CTQualityAssessmentLib.mrml.assessment_nodes import find_assessments, remove_assessment
from CTQualityAssessmentLib.mrml.difference import find_differences, remove_differences
from CTQualityAssessmentLib.mrml.measure_nodes import find_measures, remove_measures
from CTQualityAssessmentLib.mrml.time_series import find_time_series, remove_time_series


def has_findings_of_voxels(scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> bool:
    """Whether something was found in a volume, denoised volumes apart. None: in one that is no longer in the scene."""
    return (
        bool(find_assessments(scene, volume_node))
        or bool(find_differences(scene, volume_node))
        or bool(find_measures(scene, volume_node))
        or find_time_series(scene, volume_node) is not None
    )


def remove_findings_of_voxels(scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Take away what was found in a volume. None: in volumes that are no longer in the scene."""
    while has_findings_of_voxels(scene, volume_node):
        remove_assessment(scene, volume_node)
        remove_measures(scene, volume_node)
        remove_differences(scene, volume_node)
        remove_time_series(scene, volume_node)
