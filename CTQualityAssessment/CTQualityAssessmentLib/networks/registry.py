"""The allow-list of networks: a bundle or a recipe names its network, it cannot bring one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from CTQualityAssessmentLib.networks.clinreadnet import ClinReadNet, ClinReadNetConfig
from CTQualityAssessmentLib.networks.cmmiqa import CMMIQA, CMMIQAConfig, VolumeScorer
from CTQualityAssessmentLib.networks.denoisers import ImageDenoiser
from CTQualityAssessmentLib.networks.grad_cam import TfktScorer
from CTQualityAssessmentLib.networks.light_denoiser import LightDenoiser, LightDenoiserConfig
from CTQualityAssessmentLib.networks.names import DENOISERS, SLICE_SCORERS, VOLUME_SCORERS
from CTQualityAssessmentLib.networks.red_cnn import RedCNN, RedCNNConfig
from CTQualityAssessmentLib.networks.slice_scorer import ClinReadNetScorer, SliceScorer
from CTQualityAssessmentLib.networks.tfkt import Tfkt, TfktConfig


def build_slice_scorer(name: str, described: Mapping[str, Any]) -> SliceScorer:
    """A scorer of slices with random weights.

    Args:
        name: one of :data:`SLICE_SCORERS`.
        described: "network_config", what differs from the network's defaults; for ClinReadNet also "temperatures", the
            names of its temperatures.

    Raises:
        ValueError: an unknown name or setting.
        KeyError: something is not described.
    """
    config = described["network_config"]
    if name == "clinreadnet":
        network = ClinReadNet(ClinReadNetConfig.from_dict(config))
        return ClinReadNetScorer(network, [str(one) for one in described["temperatures"]])
    if name == "tfkt":
        return TfktScorer(Tfkt(TfktConfig.from_dict(config)))
    raise ValueError(f"There is no scorer called {name!r}; there are {', '.join(SLICE_SCORERS)}.")


def build_volume_scorer(name: str, described: Mapping[str, Any]) -> VolumeScorer:
    """A scorer of whole volumes with random weights.

    Args:
        name: one of :data:`VOLUME_SCORERS`.
        described: "network_config", what differs from the network's defaults.

    Raises:
        ValueError: an unknown name or setting.
        KeyError: something is not described.
    """
    if name == "cmmiqa":
        return VolumeScorer(CMMIQA(CMMIQAConfig.from_dict(described["network_config"])))
    raise ValueError(f"There is no scorer called {name!r}; there are {', '.join(VOLUME_SCORERS)}.")


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
