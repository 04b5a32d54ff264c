"""Boxes of the lesion detector in the scene, before and after denoising: markups ROI nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import slicer
import slicer.util
from numpy.typing import NDArray

from CTQualityAssessmentLib.denoising import Finding, Findings
from CTQualityAssessmentLib.mrml.scene import batch
from CTQualityAssessmentLib.mrml.subject_hierarchy import place_beside
from CTQualityAssessmentLib.mrml.volume_nodes import ijk_to_ras
from CTQualityAssessmentLib.translation import texts_of
from CTQualityAssessmentLib.volume import Volume

_ = texts_of(__file__)

#: Node reference of a box to the volume that was denoised, and the attribute that tells its side.
FOUND_IN_ROLE, SIDE = "CTQA.foundIn", "CTQA.findingSide"
#: Orange and blue stay apart for every colour vision.
_COLOURS = {"before": (0.90, 0.62, 0.0), "after": (0.34, 0.71, 0.91)}


def add_findings(
    scene: slicer.vtkMRMLScene, source: slicer.vtkMRMLScalarVolumeNode, volume: Volume, findings: Findings
) -> list[slicer.vtkMRMLMarkupsROINode]:
    """One locked box for each finding, named "before 1 (62 %)"; orange in the original, blue in the denoised volume.

    Args:
        scene: where they go.
        source: the node that was denoised; the boxes take its transform.
        volume: the same in world coordinates, as it was denoised; of it only the grid is asked.
        findings: of the report.
    """
    # By way of the voxel indices: boxes stay on the anatomy where the volume was moved since.
    to_node = ijk_to_ras(source) @ np.linalg.solve(volume.ijk_to_ras, volume.canonical_slices().ijk_to_ras)
    made = []
    with batch(scene):
        for side, found in (("before", findings.before), ("after", findings.after)):
            made += _boxes(scene, to_node, side, found)
        for roi in made:
            roi.SetAndObserveTransformNodeID(source.GetTransformNodeID())
            roi.SetNodeReferenceID(FOUND_IN_ROLE, source.GetID())
    place_beside(scene, source, made)
    return made


def _boxes(
    scene: slicer.vtkMRMLScene, to_node: NDArray[np.float64], side: str, found: Iterable[Finding]
) -> list[slicer.vtkMRMLMarkupsROINode]:
    lengths = np.linalg.norm(to_node[:3, :3], axis=0)
    axes = np.eye(4)
    axes[:3, :3] = to_node[:3, :3] / lengths
    if np.linalg.det(axes[:3, :3]) < 0:
        axes[:3, 2] *= -1  # a box is the same both ways; its frame has to be right-handed
    made = []
    for number, one in enumerate(found, start=1):
        # Pixel n covers [n, n + 1] in a finding, and its centre is n in a matrix.
        low = np.array([one.left, one.top, one.first_slice]) - 0.5
        high = np.array([one.right - 0.5, one.bottom - 0.5, one.last_slice + 0.5])
        frame = axes.copy()
        frame[:3, 3] = (to_node @ np.append((low + high) / 2, 1.0))[:3]
        roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", _name(side, number, one.probability))
        roi.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(frame))
        roi.SetSize(*((high - low) * lengths))
        roi.SetLocked(True)
        roi.SetNthControlPointVisibility(0, False)  # else its dot hides a box of a few millimetres
        roi.SetAttribute(SIDE, side)
        roi.CreateDefaultDisplayNodes()
        display = roi.GetDisplayNode()
        display.SetFillOpacity(0)
        display.SetHandlesInteractive(False)
        display.SetSelectedColor(*_COLOURS[side])
        made.append(roi)
    return made


def _name(side: str, number: int, probability: float) -> str:
    text = _("before {number} ({probability})") if side == "before" else _("after {number} ({probability})")
    return text.format(number=number, probability=f"{probability:.0%}")


def side_of(box: slicer.vtkMRMLMarkupsROINode) -> str:
    """In which volume the box was found, "before" or "after" denoising."""
    return box.GetAttribute(SIDE) or ""


def show_in_views(box: slicer.vtkMRMLMarkupsROINode, views: Sequence[str]) -> None:
    """Draw a box in the views with these IDs and in no other."""
    display = box.GetDisplayNode()
    if display is None:
        return
    shown = tuple(display.GetNthViewNodeID(n) for n in range(display.GetNumberOfViewNodeIDs()))
    if views and shown != tuple(views):
        display.SetViewNodeIDs(list(views))
    if bool(display.GetVisibility()) != bool(views):  # without views it would be drawn in all
        display.SetVisibility(bool(views))


def box_centre_world(box: slicer.vtkMRMLMarkupsROINode) -> tuple[float, float, float]:
    """Its centre in world millimetres, parent transforms included."""
    x, y, z = box.GetCenterWorld()
    return float(x), float(y), float(z)
