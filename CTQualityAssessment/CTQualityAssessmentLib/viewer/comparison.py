"""A second volume beside the first, and the difference of the two."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import slicer

from CTQualityAssessmentLib.assessment.difference import VolumeDifference, volume_difference
from CTQualityAssessmentLib.calls import Progress
from CTQualityAssessmentLib.mrml.difference_nodes import add_difference
from CTQualityAssessmentLib.viewer.case import Case, remove_volume


@dataclass
class Comparison:
    """What is compared with the open case.

    Attributes:
        second: the other volume.
        difference: the other minus the open one.
        node: the difference in the scene.
    """

    second: Case
    difference: VolumeDifference
    node: slicer.vtkMRMLScalarVolumeNode


async def compare(scene: slicer.vtkMRMLScene, first: Case, second: Case, progress: Progress) -> Comparison:
    """Subtract in a thread, and put the difference into the scene.

    Raises:
        NoOverlapError: the volumes lie in different places.
    """
    difference = await asyncio.to_thread(volume_difference, first.volume, second.volume, progress=progress)
    return Comparison(second, difference, add_difference(scene, difference.hu, first.volume.ijk_to_ras))


def remove_difference(scene: slicer.vtkMRMLScene, comparison: Comparison) -> None:
    """Take the difference out of the scene; the second volume stays."""
    remove_volume(scene, comparison.node)
