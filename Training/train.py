"""Trains a ClinReadNet from a recipe.

    python -m Training.train Training/recipes/clinreadnet.yaml --out runs/clinreadnet
    accelerate launch -m Training.train Training/recipes/clinreadnet.yaml --out runs/clinreadnet    (several GPUs)

Calling it again with the same run folder goes on from the last checkpoint and arrives at the same weights: order,
augmentation and dropout are functions of seed and step alone. ``Training.export`` makes a bundle of the result.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTQualityAssessmentLib.networks.clinreadnet import ClinReadNet, clinreadnet
from CTQualityAssessmentLib.networks.ordinal_scores import expected_score
from torch import Tensor

from Training.command import run_command
from Training.data.augment import augment
from Training.data.challenge import LabelledImage, patient_folds, read_challenge_folder
from Training.head import fit_head, pooled_features
from Training.loop import Loop, RunError, cosine_share
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
    return phase.lr * cosine_share(within, phase.steps, min(recipe.warmup, phase.steps // 5))


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

    Raises:
        RunError: the folder holds a run of another recipe, a batch does not divide into the processes, or the loss is
            not finite any more.
        TrainingDataError: the data folder cannot be used.
    """
    loop = Loop(
        run,
        recipe.to_dict(),
        seed=recipe.seed,
        precision=recipe.precision,
        clip=recipe.clip,
        log_every=log_every,
        save_every=save_every,
    )
    if any(phase.batch % loop.world for phase in recipe.phases):
        raise RunError(f"A batch of the recipe does not divide into {loop.world} processes.", "Start fewer.")
    network, averaged = loop.with_average(lambda: clinreadnet(**recipe.network))
    optimiser = torch.optim.AdamW(parameter_groups(network, recipe.weight_decay), lr=1e-4)
    loss_function = HRPSLoss(**recipe.loss).to(loop.device)
    loop.keep(network=network, averaged=averaged, optimiser=optimiser)
    training, validation = split(recipe, read_challenge_folder(Path(recipe.data)))
    batches = Batches(training, recipe, loop.rank, loop.world)
    loop.resume()

    def one_step(step: int) -> dict[str, float]:
        pixels, scores = (t.to(loop.device) for t in batches(step))
        rate = learning_rate(recipe, step)
        for group in optimiser.param_groups:
            group["factor"] = recipe.phase_at(step)[0].head if group["head"] else 1.0
        network.train()
        with loop.accelerator.autocast():
            output = network(pixels)
        loss = loss_function(output.fine_logits, output.coarse_logits, scores)
        loop.update(network, optimiser, loss, rate)
        loop.average(averaged, network, min(recipe.ema, (step + 1) / (step + 11)))
        error = (expected_score(output.fine_logits.detach()) - scores).abs().mean()
        return {"loss": float(loss.detach()), "mae": float(error), "lr": rate}

    loop.run(one_step, until=recipe.steps)
    if recipe.head_fit is not None:
        chosen = recipe.head_fit.choose(training)
        features = loop.gather(list(pooled_features(averaged, chosen[loop.rank :: loop.world], str(loop.device))))
        if loop.is_main:
            scores = torch.tensor([image.score for image in chosen])
            fit_head(
                averaged.head, torch.stack(features), scores, HRPSLoss(**recipe.loss), recipe.head_fit, recipe.seed
            )
            loop.log({"step": loop.step, "head": "fitted"})
    loop.save_weights("weights", averaged)
    if validation and loop.is_main:
        predicted = predict(averaged, validation, str(loop.device))
        true = np.array([image.score for image in validation])
        loop.log({"step": loop.step, **{name: round(f(predicted, true), 4) for name, f in MEASURES.items()}})
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
    run_command(main)
