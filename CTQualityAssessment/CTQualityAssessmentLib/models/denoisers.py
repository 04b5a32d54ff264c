"""Bundles whose network takes noise away."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from CTQualityAssessmentLib.errors import is_out_of_memory
from CTQualityAssessmentLib.models.bundles import (
    BundleInfo,
    bundle_tensors,
    choose_device,
    find_bundle,
    identity_of,
)
from CTQualityAssessmentLib.models.claims import UNFIT, no_larger_than
from CTQualityAssessmentLib.models.errors import DamagedBundle, WrongTask
from CTQualityAssessmentLib.results import ModelIdentity
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.windows import WINDOWS, Window

if TYPE_CHECKING:
    import torch
    from torch import nn

_ = marks_of(__file__)

DEFAULT_DENOISER = "lidnet-light-simulated"
_DENOISER, _DETECTOR = "denoiser.", "detector."


@dataclass(frozen=True)
class LoadedDenoiser:
    """A denoiser with weights, in evaluation mode on its device, and what is needed to use it rightly.

    Attributes:
        network: a :class:`~CTQualityAssessmentLib.networks.denoisers.Denoiser`.
        detector: the lesion detector that came with it and judged it in training; None where there is none.
        pixel_mm: smallest and largest pixel size that it was trained on.
    """

    network: nn.Module
    detector: nn.Module | None
    identity: ModelIdentity
    window: Window
    device: torch.device
    pixel_mm: tuple[float, float]


def load_denoiser(name_or_folder: str | Path = DEFAULT_DENOISER, device: str = "auto") -> LoadedDenoiser:
    """Verifies a bundle and builds its denoiser.

    Args:
        name_or_folder: name of an installed bundle, or a bundle folder.
        device: as for :func:`CTQualityAssessmentLib.models.load_bundle`.

    Raises:
        WrongTask: the bundle holds no denoiser.
        UnknownBundle, DamagedBundle, UnsafeBundle, DeviceUnavailable: see their classes.
    """
    import torch

    from CTQualityAssessmentLib.networks.lesion_detector import LesionDetector, LesionDetectorConfig
    from CTQualityAssessmentLib.networks.registry import build_denoiser

    info = find_bundle(name_or_folder)
    if info.task != "denoise":
        raise WrongTask(
            _("The model '{name}' scores images and takes no noise away.").format(name=info.name), _advice(info)
        )
    tensors = bundle_tensors(info)
    try:
        ours = info.metadata["ctqa"]
        with no_larger_than(tensors, ours["network_config"]):
            network = build_denoiser(info.network, ours["network_config"])
        network.load_state_dict(_part(tensors, _DENOISER))
        if not abs(network.hu_per_unit - WINDOWS[info.window].width) < 1e-6:
            raise ValueError("the window is not the one that the network was made for")
        detector = None
        if any(key.startswith(_DETECTOR) for key in tensors):
            with no_larger_than(tensors, ours["detector_config"]):
                detector = LesionDetector(LesionDetectorConfig.from_dict(ours["detector_config"]))
            detector.load_state_dict(_part(tensors, _DETECTOR))
        low, high = (float(side) for side in ours["pixel_mm"])
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ValueError("a weight is not a number")
    except UNFIT as error:
        if is_out_of_memory(error):
            raise
        raise DamagedBundle(
            _("The weights of the model bundle '{name}' do not fit its network.").format(name=info.name),
            _("Install the bundle again."),
        ) from error
    chosen = choose_device(device)
    # Channels last: a third less time on a CPU, the same answer but for rounding.
    ready = [
        part and part.eval().requires_grad_(False).to(chosen, memory_format=torch.channels_last)
        for part in (network, detector)
    ]
    return LoadedDenoiser(
        ready[0], ready[1], identity_of(info), WINDOWS[info.window], torch.device(chosen), (low, high)
    )


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value.float() for key, value in tensors.items() if key.startswith(prefix)}


def _advice(info: BundleInfo) -> str:
    return _("Use '{name}' with 'ctqa assess', or choose a denoiser of 'ctqa models'.").format(name=info.name)
