"""A model bundle with untrained weights: small enough for a test, real enough to go through the whole engine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from CTQualityAssessmentLib.networks.clinreadnet import ClinReadNet, ClinReadNetConfig
from safetensors.torch import save_file

INPUT_SIZE = 64
STATEMENT = "Untrained weights: this score means nothing."


def write_bundle(folder: Path) -> Path:
    """Write a bundle named after its folder and return the folder; the same weights each time."""
    config = ClinReadNetConfig(
        embed_dim=8, heads=(1, 1, 1, 1), depths=(1, 1, 1, 1), window=4, sobel_filters=4, edge_width=8
    )
    torch.manual_seed(0)
    (folder / "models").mkdir(parents=True)
    (folder / "configs").mkdir()
    weights = folder / "models" / "model.safetensors"
    save_file(ClinReadNet(config).state_dict(), weights)
    metadata = {
        "name": folder.name,
        "version": "0.0.1",
        "description": "For tests.",
        "ctqa": {
            "network": "clinreadnet",
            "network_config": asdict(config),
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "window": "ldctiqa",
            "input_size": INPUT_SIZE,
            "temperatures": ["scan", "read", "focus"],
            "simulated_labels": True,
            "statement": STATEMENT,
        },
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder
