"""A denoiser bundle with weights that do something simple, and a volume to denoise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from CTQualityAssessmentLib.networks.lesion_detector import LesionDetector, LesionDetectorConfig
from CTQualityAssessmentLib.networks.light_denoiser import LightDenoiser, LightDenoiserConfig
from safetensors.torch import save_file

STATEMENT = "Untrained weights: this is no denoising."
CONFIG = LightDenoiserConfig(channels=(4, 6), blocks=(1, 1))
DETECTOR = LesionDetectorConfig(channels=(4, 4, 4, 4), features=4)


def write_denoiser(folder: Path, seed: int = 0, gain: float = 1.0) -> Path:
    """Write a bundle named after its folder and return the folder; its network answers a few HU of nonsense.

    With ``seed`` 5 and a ``gain`` of 5 it takes a fifth of a lesion away, which the guard finds.
    """
    torch.manual_seed(seed)
    network, detector = LightDenoiser(CONFIG), LesionDetector(DETECTOR)
    torch.nn.init.normal_(network.last.weight, std=0.1 * gain)
    (folder / "models").mkdir(parents=True)
    (folder / "configs").mkdir()
    weights = folder / "models" / "model.safetensors"
    tensors = {f"denoiser.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"detector.{k}": v for k, v in detector.state_dict().items()}
    save_file({k: v.contiguous() for k, v in tensors.items()}, weights)
    metadata = {
        "name": folder.name,
        "version": "0.0.1",
        "description": "For tests.",
        "ctqa": {
            "network": "light-denoiser",
            "network_config": CONFIG.to_dict(),
            "detector_config": DETECTOR.to_dict(),
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "window": "full",
            "input_size": 512,
            "pixel_mm": [0.5, 1.1],
            "simulated_labels": True,
            "statement": STATEMENT,
        },
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder


def noisy_patient(slices: int = 4, side: int = 96, noise: float = 15.0, seed: int = 0) -> np.ndarray:
    """HU ``[k, j, i]`` int16: a round trunk with two lungs in noisy air, padding outside the circle of view."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    hu = np.where(np.hypot(rows / 0.75, columns) < 0.8, 45.0, -1000.0)
    for middle in (-0.35, 0.35):
        hu[np.hypot(rows, columns - middle) < 0.22] = -850.0
    hu = hu + rng.normal(0, noise, (slices, side, side))
    hu = np.maximum(hu, -1023)
    hu[:, np.hypot(rows, columns) > 1] = -1024
    return np.rint(hu).astype(np.int16)
