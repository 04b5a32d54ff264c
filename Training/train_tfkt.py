"""Trains TFKT in its three stages: natural images, CT with a new stem, the hybrid on CT.

    python -m Training.train_tfkt Training/recipes/tfkt_compact.yaml --out runs/tfkt
    python -m Training.train_tfkt RECIPE --out RUN --start OTHER        (with stage A of another run)

Stage A and B train the convolutions with one linear output, A on three channels and B on one; C puts bridge and Swin
behind them. The loss is the squared error of the score. Calling it again with the same run folder goes on from the last
checkpoint and arrives at the same weights.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from CTQualityAssessmentLib.networks.efficientnet_v2 import EfficientNetV2Features
from CTQualityAssessmentLib.networks.ordinal_scores import TOP_SCORE
from CTQualityAssessmentLib.networks.tfkt import Tfkt, TfktConfig
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from Training.command import run_command
from Training.data.augment import augment
from Training.data.challenge import LabelledImage, read_challenge_folder
from Training.data.folds import grouped, make_folds
from Training.data.opinions import read_opinions
from Training.data.photographs import graded_photographs
from Training.loop import Loop, RunError, cosine_share
from Training.tfkt_recipe import PHOTOGRAPHS, Stage, TfktRecipe, read_tfkt_recipe
from Training.whole_files import write_tensors


class Viewed(Protocol):
    """What a stage learns from."""

    @property
    def score(self) -> float:
        """0 to 4."""

    def view(self, rng: np.random.Generator, crop: int | None = None) -> NDArray[np.float32]:
        """A random view, ``(channels, rows, columns)`` in [0, 1]."""


class SliceViews:
    """A labelled CT image: flips, turns and shifts, which leave its label as it is."""

    def __init__(self, image: LabelledImage) -> None:
        self.image, self.score = image, image.score

    def view(self, rng: np.random.Generator, crop: int | None = None) -> NDArray[np.float32]:
        """See :class:`Viewed`."""
        return augment(self.image.read(), rng, crop)[None]


class PlainScorer(EfficientNetV2Features):
    """The convolutions with one linear output, of stages A and B; ``features.*`` are those of :class:`Tfkt`."""

    def __init__(self, config: TfktConfig, channels: int) -> None:
        super().__init__(config.stem, config.stages, config.last, config.conv_drop_path, channels)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.last, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(B,)`` of ``(B, channels, H, W)``."""
        return self.head(self.dropout(self.features(x).mean(dim=(2, 3)))).squeeze(1)


class Best(nn.Module):
    """The weights with the smallest validation error so far, as a part of the checkpoint."""

    error: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("error", torch.tensor(float("inf")))

    def offer(self, network: nn.Module, error: float) -> None:
        """Takes the weights if they are better."""
        if error < float(self.error):
            self.network.load_state_dict(network.state_dict())
            self.error.fill_(error)


def batch_of(images: Sequence[Viewed], stage: Stage, step: int, seed: int, hand: slice) -> tuple[Tensor, Tensor]:
    """Images ``(B, C, H, W)`` and scores ``(B,)`` of a step, a function of seed and step alone.

    Args:
        images: of the stage.
        stage: its batch and crop.
        step: within the stage.
        seed: of order and views.
        hand: which of the batch this process has.
    """
    pixels, scores = [], []
    for position in range(step * stage.batch, (step + 1) * stage.batch)[hand]:
        epoch, offset = divmod(position, len(images))
        order = np.random.default_rng([seed, 0, epoch]).permutation(len(images))
        image = images[order[offset]]
        view = image.view(np.random.default_rng([seed, 1, position]), stage.crop)
        pixels.append(torch.from_numpy(np.ascontiguousarray(view)))
        scores.append(image.score)
    return torch.stack(pixels), torch.tensor(scores)


def ct_images(recipe: TfktRecipe) -> tuple[list[LabelledImage], list[LabelledImage]]:
    """CT images to train on, as few as the recipe says, and to validate on; held-out patients are in neither."""
    usable = [one for one in read_challenge_folder(Path(recipe.data)) if one.patient not in recipe.held_out]
    if recipe.split == "similar slices":
        usable = grouped(usable)
    training, validation = usable, []
    if recipe.fold is not None:
        chosen = set(make_folds(usable, recipe.folds, recipe.seed, recipe.split)[recipe.fold])
        training = [one for n, one in enumerate(usable) if n not in chosen]
        validation = [usable[n] for n in sorted(chosen)]
    if recipe.labels is not None:
        order = np.random.default_rng(recipe.seed).permutation(len(training))
        training = [training[n] for n in sorted(order[: recipe.labels])]
    return training, validation


def natural_images(recipe: TfktRecipe) -> Sequence[Viewed]:
    """Images of stage A."""
    return graded_photographs() if recipe.natural_data == PHOTOGRAPHS else read_opinions(Path(recipe.natural_data))


def train(
    recipe: TfktRecipe, run: Path, *, start: Path | None = None, log_every: int = 20, save_every: int = 100
) -> Tfkt:
    """Runs a recipe to its end and returns the network, which ``run`` holds as ``weights.safetensors``.

    Each stage leaves ``stage-a.safetensors`` and so on when it is done, and is not trained again after that.

    Args:
        recipe: what to do.
        run: folder of the run.
        start: folder of a run whose stage A is the recipe's; its weights are taken.
        log_every, save_every: steps.

    Raises:
        RunError: the folder holds a run of another recipe, ``start`` has another stage A, or the loss is not finite.
        TrainingDataError: a data folder cannot be used.
    """
    config = recipe.config
    training, validation = ct_images(recipe)
    slices = [SliceViews(one) for one in training]
    frequencies = {"log_every": log_every, "save_every": save_every}
    if (run / "recipe.json").is_file() and read_tfkt_recipe(run / "recipe.json") != recipe:
        raise RunError("The run folder holds a run of another recipe.", "Choose another folder with --out.")
    if start is not None:
        _take_stage_a(recipe, start, run)
    before: Path | None = None
    if recipe.natural is not None:
        before = _stage(
            "stage-a",
            lambda: PlainScorer(config, 3),
            recipe,
            recipe.natural,
            natural_images,
            [],
            run,
            None,
            frequencies,
        )
    before = _stage(
        "stage-b",
        lambda: PlainScorer(config, 1),
        recipe,
        recipe.stem,
        lambda _: slices,
        validation,
        run,
        before,
        frequencies,
    )
    done = _stage(
        "stage-c",
        lambda: Tfkt(config),
        recipe,
        recipe.hybrid,
        lambda _: slices,
        validation,
        run,
        before,
        frequencies,
    )
    network = Tfkt(config).eval()
    network.load_state_dict(load_file(done))
    if recipe.calibrate:
        calibrate(network, training[:: max(1, len(training) // recipe.calibrate)])
    write_tensors(run / "weights.safetensors", network.state_dict())
    return network


def _stage(
    name: str,
    build: Callable[[], PlainScorer | Tfkt],
    recipe: TfktRecipe,
    stage: Stage,
    images_of: Callable[[TfktRecipe], Sequence[Viewed]],
    validation: list[LabelledImage],
    run: Path,
    before: Path | None,
    frequencies: dict[str, int],
) -> Path:
    """One stage, from the convolutions in ``before``; returns the file of its weights."""
    done = run / f"{name}.safetensors"
    loop = Loop(
        run,
        recipe.to_dict(),
        seed=recipe.seed,
        precision=recipe.precision,
        clip=recipe.clip,
        checkpoint=f"{name}.pt",
        **frequencies,
    )
    if done.is_file():
        return done
    if stage.batch % loop.world:
        raise RunError(f"The batch of {name} does not divide into {loop.world} processes.", "Start fewer.")
    images = images_of(recipe)
    mean = float(np.mean([image.score for image in images]))
    network, averaged = loop.with_average(lambda: _begun(_continued(build(), before), mean))
    best = Best(averaged)
    optimiser = torch.optim.Adam(network.parameters(), lr=stage.lr)
    loop.keep(network=network, best=best, optimiser=optimiser)
    loop.resume()
    steps = stage.steps_of(len(images))
    epoch = max(1, -(-len(images) // stage.batch))
    hand = slice(loop.rank, None, loop.world)
    selects = recipe.select and bool(validation)

    def one_step(step: int) -> dict[str, float]:
        pixels, scores = (t.to(loop.device) for t in batch_of(images, stage, step, recipe.seed, hand))
        rate = stage.lr * cosine_share(step, steps, min(recipe.warmup, steps // 5))
        network.train()
        with loop.accelerator.autocast():
            predicted = network(pixels.contiguous(memory_format=torch.channels_last))
        error = predicted.float() - scores
        loop.update(network, optimiser, error.square().mean(), rate)
        found = {"mse": float(error.detach().square().mean()), "mae": float(error.detach().abs().mean()), "lr": rate}
        if not selects:
            loop.average(averaged, network, min(recipe.ema, (step + 1) / (step + 11)))
        elif (step + 1) % epoch == 0 or step + 1 == steps:
            found["validation_mse"] = validation_error(network, validation, loop.device)
            best.offer(network, found["validation_mse"])
        return found

    loop.run(one_step, until=steps, stage=name)
    loop.save_weights(name, averaged)
    loop.accelerator.wait_for_everyone()
    return done


def _continued(network: PlainScorer | Tfkt, before: Path | None) -> PlainScorer | Tfkt:
    """The network with the convolutions of the stage before; a stem of another number of channels stays new."""
    network = network.to(memory_format=torch.channels_last)
    if before is not None:
        own = network.state_dict()
        taken = {
            name: value
            for name, value in load_file(before).items()
            if name.startswith("features.") and own[name].shape == value.shape
        }
        network.load_state_dict({**own, **taken})
    return network


def _begun(network: PlainScorer | Tfkt, mean: float) -> PlainScorer | Tfkt:
    """The network with the mean score of the labels as its first guess."""
    head = network.swin.head if isinstance(network, Tfkt) else network.head
    nn.init.constant_(head.bias, mean)
    return network


def _take_stage_a(recipe: TfktRecipe, start: Path, run: Path) -> None:
    theirs = read_tfkt_recipe(start / "recipe.json")
    if recipe.natural is None or recipe.stage_a() != theirs.stage_a():
        raise RunError("The run to start from has another stage A.", "Leave --start out, or name another run.")
    if not (start / "stage-a.safetensors").is_file():
        raise RunError("The run to start from has not finished its stage A.", "Finish it first.")
    run.mkdir(parents=True, exist_ok=True)
    shutil.copy(start / "stage-a.safetensors", run / "stage-a.partial")
    (run / "stage-a.partial").replace(run / "stage-a.safetensors")


@torch.inference_mode()
def raw_scores(network: nn.Module, images: list[LabelledImage], device: str = "cpu") -> NDArray[np.float64]:
    """What the network says of each image, ``(N,)``; one at a time, so that any sizes may be among them."""
    network = network.eval().to(device)
    scores = [network(torch.from_numpy(image.read())[None, None].to(device)).cpu() for image in images]
    return torch.cat(scores).double().numpy()


def predict(network: nn.Module, images: list[LabelledImage], device: str = "cpu") -> NDArray[np.float64]:
    """Score of each image, cut off at 0 and 4, ``(N,)``."""
    return raw_scores(network, images, device).clip(0.0, TOP_SCORE)


def calibrate(network: Tfkt, images: list[LabelledImage]) -> None:
    """Scales and shifts the last layer so that the scores of these whole images fit their labels best."""
    scores = raw_scores(network, images)
    slope, shift = np.polyfit(scores, [image.score for image in images], 1)
    with torch.no_grad():
        network.swin.head.weight *= slope
        network.swin.head.bias.mul_(slope).add_(shift)


def validation_error(network: nn.Module, images: list[LabelledImage], device: torch.device) -> float:
    """Mean squared error over whole images."""
    return float(np.mean((predict(network, images, str(device)) - [image.score for image in images]) ** 2))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/<name of the recipe>)")
    parser.add_argument("--start", type=Path, help="folder of a run with the same stage A, which is taken")
    parser.add_argument("--data", help="CT folder instead of the recipe's")
    parser.add_argument("--natural-data", help="folder of rated natural images instead of the recipe's")
    parser.add_argument("--labels", type=int, help="so many labelled CT images instead of the recipe's")
    parser.add_argument("--fold", type=int, help="validate on this fold instead of training on all")
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in ("data", "natural_data", "labels", "fold")}
    recipe = read_tfkt_recipe(arguments.recipe, {k: v for k, v in given.items() if v is not None})
    train(recipe, arguments.out or Path("runs") / recipe.name, start=arguments.start)


if __name__ == "__main__":
    run_command(main)
