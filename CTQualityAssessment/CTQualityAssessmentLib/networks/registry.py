"""The allow-list of denoisers: a bundle or a recipe names its network, it cannot bring one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from CTQualityAssessmentLib.networks.denoisers import ImageDenoiser
from CTQualityAssessmentLib.networks.light_denoiser import LightDenoiser, LightDenoiserConfig
from CTQualityAssessmentLib.networks.red_cnn import RedCNN, RedCNNConfig

DENOISERS = ("light-denoiser", "red-cnn")


def build_denoiser(name: str, config: Mapping[str, Any]) -> nn.Module:
    """A denoiser with random weights that answers noise in HU.

    Args:
        name: one of :data:`DENOISERS`.
        config: what differs from the network's defaults.

    Raises:
        ValueError: an unknown name or setting.
    """
    if name == "light-denoiser":
        return LightDenoiser(LightDenoiserConfig.from_dict(config))
    if name == "red-cnn":
        return ImageDenoiser(RedCNN(RedCNNConfig.from_dict(config)))
    raise ValueError(f"There is no denoiser called {name!r}; there are {', '.join(DENOISERS)}.")
