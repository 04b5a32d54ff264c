"""A denoised volume in the scene: a node of its own beside the input, which stays as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.mrml.colour_nodes import difference_colour_node
from CTQualityAssessmentLib.mrml.difference import set_half_width
from CTQualityAssessmentLib.mrml.errors import UnsuitableNodeError
from CTQualityAssessmentLib.mrml.finding_nodes import add_findings
from CTQualityAssessmentLib.mrml.removal import all_or_nothing, remove_nodes
from CTQualityAssessmentLib.mrml.results_of_voxels import remove_findings_of_voxels
from CTQualityAssessmentLib.mrml.scene import batch, nodes_of_class
from CTQualityAssessmentLib.mrml.subject_hierarchy import place_beside
from CTQualityAssessmentLib.mrml.tables import add_before_after_table
from CTQualityAssessmentLib.mrml.volume_nodes import add_image, add_scalar_volume, add_volume, ijk_to_ras, show_as_ct
from CTQualityAssessmentLib.translation import texts_of
from CTQualityAssessmentLib.volume import Volume

_ = texts_of(__file__)

#: Node reference of a denoised volume and of a residual to what they were made from.
SOURCE_ROLE = "CTQA.denoisedFrom"
#: Node attributes: which weights, and how strongly.
MODEL, WEIGHTS, STRENGTH = "CTQA.denoiser", "CTQA.denoiserSHA256", "CTQA.denoisingStrength"
#: Of the text node with the exact report: its version, and the references that hold the result together.
_IS_REPORT, _DENOISED, _TABLE, _BOXES = "CTQA.denoising", "CTQA.denoisedVolume", "CTQA.table", "CTQA.findings"
#: The residual's window: noise of a low dose fills it.
_RESIDUAL_HALF_WIDTH_HU = 60.0


@dataclass(frozen=True)
class DenoisedNodes:
    """The nodes of one denoising.

    Attributes:
        report: the exact report as JSON; it refers to the others.
        volume: the denoised volume; None where a user deleted it.
        table: figures before and after; None before they were looked at.
        boxes: of the lesion detector, before and after; none where nobody asked.
    """

    report: slicer.vtkMRMLTextNode
    volume: slicer.vtkMRMLScalarVolumeNode | None
    table: slicer.vtkMRMLTableNode | None
    boxes: tuple[slicer.vtkMRMLMarkupsROINode, ...] = ()

    def made(self) -> list[slicer.vtkMRMLNode]:
        """All that are there, what refers before what it refers to."""
        return [node for node in (self.report, self.table, *self.boxes, self.volume) if node is not None]


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
    _check_shape(source, denoised.hu.shape)
    # The node's own matrix and transform: a Volume is in world coordinates, with the transform in it.
    grid = ijk_to_ras(source)
    node = add_volume(
        scene, Volume(denoised.hu, grid, denoised.acquisition_axis), _("{name} denoised").format(name=source.GetName())
    )
    made = [node]
    taken = None
    if residual is not None:
        taken = add_scalar_volume(
            scene, np.asarray(residual.hu), grid, _("{name} residual").format(name=source.GetName())
        )
        taken.GetDisplayNode().SetAndObserveColorNodeID(difference_colour_node(scene).GetID())
        set_half_width(taken, _RESIDUAL_HALF_WIDTH_HU)
        made.append(taken)
    _take_window(node, source)
    for one in made:
        _say_what_made_it(one, source, report)
    place_beside(scene, source, made)
    return node, taken


def put_denoised(
    scene: slicer.vtkMRMLScene,
    source: slicer.vtkMRMLScalarVolumeNode,
    image: vtk.vtkImageData,
    acquisition_axis: int,
    report: DenoisingReport,
) -> DenoisedNodes:
    """As :func:`add_denoised`, from image data that is taken over, and with the exact report kept in the scene.

    Where the source has a denoised volume already, that node gets the new voxels, at once, and what was said of the
    old ones goes, scores and measures too: views that show it show another strength, and the scene never holds two
    results of one volume.

    Args:
        scene: where it goes.
        source: the node of the volume that was denoised.
        image: int16 HU of the same shape.
        acquisition_axis: of the source.
        report: what was done.

    Raises:
        UnsuitableNodeError: the input node has another shape by now.
    """
    _check_shape(source, tuple(reversed(image.GetDimensions())))
    earlier, told = find_denoised(scene, source), json.dumps(report.to_dict(), allow_nan=False)
    with all_or_nothing(scene):
        with batch(scene):
            node = earlier.volume if earlier is not None else None
            if node is None:
                node = show_as_ct(
                    add_image(scene, image, ijk_to_ras(source), _("{name} denoised").format(name=source.GetName())),
                    acquisition_axis,
                )
                _take_window(node, source)
                _say_what_made_it(node, source, report)
            text = scene.AddNewNodeByClass("vtkMRMLTextNode", _("Denoising result"))
            text.SetAttribute(_IS_REPORT, report.schema_version)
            text.SetText(told)
            text.SetNodeReferenceID(SOURCE_ROLE, source.GetID())
            text.SetNodeReferenceID(_DENOISED, node.GetID())
        place_beside(scene, source, [node, text])
    with batch(scene):  # last: where something fails before, the earlier result is still whole
        if earlier is not None:
            if earlier.volume is not None:
                _remove_made_for(scene, node)
                node.SetAndObserveImageData(image)
                _say_what_made_it(node, source, report)
            remove_nodes(scene, [one for one in earlier.made() if one is not node])
    return DenoisedNodes(text, node, None)


def keep_examination(
    scene: slicer.vtkMRMLScene,
    source: slicer.vtkMRMLScalarVolumeNode,
    report: DenoisingReport,
    rows: Sequence[tuple[str, str, str]],
    volume: Volume | None = None,
) -> DenoisedNodes | None:
    """Keep what was looked at after :func:`put_denoised`; None where a user deleted the result meanwhile.

    Args:
        scene: of the nodes.
        source: the volume that was denoised.
        report: the complete one.
        rows: what was measured, before, after; none for no table.
        volume: the grid in which the report's findings are told, in world coordinates; None for no boxes.
    """
    nodes = find_denoised(scene, source)
    if nodes is None or nodes.volume is None:
        return None
    table = None
    with all_or_nothing(scene):
        with batch(scene):
            nodes.report.SetText(json.dumps(report.to_dict(), allow_nan=False))
            remove_nodes(scene, [one for one in (nodes.table, *nodes.boxes) if one is not None])
            if rows:
                table = add_before_after_table(scene, rows)
                nodes.report.SetNodeReferenceID(_TABLE, table.GetID())
            boxes = []
            if volume is not None and report.findings is not None:
                boxes = add_findings(scene, source, volume, report.findings)
                for n, box in enumerate(boxes):
                    nodes.report.SetNthNodeReferenceID(_BOXES, n, box.GetID())
        if table is not None:
            place_beside(scene, source, [table])
    return DenoisedNodes(nodes.report, nodes.volume, table, tuple(boxes))


def find_denoised(scene: slicer.vtkMRMLScene, source: slicer.vtkMRMLScalarVolumeNode | None) -> DenoisedNodes | None:
    """What :func:`put_denoised` made of a volume, also in a scene that was loaded; None where there is nothing."""
    return next(iter(find_all_denoised(scene, source)), None)


def find_all_denoised(scene: slicer.vtkMRMLScene, source: slicer.vtkMRMLScalarVolumeNode | None) -> list[DenoisedNodes]:
    """As :func:`find_denoised`; a source of None, a volume that is gone, may have been several."""
    return [
        DenoisedNodes(text, text.GetNodeReference(_DENOISED), text.GetNodeReference(_TABLE), _boxes_of(text))
        for text in nodes_of_class(scene, "vtkMRMLTextNode")
        if text.GetAttribute(_IS_REPORT) and text.GetNodeReference(SOURCE_ROLE) is source
    ]


def _boxes_of(report: slicer.vtkMRMLTextNode) -> tuple[slicer.vtkMRMLMarkupsROINode, ...]:
    found = [report.GetNthNodeReference(_BOXES, n) for n in range(report.GetNumberOfNodeReferences(_BOXES))]
    return tuple(one for one in found if one is not None)


def report_from_scene(nodes: DenoisedNodes) -> DenoisingReport:
    """The exact report.

    Raises:
        ValueError: it was written by a version with another schema.
    """
    try:
        return DenoisingReport.from_dict(json.loads(nodes.report.GetText()))
    except (KeyError, TypeError) as error:
        raise ValueError("a report of another version") from error


def is_denoised(node: slicer.vtkMRMLNode) -> bool:
    """Whether a volume is a result of a denoiser: our node, or a copy of it."""
    return bool(node.GetAttribute(MODEL)) and node.IsA("vtkMRMLScalarVolumeNode")


def remove_denoised(scene: slicer.vtkMRMLScene, source: slicer.vtkMRMLScalarVolumeNode | None) -> None:
    """Take away what :func:`put_denoised` made of a volume, and what was made for that; copies of a user stay.

    None: of volumes that are gone.
    """
    for nodes in find_all_denoised(scene, source):
        if nodes.volume is not None:
            _remove_made_for(scene, nodes.volume)
        remove_nodes(scene, nodes.made())


def _remove_made_for(scene: slicer.vtkMRMLScene, denoised: slicer.vtkMRMLScalarVolumeNode) -> None:
    """What was made for a denoised volume: scores, and what a script denoised once more."""
    remove_findings_of_voxels(scene, denoised)
    remove_denoised(scene, denoised)


def _check_shape(source: slicer.vtkMRMLScalarVolumeNode, shape: tuple[int, ...]) -> None:
    image = source.GetImageData()
    if image is None or tuple(reversed(image.GetDimensions())) != shape:
        raise UnsuitableNodeError(
            _("The volume was changed while it was denoised."),
            _("Denoise it again, or choose the volume that was denoised."),
        )


def _take_window(node: slicer.vtkMRMLScalarVolumeNode, source: slicer.vtkMRMLScalarVolumeNode) -> None:
    shown = source.GetDisplayNode()
    if shown is not None:
        node.GetDisplayNode().SetAutoWindowLevel(False)
        node.GetDisplayNode().SetWindowLevel(shown.GetWindow(), shown.GetLevel())


def _say_what_made_it(
    node: slicer.vtkMRMLScalarVolumeNode, source: slicer.vtkMRMLScalarVolumeNode, report: DenoisingReport
) -> None:
    node.SetAndObserveTransformNodeID(source.GetTransformNodeID())
    node.SetNodeReferenceID(SOURCE_ROLE, source.GetID())
    node.SetAttribute(MODEL, f"{report.model.name} {report.model.version}")
    node.SetAttribute(WEIGHTS, report.model.sha256)
    node.SetAttribute(STRENGTH, report.strength.words())
