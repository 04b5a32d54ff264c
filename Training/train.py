"""Trains a ClinReadNet from a recipe.

    python -m Training.train Training/recipes/clinreadnet.yaml --out runs/clinreadnet
    accelerate launch -m Training.train Training/recipes/clinreadnet.yaml --out runs/clinreadnet    (several GPUs)

Calling it again with the same run folder goes on from the last checkpoint and arrives at the same weights: order,
augmentation and dropout are functions of seed and step alone. ``Training.export`` makes a bundle of the result.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from CTQualityAssessmentLib.networks.clinreadnet import ClinReadNet, clinreadnet
from CTQualityAssessmentLib.networks.ordinal_scores import expected_score
from torch import Tensor

from Training.data.augment import augment
from Training.data.challenge import LabelledImage, patient_folds, read_challenge_folder
from Training.head import fit_head, pooled_features
from Training.losses.hrps import HRPSLoss
from Training.metrics.agreement import MEASURES
from Training.recipe import Recipe, read_recipe


class Batches:
    """Batch of any step, without state: step and process index decide what is in it."""

    def __init__(self, images: list[LabelledImage], recipe: Recipe, rank: int = 0, world: int = 1) -> None:
        self.images = images
        self.recipe = recipe
        self.rank = rank
        self.world = world

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Images ``(B, 1, H, W)`` and scores ``(B,)`` of this process for one step."""
        phase, _ = self.recipe.phase_at(step)
        first = self.recipe.images_before(step)
        chosen = [self._sample(first + n) for n in range(phase.batch)][self.rank :: self.world]
        pixels = []
        for position, image in chosen:
            rng = np.random.default_rng([self.recipe.seed, 1, position])
            pixels.append(augment(image.read(), rng, phase.crop))
        return torch.from_numpy(np.stack(pixels))[:, None], torch.tensor([image.score for _, image in chosen])

    def _sample(self, position: int) -> tuple[int, LabelledImage]:
        """Image at a position of the endless sequence of shuffled epochs."""
        epoch, offset = divmod(position, len(self.images))
        order = np.random.default_rng([self.recipe.seed, 0, epoch]).permutation(len(self.images))
        return position, self.images[order[offset]]


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine to zero, in each phase."""
    phase, within = recipe.phase_at(step)
    warmup = min(recipe.warmup, phase.steps // 5)
    if within < warmup:
        return phase.lr * (within + 1) / warmup
    return phase.lr * 0.5 * (1 + math.cos(math.pi * (within - warmup) / max(1, phase.steps - warmup)))


def parameter_groups(network: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for the optimiser: head and rest apart, matrices with weight decay, gains and biases without."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault((name.startswith("head."), parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "head": head, "weight_decay": weight_decay if decays else 0.0}
        for (head, decays), parameters in sorted(groups.items())
    ]


def split(recipe: Recipe, images: list[LabelledImage]) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """Images to train on and images to validate on; held-out patients are in neither."""
    usable = [image for image in images if image.patient not in recipe.held_out]
    if recipe.fold is None:
        return usable, []
    validation = set(patient_folds(usable, recipe.folds, recipe.seed)[recipe.fold])
    return [x for n, x in enumerate(usable) if n not in validation], [usable[n] for n in sorted(validation)]


def train(recipe: Recipe, run: Path, *, log_every: int = 50, save_every: int = 200) -> ClinReadNet:
    """Runs a recipe to its end and returns the network with the averaged weights, which ``run`` holds as well.

    ``run`` gets ``recipe.json``, ``log.jsonl``, ``checkpoint.pt`` (for going on) and, when the recipe is done and not
    before, ``weights.safetensors``.
    """
    accelerator = Accelerator(mixed_precision=_precision(recipe), cpu=not torch.cuda.is_available())
    if any(phase.batch % accelerator.num_processes for phase in recipe.phases):
        raise ValueError(f"every batch of the recipe must divide into {accelerator.num_processes} processes")
    torch.manual_seed(recipe.seed)
    network = clinreadnet(**recipe.network)
    averaged = clinreadnet(**recipe.network)
    averaged.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(parameter_groups(network, recipe.weight_decay), lr=1e-4)
    loss_function = HRPSLoss(**recipe.loss).to(accelerator.device)
    averaged.to(accelerator.device)
    wrapped, optimiser = accelerator.prepare(network, optimiser)
    training, validation = split(recipe, read_challenge_folder(Path(recipe.data)))
    batches = Batches(training, recipe, accelerator.process_index, accelerator.num_processes)
    step = _resume(run / "checkpoint.pt", recipe, network, averaged, optimiser)
    if accelerator.is_main_process:
        run.mkdir(parents=True, exist_ok=True)
        _write(run / "recipe.json", json.dumps(recipe.to_dict(), indent=1).encode())
    accelerator.wait_for_everyone()

    device = str(accelerator.device)
    started, recent = time.monotonic(), []
    while step < recipe.steps:
        # Dropout of a step does not depend on what ran before; each process has its own.
        torch.manual_seed((recipe.seed * 1_000_003 + step) * 1009 + accelerator.process_index)
        pixels, scores = (t.to(accelerator.device) for t in batches(step))
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step) * (recipe.phase_at(step)[0].head if group["head"] else 1.0)
        wrapped.train()
        with accelerator.autocast():
            output = wrapped(pixels)
        loss = loss_function(output.fine_logits, output.coarse_logits, scores)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is not finite at step {step}; lower the rate of this phase")
        optimiser.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(wrapped.parameters(), recipe.clip)
        optimiser.step()
        step += 1
        _average(averaged, network, min(recipe.ema, step / (step + 10)))
        error = (expected_score(output.fine_logits.detach()) - scores).abs().mean()
        recent.append((float(loss.detach()), float(error)))
        if accelerator.is_main_process and step % log_every == 0:
            record = {
                "step": step,
                "loss": round(float(np.mean([r[0] for r in recent])), 4),
                "mae": round(float(np.mean([r[1] for r in recent])), 4),
                "lr": learning_rate(recipe, step - 1),
                "seconds": round(time.monotonic() - started, 1),
            }
            recent.clear()
            _log(run, record)
        if accelerator.is_main_process and (step % save_every == 0 or step == recipe.steps):
            _save(run, recipe, step, network, averaged, optimiser)
    if recipe.head_fit is not None:
        chosen = recipe.head_fit.choose(training)
        share = pooled_features(averaged, chosen[accelerator.process_index :: accelerator.num_processes], device)
        gathered = gather_object([(accelerator.process_index, share.numpy())])
        if accelerator.is_main_process:
            features = np.empty((len(chosen), share.shape[1]), dtype=np.float32)
            for rank, part in gathered:
                features[rank :: accelerator.num_processes] = part
            scores = torch.tensor([image.score for image in chosen])
            head_loss = HRPSLoss(**recipe.loss)
            fit_head(averaged.head, torch.from_numpy(features), scores, head_loss, recipe.head_fit, recipe.seed)
            _log(run, {"step": step, "head": "fitted", "seconds": round(time.monotonic() - started, 1)})
    if accelerator.is_main_process:
        _save_weights(run, averaged)
    if validation and accelerator.is_main_process:
        predicted = predict(averaged, validation, device)
        true = np.array([image.score for image in validation])
        _log(run, {"step": step, **{name: round(f(predicted, true), 4) for name, f in MEASURES.items()}})
    return averaged.eval()


@torch.inference_mode()
def predict(network: torch.nn.Module, images: list[LabelledImage], device: str = "cpu", batch: int = 8) -> np.ndarray:
    """Expected score of each image, ``(N,)`` float64, in float32 arithmetic."""
    network = network.eval().to(device)
    scores = []
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.stack([image.read() for image in images[start : start + batch]]))[:, None]
        scores.append(expected_score(network(pixels.to(device)).fine_logits).cpu())
    return torch.cat(scores).double().numpy()


def _precision(recipe: Recipe) -> str:
    """The recipe's precision; "auto" settled for this machine."""
    if recipe.precision != "auto":
        return recipe.precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "bf16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "no"


def _average(averaged: torch.nn.Module, network: torch.nn.Module, decay: float) -> None:
    with torch.no_grad():
        for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
            mean.lerp_(value.detach().to(mean.device), 1 - decay)


def _save(run: Path, recipe: Recipe, step: int, network: Any, averaged: Any, optimiser: Any) -> None:
    partial = run / "checkpoint.partial"
    state = {
        "step": step,
        "recipe": json.dumps(recipe.to_dict(), sort_keys=True),
        "network": network.state_dict(),
        "averaged": averaged.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, partial)
    partial.replace(run / "checkpoint.pt")


def _save_weights(run: Path, averaged: torch.nn.Module) -> None:
    from safetensors.torch import save_file

    weights = run / "weights.partial"
    save_file({k: v.contiguous().cpu() for k, v in averaged.state_dict().items()}, weights)
    weights.replace(run / "weights.safetensors")


def _resume(path: Path, recipe: Recipe, network: Any, averaged: Any, optimiser: Any) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["recipe"] != json.dumps(recipe.to_dict(), sort_keys=True):
        raise ValueError("the run folder holds a checkpoint of another recipe; choose another --out")
    network.load_state_dict(state["network"])
    averaged.load_state_dict(state["averaged"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _log(run: Path, record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(record) + "\n")


def _write(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/<name of the recipe>)")
    parser.add_argument("--data", help="data folder instead of the recipe's")
    parser.add_argument("--fold", type=int, help="validate on this fold instead of training on all")
    arguments = parser.parse_args()
    overrides = {k: v for k, v in (("data", arguments.data), ("fold", arguments.fold)) if v is not None}
    recipe = read_recipe(arguments.recipe, overrides)
    train(recipe, arguments.out or Path("runs") / recipe.name)


if __name__ == "__main__":
    main()
