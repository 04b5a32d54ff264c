"""What the panel remembers in the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import slicer
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

if TYPE_CHECKING:
    from types import SimpleNamespace

#: Values of ``overlay`` that are no name of an attention map.
PLAIN, QUALITY = "plain", "quality"


@parameterNodeWrapper
class PanelParameters:
    """Saved with the scene under these names: never rename one.

    Attributes:
        inputVolume: the CT to assess and to show results of.
        modelName: name of a bundle; empty for the default one.
        device: "auto", "cpu" or "cuda".
        attentionStage: network stage whose attention is mapped, 1 (fine) to 4 (coarse); 0 for none.
        overlay: :data:`PLAIN`, :data:`QUALITY`, or the name of an attention overlay.
        opacity: of the overlay, 0 to 1.
        legend: whether the overlay's colour legend is shown.
        lineScore: score at which the dashed line of the curve lies.
        allTimePoints: whether a run goes over all time points of a sequence.
        overTime: whether curve and table show time points instead of slices.
        compareVolume: the volume that is compared with the input.
        denoiserName: name of a denoiser's bundle; empty for the default one.
        strengthSoftTissue, strengthLung, strengthBone: share of the denoising that is kept, 0 to 1.
        findLesions, compareScores: what to look at after denoising besides what is always looked at.
        boxes: whether the lesion detector's boxes are drawn.
    """

    inputVolume: slicer.vtkMRMLScalarVolumeNode
    compareVolume: slicer.vtkMRMLScalarVolumeNode
    modelName: str = ""
    device: str = "auto"
    attentionStage: int = 3
    overlay: str = QUALITY
    opacity: Annotated[float, WithinRange(0.0, 1.0)] = 0.4
    legend: bool = True
    lineScore: Annotated[float, WithinRange(0.0, 4.0)] = 2.0
    allTimePoints: bool = False
    overTime: bool = False
    denoiserName: str = ""
    strengthSoftTissue: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    strengthLung: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    strengthBone: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    findLesions: bool = False
    compareScores: bool = False
    boxes: bool = True


def wrap_parameters(node: slicer.vtkMRMLScriptedModuleNode) -> PanelParameters:
    """The parameters of a node; what a scene of another version left in it that cannot be read is forgotten."""
    try:
        return PanelParameters(node)
    except ValueError:
        node.UnsetAllParameters()
        return PanelParameters(node)


def tie_widgets(parameters: PanelParameters, ui: SimpleNamespace) -> int:
    """Tie the widgets whose property SlicerParameterName names a parameter; returns the tag that disconnectGui takes.

    Not by ``connectGui``, which does the same but keeps the tag for itself: the ties would outlive a visit to the
    module, one more with each.

    Raises:
        ValueError: a widget cannot show the value of its parameter, or names one that is not there.
    """
    named = {widget.property("SlicerParameterName"): widget for widget in vars(ui).values()}
    return parameters.connectParametersToGui({name: widget for name, widget in named.items() if name})
