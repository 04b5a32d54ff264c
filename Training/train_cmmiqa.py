"""Trains a CMMIQA from a recipe.

    python -m Training.data.build_volumes --out build/volumes
    python -m Training.train_cmmiqa Training/recipes/cmmiqa_compact.yaml --out runs/cmmiqa

Calling it again with the same run folder goes on from the last checkpoint. ``Training.evaluate_cmmiqa`` measures the
result, ``Training.export_cmmiqa`` makes a bundle of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from CTQualityAssessmentLib.assessment.token_maps import token_maps
from CTQualityAssessmentLib.networks.aware_prompts import prompt_codes
from CTQualityAssessmentLib.networks.cmmiqa import CMMIQA, TOKEN_STRIDE, CMMIQAOutput
from CTQualityAssessmentLib.prompts import Prompt
from CTQualityAssessmentLib.windows import WINDOWS
from numpy.typing import NDArray
from torch import Tensor

from Training.cmmiqa_recipe import CMMIQARecipe, read_cmmiqa_recipe
from Training.command import run_command
from Training.data.volume_list import PreparedVolume, prepare, read_volume_list
from Training.loop import Loop, RunError

#: Voxels around a token in which a patient must be for it to count as inside.
_REACH = tuple(2 * (stride // 2) + 1 for stride in TOKEN_STRIDE)


def crop(volume: PreparedVolume, size: tuple[int, int, int], rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """A random part of a volume, randomly mirrored along each axis, and where the patient is in it.

    Nothing is resampled, blurred or made noisier, which would change the label.

    Returns:
        float32 pixels and float32 mask, both of ``size``; what is smaller is mirrored up to it.
    """
    arrays = [volume.pixels.astype(np.float32), volume.patient_mask.astype(np.float32)]
    missing = [max(0, want - have) for want, have in zip(size, arrays[0].shape, strict=True)]
    if any(missing):
        arrays = [np.pad(a, [(0, n) for n in missing], mode="symmetric") for a in arrays]
    # In plane around the middle, where the patient is.
    room = [have - want for have, want in zip(arrays[0].shape, size, strict=True)]
    starts = [int(np.clip(round(rng.normal(n / 2, max(n, 1) / 5)), 0, n)) for n in room]
    starts[0] = int(rng.integers(0, room[0] + 1))
    part = tuple(slice(start, start + want) for start, want in zip(starts, size, strict=True))
    turned = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in size)
    pixels, mask = (np.ascontiguousarray(a[part][turned]) for a in arrays)
    return pixels, mask


class VolumeBatches:
    """Batch of any step, without state: step and process index decide what is in it."""

    def __init__(self, volumes: list[PreparedVolume], recipe: CMMIQARecipe, rank: int = 0, world: int = 1) -> None:
        self.volumes, self.recipe, self.rank, self.world = volumes, recipe, rank, world
        self.steps = max(1, recipe.epochs * len(volumes) // recipe.batch)

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pixels and patient ``(B, 1, D, H, W)``, prompt codes ``(B, 64)`` and scores ``(B,)`` of this process."""
        positions = [step * self.recipe.batch + n for n in range(self.recipe.batch)][self.rank :: self.world]
        chosen = [self._at(position) for position in positions]
        crops = [
            crop(volume, self.recipe.crop_at(step, self.steps), np.random.default_rng([self.recipe.seed, 1, position]))
            for position, volume in zip(positions, chosen, strict=True)
        ]
        pixels, masks = (torch.from_numpy(np.stack(arrays))[:, None] for arrays in zip(*crops, strict=True))
        codes = prompt_codes([volume.label.prompt for volume in chosen])
        return pixels, masks, codes, torch.tensor([volume.label.score for volume in chosen])

    def _at(self, position: int) -> PreparedVolume:
        epoch, offset = divmod(position, len(self.volumes))
        order = np.random.default_rng([self.recipe.seed, 0, epoch]).permutation(len(self.volumes))
        return self.volumes[order[offset]]


def share_outside(weights: Tensor, patient: Tensor) -> Tensor:
    """Share of the weight map that lies on tokens without a patient around them, a scalar in [0, 1].

    Args:
        weights: ``(B, d, h, w)``.
        patient: ``(B, 1, D, H, W)``, 1 where there is one.
    """
    near = F.max_pool3d(patient, _REACH, TOKEN_STRIDE, tuple(n // 2 for n in _REACH))[:, 0]
    outside = (weights * (near == 0)).flatten(1).sum(1)
    return (outside / weights.flatten(1).sum(1)).mean()


def loss_of(recipe: CMMIQARecipe, found: CMMIQAOutput, scores: Tensor, patient: Tensor) -> Tensor:
    """Squared error, and what the recipe adds to it."""
    loss = F.mse_loss(found.score, scores)
    if recipe.plcc and len(scores) > 2:
        pair = torch.stack((found.score, scores)) - torch.stack((found.score.mean(), scores.mean()))[:, None]
        loss = loss + recipe.plcc * (1 - F.cosine_similarity(pair[0], pair[1], dim=0))
    return loss + recipe.outside * share_outside(found.weights, patient) if recipe.outside else loss


def train(recipe: CMMIQARecipe, run: Path, *, log_every: int = 50, save_every: int = 100) -> CMMIQA:
    """Runs a recipe to its end and returns the network with the averaged weights, which ``run`` holds as well.

    Raises:
        RunError: the folder holds a run of another recipe, nothing is left to train on, a batch does not divide into
            the processes, or the loss is not finite any more.
        TrainingDataError, ReadingError: the list or an image of it cannot be read.
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
    if recipe.batch % loop.world:
        raise RunError(f"The batch of the recipe does not divide into {loop.world} processes.", "Start fewer.")
    rows = read_volume_list(Path(recipe.data), recipe.score_max)
    rows = [row for row in rows if row.patient not in recipe.held_out]
    if not rows:
        raise RunError("All patients of the list are held out.", "Name fewer in held_out.")
    volumes = [prepare(row, WINDOWS[recipe.window], recipe.input_size) for row in rows]
    batches = VolumeBatches(volumes, recipe, loop.rank, loop.world)
    network, averaged = loop.with_average(lambda: CMMIQA(recipe.config()))
    network = network.to(memory_format=torch.channels_last_3d)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    loop.keep(network=network, averaged=averaged, optimiser=optimiser)
    loop.resume()

    def one_step(step: int) -> dict[str, float]:
        pixels, patient, codes, scores = (t.to(loop.device) for t in batches(step))
        network.train()
        with loop.accelerator.autocast():
            found = network(pixels.to(memory_format=torch.channels_last_3d), codes)
        rate = recipe.rate(step, batches.steps)
        loss = loss_of(recipe, found, scores, patient)
        loop.update(network, optimiser, loss, rate)
        loop.average(averaged, network, min(recipe.ema, (step + 1) / (step + 11)))
        with torch.no_grad():
            error = (found.score - scores).abs().mean()
            outside = share_outside(found.weights, patient)
        return {"loss": float(loss.detach()), "mae": float(error), "outside": float(outside), "lr": rate}

    loop.run(one_step, until=batches.steps)
    loop.save_weights("weights", averaged)
    return averaged.eval()


def predict(network: CMMIQA, volumes: list[PreparedVolume], prompts: list[Prompt]) -> NDArray[np.float64]:
    """Score of each whole volume, ``(N,)``, read in slabs as an assessment does."""
    found = [
        token_maps(network.eval(), volume.pixels.astype(np.float32), prompt)
        for volume, prompt in zip(volumes, prompts, strict=True)
    ]
    return np.array([maps.score for maps in found if maps is not None])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/<name of the recipe>)")
    parser.add_argument("--data", help="list of volumes instead of the recipe's")
    arguments = parser.parse_args()
    recipe = read_cmmiqa_recipe(arguments.recipe, {"data": arguments.data} if arguments.data else None)
    train(recipe, arguments.out or Path("runs") / recipe.name)


if __name__ == "__main__":
    run_command(main)
