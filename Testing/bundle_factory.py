"""A model bundle with untrained weights: small enough for a test, real enough to go through the whole engine."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from CTQualityAssessmentLib.networks.clinreadnet import ClinReadNetConfig
from CTQualityAssessmentLib.networks.cmmiqa import CMMIQAConfig
from CTQualityAssessmentLib.networks.efficientnet_v2 import ConvStage
from CTQualityAssessmentLib.networks.names import VOLUME_SCORERS
from CTQualityAssessmentLib.networks.registry import build_slice_scorer, build_volume_scorer
from CTQualityAssessmentLib.networks.tfkt import TfktConfig
from safetensors.torch import save_file

INPUT_SIZE = 64
STATEMENT = "Untrained weights: this score means nothing."


_CONFIGS = {
    "clinreadnet": ClinReadNetConfig(
        embed_dim=8, heads=(1, 1, 1, 1), depths=(1, 1, 1, 1), window=4, sobel_filters=4, edge_width=8
    ),
    "tfkt": TfktConfig(
        stem=4,
        stages=(ConvStage(True, 1, 2, 4, 1), ConvStage(True, 2, 2, 8, 1), ConvStage(False, 2, 1, 8, 1)),
        last=16,
        bridge_side=16,
        swin_dim=8,
        swin_depths=(1, 1),
        swin_heads=(1, 2),
        window=4,
    ),
    "cmmiqa": CMMIQAConfig(stem=4, channels=(8, 8, 8, 16), blocks=1, layers=1, heads=2),
}


def write_bundle(folder: Path, network: str = "clinreadnet", **ours: str) -> Path:
    """Write a bundle named after its folder and return the folder; the same weights each time, ``ours`` beside them."""
    described: dict[str, object] = {"network_config": _CONFIGS[network].to_dict()}
    if network == "clinreadnet":
        described["temperatures"] = ["scan", "read", "focus"]
    torch.manual_seed(0)
    (folder / "models").mkdir(parents=True)
    (folder / "configs").mkdir()
    weights = folder / "models" / "model.safetensors"
    build = build_volume_scorer if network in VOLUME_SCORERS else build_slice_scorer
    save_file(build(network, described).network.state_dict(), weights)
    metadata = {
        "name": folder.name,
        "version": "0.0.1",
        "description": "For tests.",
        "ctqa": {
            "network": network,
            **described,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "window": "ldctiqa",
            "input_size": INPUT_SIZE,
            "simulated_labels": True,
            "statement": STATEMENT,
            **ours,
        },
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder
