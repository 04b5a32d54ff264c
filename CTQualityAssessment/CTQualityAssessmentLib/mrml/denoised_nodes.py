"""A denoised volume in the scene: a node of its own beside the input, which stays as it is."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util

from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.mrml.colour_nodes import difference_colour_node
from CTQualityAssessmentLib.mrml.difference import set_half_width
from CTQualityAssessmentLib.mrml.errors import UnsuitableNodeError
from CTQualityAssessmentLib.mrml.subject_hierarchy import place_beside
from CTQualityAssessmentLib.mrml.volume_nodes import add_scalar_volume, add_volume, ijk_to_ras
from CTQualityAssessmentLib.volume import Volume

#: Node reference of a denoised volume and of a residual to what they were made from.
SOURCE_ROLE = "CTQA.denoisedFrom"
#: Node attributes: which weights, and how strongly.
MODEL, WEIGHTS, STRENGTH = "CTQA.denoiser", "CTQA.denoiserSHA256", "CTQA.denoisingStrength"
#: The residual's window: noise of a low dose fills it.
_RESIDUAL_HALF_WIDTH_HU = 60.0


def add_denoised(
    scene: slicer.vtkMRMLScene,
    source: slicer.vtkMRMLScalarVolumeNode,
    denoised: Volume,
    report: DenoisingReport,
    *,
    residual: Volume | None = None,
) -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLScalarVolumeNode | None]:
    """The node "<name> denoised", and with a residual the node "<name> residual", in the input's place in space.

    They have the input's own grid and transform, and stand beside it in the subject hierarchy. The input is not
    touched; its window is taken over.

    Args:
        scene: where they go.
        source: the node of the volume that was denoised.
        denoised: int16 HU of the same shape.
        report: what was done.
        residual: original minus denoised, of the same shape.

    Raises:
        UnsuitableNodeError: the input node has another shape by now.
    """
    image = source.GetImageData()
    if image is None or tuple(reversed(image.GetDimensions())) != denoised.hu.shape:
        raise UnsuitableNodeError(
            "The volume was changed while it was denoised.", "Denoise it again, or choose the volume that was denoised."
        )
    # The node's own matrix and transform: a Volume is in world coordinates, with the transform in it.
    grid = ijk_to_ras(source)
    node = add_volume(scene, Volume(denoised.hu, grid, denoised.acquisition_axis), f"{source.GetName()} denoised")
    shown = source.GetDisplayNode()
    if shown is not None:
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(shown.GetWindow(), shown.GetLevel())
    made = [node]
    taken = None
    if residual is not None:
        taken = add_scalar_volume(scene, np.asarray(residual.hu), grid, f"{source.GetName()} residual")
        taken.GetDisplayNode().SetAndObserveColorNodeID(difference_colour_node(scene).GetID())
        set_half_width(taken, _RESIDUAL_HALF_WIDTH_HU)
        made.append(taken)
    for one in made:
        one.SetAndObserveTransformNodeID(source.GetTransformNodeID())
        one.SetNodeReferenceID(SOURCE_ROLE, source.GetID())
        one.SetAttribute(MODEL, f"{report.model.name} {report.model.version}")
        one.SetAttribute(WEIGHTS, report.model.sha256)
        one.SetAttribute(STRENGTH, report.strength.words())
    place_beside(scene, source, made)
    return node, taken


def change_denoised(node: slicer.vtkMRMLScalarVolumeNode, denoised: Volume, report: DenoisingReport) -> None:
    """Give a node of :func:`add_denoised` the voxels of another strength; windows and views stay."""
    slicer.util.updateVolumeFromArray(node, denoised.hu)
    node.SetAttribute(STRENGTH, report.strength.words())
