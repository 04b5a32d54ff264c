"""Trains a ClinReadNet from a recipe.

    python -m Training.train Training/recipes/clinreadnet.yaml --out runs/clinreadnet
    accelerate launch -m Training.train Training/recipes/clinreadnet.yaml --out runs/clinreadnet    (several GPUs)

Calling it again with the same run folder goes on from the last checkpoint and arrives at the same weights: order,
augmentation and dropout are functions of seed and step alone. ``Training.export`` makes a bundle of the result.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTQualityAssessmentLib.models import load_bundle
from CTQualityAssessmentLib.networks.ordinal_scores import expected_score
from safetensors.torch import load_file
from torch import Tensor

from Training.command import run_command
from Training.data.augment import augment
from Training.data.challenge import LabelledImage, read_challenge_folder
from Training.data.folds import Item, Rated, grouped, make_folds
from Training.head import fit_head, pooled_features
from Training.loop import Loop, RunError, cosine_share
from Training.losses.hrps import HRPSLoss
from Training.metrics.agreement import MEASURES
from Training.recipe import Recipe, read_recipe
from Training.resnet import build_network


class Batches:
    """Batch of any step, without state: step and process index decide what is in it."""

    def __init__(self, images: Sequence[Rated], recipe: Recipe, rank: int = 0, world: int = 1) -> None:
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
            pixels.append(augment(image.read(), rng, phase.crop, self.recipe.augmentation))
        return torch.from_numpy(np.stack(pixels))[:, None], torch.tensor([image.score for _, image in chosen])

    def _sample(self, position: int) -> tuple[int, Rated]:
        """Image at a position of the endless sequence of shuffled epochs."""
        epoch, offset = divmod(position, len(self.images))
        order = np.random.default_rng([self.recipe.seed, 0, epoch]).permutation(len(self.images))
        return position, self.images[order[offset]]


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine to zero in each cycle of a phase."""
    phase, within = recipe.phase_at(step)
    cycle = -(-phase.steps // phase.cycles)
    return phase.lr * cosine_share(within % cycle, cycle, min(recipe.warmup, cycle // 5) if within < cycle else 0)


def parameter_groups(network: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups for the optimiser: head and rest apart, matrices with weight decay, gains and biases without."""
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault((name.startswith("head."), parameter.ndim > 1), []).append(parameter)
    return [
        {"params": parameters, "head": head, "weight_decay": weight_decay if decays else 0.0}
        for (head, decays), parameters in sorted(groups.items())
    ]


def split(recipe: Recipe, images: list[Item]) -> tuple[list[Item], list[Item]]:
    """Images to train on and images to validate on; held-out patients are in neither."""
    usable = [image for image in images if image.patient not in recipe.held_out]
    if recipe.fold is None:
        return usable, []
    validation = set(make_folds(usable, recipe.folds, recipe.seed, recipe.split)[recipe.fold])
    return [x for n, x in enumerate(usable) if n not in validation], [usable[n] for n in sorted(validation)]


def read_images(recipe: Recipe) -> list[LabelledImage]:
    """The images of a recipe, in groups of similar slices where its folds are made by them."""
    images = [replace(one, picture=recipe.picture) for one in read_challenge_folder(Path(recipe.data))]
    return grouped(images) if recipe.split == "similar slices" else images


def first_network(recipe: Recipe) -> torch.nn.Module:
    """The network that a run begins with: drawn from the seed, or with the weights of the recipe's ``start``.

    Raises:
        RunError: ``start`` is no finished run, of another network, or may have been trained on a held-out patient.
    """
    network = build_network(recipe.network)
    if recipe.start is None:
        return network
    folder = Path(recipe.start)
    metadata = folder / "configs" / "metadata.json"
    try:
        if metadata.is_file():
            known = json.loads(metadata.read_text(encoding="utf-8"))["ctqa"]["held_out_patients"]
            weights = load_bundle(folder, "cpu").network.state_dict()
        else:
            known = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["held_out"]
            weights = load_file(folder / "weights.safetensors")
        network.load_state_dict(weights)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise RunError(
            "The recipe starts from weights that are not there or belong to another network.",
            "Run the recipe that makes them first.",
        ) from error
    if not set(recipe.held_out) <= set(known):
        raise RunError(
            "The recipe starts from weights that may have seen a held-out patient.",
            "Hold the same patients out of both.",
        )
    return network


def train(
    recipe: Recipe,
    run: Path,
    *,
    images: Sequence[Rated] | None = None,
    log_every: int = 50,
    save_every: int = 200,
) -> torch.nn.Module:
    """Runs a recipe to its end and returns the network with the weights that ``run`` then holds.

    ``run`` gets ``recipe.json``, ``log.jsonl``, ``checkpoint.pt`` (for going on) and, when the recipe is done and not
    before, ``weights.safetensors``: the averaged weights, or the selected ones of them.

    Args:
        recipe: what to do.
        run: folder of the run.
        images: to train on; None reads the recipe's.
        log_every, save_every: steps.

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
    network, averaged = loop.with_average(lambda: first_network(recipe))
    optimiser_class = {"adamw": torch.optim.AdamW, "nadam": torch.optim.NAdam}[recipe.optimiser]
    optimiser = optimiser_class(parameter_groups(network, recipe.weight_decay), lr=1e-4)
    loss_function = HRPSLoss(**recipe.loss).to(loop.device)
    loop.keep(network=network, averaged=averaged, optimiser=optimiser)
    training, validation = split(recipe, list(images if images is not None else read_images(recipe)))
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

    every = recipe.select_every
    for until in range(every, recipe.steps + 1, every) if every else ():
        if loop.step <= until:  # a run that goes on from later has looked at these weights before
            loop.run(one_step, until)
            _select(loop, averaged, validation)
    loop.run(one_step, until=recipe.steps)
    if every and loop.is_main:
        averaged.load_state_dict(load_file(run / "best.safetensors"))
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
        loop.log({"step": loop.step, "done": True, **_figures(averaged, validation, loop)})
    return averaged.eval()


def _figures(network: torch.nn.Module, images: Sequence[Rated], loop: Loop) -> dict[str, float]:
    predicted = predict(network, images, str(loop.device))
    true = np.array([image.score for image in images])
    return {name: round(measure(predicted, true), 4) for name, measure in MEASURES.items()}


def _select(loop: Loop, averaged: torch.nn.Module, validation: Sequence[Rated]) -> None:
    """Writes ``best.safetensors`` if no earlier weights of this run, by its log, have a larger sum."""
    if loop.is_main:
        log = map(json.loads, (loop.run_folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
        earlier = [line["sum"] for line in log if "selecting" in line and line["step"] < loop.step]
        figures = _figures(averaged, validation, loop)
        loop.log({"step": loop.step, "selecting": True, **figures})
        if figures["sum"] >= max(earlier, default=0.0):
            loop.save_weights("best", averaged)
    loop.accelerator.wait_for_everyone()


@torch.inference_mode()
def predict(network: torch.nn.Module, images: Sequence[Rated], device: str = "cpu", batch: int = 8) -> np.ndarray:
    """Expected score of each image, ``(N,)`` float64, in float32 arithmetic."""
    network.eval().to(device)
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
