"""Everything that was made for a volume, whatever made it: is there something, and away with it."""

from __future__ import annotations

import slicer

from CTQualityAssessmentLib.mrml.colour_nodes import remove_unused_colour_nodes
from CTQualityAssessmentLib.mrml.denoised_nodes import find_all_denoised, find_denoised, remove_denoised
from CTQualityAssessmentLib.mrml.results_of_voxels import has_findings_of_voxels, remove_findings_of_voxels


def has_results(scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> bool:
    """Whether something was made for a volume. None: for one that is no longer in the scene."""
    return has_findings_of_voxels(scene, volume_node) or find_denoised(scene, volume_node) is not None


def remove_results(scene: slicer.vtkMRMLScene, volume_node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Take away all that was made for a volume and nothing else. None: for volumes that are no longer in the scene.

    Denoised volumes go with all that was made for them.
    """
    while has_results(scene, volume_node):
        remove_findings_of_voxels(scene, volume_node)
        remove_denoised(scene, volume_node)
    remove_unused_colour_nodes(scene)


def denoised_without_source(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """The denoised volumes that :func:`remove_results` takes away with None: somebody may want to keep one."""
    found = find_all_denoised(scene, None)
    return [one.volume for one in found if one.volume is not None]
