"""Loads what was trained, a bundle or a run folder, for evaluation on patients that it must not have seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.models import LoadedModel, load_bundle
from CTQualityAssessmentLib.networks.grad_cam import TfktScorer
from CTQualityAssessmentLib.networks.ordinal_scores import score_distribution
from CTQualityAssessmentLib.networks.slice_scorer import SliceReading
from CTQualityAssessmentLib.networks.tfkt import Tfkt
from CTQualityAssessmentLib.results import ModelIdentity
from CTQualityAssessmentLib.windows import WINDOWS
from numpy.typing import NDArray
from safetensors.torch import load_file

from Training.data.challenge import as_seen
from Training.data.folds import Rated
from Training.resnet import build_network
from Training.tfkt_recipe import is_tfkt, read_tfkt_recipe


class SeenPatientsError(CTQAError):
    """The scorer may have been trained on patients that it is to be judged by."""


class _GradesScorer:
    """A network of :mod:`Training.train`, which answers in grades, as a scorer of the engine."""

    def __init__(self, network: torch.nn.Module) -> None:
        self.network = network

    @torch.inference_mode()
    def __call__(self, x: torch.Tensor, map_stages: Sequence[int] = ()) -> SliceReading:
        """Without maps."""
        output = self.network(x)
        found = score_distribution(output.fine_logits)
        return SliceReading(found.expected, found.probabilities, found.sd, output.features, {})


def load_run(folder: Path) -> torch.nn.Module:
    """The network of a run folder of :mod:`Training.train` or :mod:`Training.train_tfkt`, for evaluation."""
    recipe = folder / "recipe.json"
    if is_tfkt(recipe):
        network: torch.nn.Module = Tfkt(read_tfkt_recipe(recipe).config)
    else:
        network = build_network(json.loads(recipe.read_text(encoding="utf-8"))["network"])
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    return network.eval()


def load_scorer(folder: Path, held_out: tuple[str, ...], device: str = "auto") -> LoadedModel:
    """A bundle, or a run folder as if it were a bundle without refusals.

    Raises:
        SeenPatientsError: it may have been trained on one of the ``held_out`` patients.
    """
    bundle = (folder / "configs").is_dir()
    source = folder / "configs" / "metadata.json" if bundle else folder / "recipe.json"
    description = json.loads(source.read_text(encoding="utf-8"))
    kept_out = description.get("ctqa", {}).get("held_out_patients", ()) if bundle else description.get("held_out", ())
    if not set(held_out) <= set(kept_out):
        raise SeenPatientsError(
            "A scorer may have seen one of the held-out patients; its figures would be too good.",
            "Train it with these patients in held_out.",
        )
    if bundle:
        return load_bundle(folder, device)
    sha256 = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    chosen = torch.device("cuda" if device == "auto" and torch.cuda.is_available() else "cpu")
    identity = ModelIdentity(folder.name, "0", sha256, "ldctiqa", "run", True, "A training run.")
    network = load_run(folder).to(chosen).requires_grad_(False)
    scorer = TfktScorer(network) if isinstance(network, Tfkt) else _GradesScorer(network)
    return LoadedModel(scorer, identity, WINDOWS["ldctiqa"], 512, chosen, None, description.get("picture", "whole"))


def predict_with(model: LoadedModel, images: Sequence[Rated], batch: int = 8) -> NDArray[np.float64]:
    """Score of each image, ``(N,)``, without refusals and without resampling."""
    found = []
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(
            np.stack([as_seen(one.read(), model.picture) for one in images[start : start + batch]])
        )[:, None]
        found.append(model.scorer(pixels.to(model.device)).scores.double().cpu().numpy())
    return np.concatenate(found)
