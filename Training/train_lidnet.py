"""Trains LIDnet from a recipe: a detector, a denoiser, then both together.

    python -m Training.train_lidnet Training/recipes/lidnet.yaml --out runs/lidnet

Calling it again with the same run folder goes on from the last checkpoint and arrives at the same weights.
``--stage detector`` and ``--stage denoiser`` train one of the two alone, so that two processes can do it at a time; the
command without ``--stage`` then takes what they left, and ends with the same weights as if it had done all by itself.
``--start OTHER`` takes detector and denoiser of another run, which must be the same up to the joint stage, so that runs
that differ only there can be compared. ``Training.export_lidnet`` makes a bundle of the result.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from CTQualityAssessmentLib.networks.denoisers import denoised
from CTQualityAssessmentLib.networks.lesion_detector import LesionDetector, LesionDetectorConfig
from CTQualityAssessmentLib.networks.registry import build_denoiser
from torch import Tensor

from Training.command import run_command
from Training.data.dose_pairs import DosePair, read_pairs
from Training.data.lesion_crops import WINDOW, Crop, LesionCrops
from Training.lidnet_recipe import LIDnetRecipe, Stage, read_lidnet_recipe
from Training.loop import Loop, RunError, cosine_share
from Training.losses.lidnet import LIDnetLoss, detection_loss, detection_targets, retention_loss
from Training.whole_files import replacing

#: What may differ between a run and the one that it starts from.
_JOINT_ONLY = ("name", "joint_stage", "roi", "detection", "retention", "detector_every", "detector_lr")
#: What decides the outcome of each stage that can be trained alone, and the networks that it leaves.
_DECIDES = {
    "detector": ("data", "held_out", "seed", "detector_config", "detector_stage"),
    "denoiser": ("data", "held_out", "seed", "denoiser", "denoiser_config", "denoiser_stage", "ema", "clip"),
}
_LEAVES = {"detector": ("detector", "judge"), "denoiser": ("denoiser", "averaged")}
#: Crops of a stage begin here, so that no stage depends on the length of another.
_CROPS_A_STAGE = 100_000_000


class LIDnetRun:
    """The networks and optimisers of one run; its :class:`~Training.loop.Loop` counts the steps.

    ``judge`` is the detector as its own stage left it: no later step changes it, and evaluation uses nothing else.

    Args:
        recipe: see :class:`LIDnetRecipe`.
        pairs: to train on.
        loop: new, so that its seed decides the weights.
    """

    def __init__(self, recipe: LIDnetRecipe, pairs: list[DosePair], loop: Loop) -> None:
        self.recipe, self.loop = recipe, loop
        self.denoiser, self.averaged = loop.with_average(
            lambda: build_denoiser(recipe.denoiser, recipe.denoiser_config)
        )
        config = LesionDetectorConfig.from_dict(recipe.detector_config)
        self.detector, self.judge = loop.with_average(lambda: LesionDetector(config))
        for network in (self.denoiser, self.averaged, self.detector, self.judge):
            network.to(memory_format=torch.channels_last)  # faster on a CPU
        self.denoiser_optimiser = torch.optim.Adam(self.denoiser.parameters(), lr=1e-4)
        self.detector_optimiser = torch.optim.Adam(self.detector.parameters(), lr=1e-4)
        loop.keep(
            denoiser=self.denoiser,
            averaged=self.averaged,
            detector=self.detector,
            judge=self.judge,
            denoiser_optimiser=self.denoiser_optimiser,
            detector_optimiser=self.detector_optimiser,
        )
        self.loss = LIDnetLoss(recipe.roi, recipe.detection, WINDOW.width)
        self._pairs, self._crops, self._crop_size = pairs, None, None

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return sum(stage.steps for stage in self.recipe.stages.values())

    def place(self, step: int) -> tuple[str, Stage, int, int]:
        """Name and stage of a step, the step within it, and the position of its first crop."""
        for number, (name, stage) in enumerate(self.recipe.stages.items()):
            if step < stage.steps:
                return name, stage, step, number * _CROPS_A_STAGE + step * stage.batch
            step -= stage.steps
        raise IndexError("step beyond the recipe")

    def first_step(self, name: str) -> int:
        """The step at which a stage begins."""
        steps = 0
        for stage, settings in self.recipe.stages.items():
            if stage == name:
                return steps
            steps += settings.steps
        raise KeyError(name)

    def advance(self, step: int) -> dict[str, float]:
        """One step; what there is to log."""
        name, stage, within, first = self.place(step)
        crops = self._batch(stage, first)
        share = learning_share(within, stage.steps)
        if within == 0:  # each stage begins with optimisers that know nothing
            self.denoiser_optimiser.state.clear()
            self.detector_optimiser.state.clear()
        if name == "detector":
            record = self._detector_step(crops, stage.lr * share, self._normal_dose(crops))
        else:
            record = self._denoiser_step(crops, stage.lr * share, joint=name == "joint")
            every = self.recipe.detector_every
            if name == "joint" and every and within % every == every - 1:
                with torch.no_grad():
                    guess = denoised(self.denoiser, self._images(crops, "low"))
                images = torch.cat([guess, self._images(crops, "clean")])
                record |= self._detector_step([*crops, *crops], self.recipe.detector_lr * share, images)
        if name == "detector" and within == stage.steps - 1:
            self.judge.load_state_dict(self.detector.state_dict())
        return record

    def _batch(self, stage: Stage, first: int) -> list[Crop]:
        """This process's share of a step's crops."""
        if self._crop_size != stage.crop:
            self._crops, self._crop_size = LesionCrops(self._pairs, self.recipe.seed, stage.crop), stage.crop
        return [self._crops(first + n) for n in range(stage.batch)][self.loop.rank :: self.loop.world]

    def _images(self, crops: list[Crop], kind: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(crop, kind) for crop in crops]))[:, None].to(self.loop.device)

    def _normal_dose(self, crops: list[Crop]) -> Tensor:
        """Full dose and no noise in turn: neither may be strange to the detector that judges."""
        return torch.cat([self._images([crop], "clean" if n % 2 else "full") for n, crop in enumerate(crops)])

    def _boxes(self, crops: list[Crop]) -> list[Tensor]:
        return [torch.from_numpy(crop.boxes).to(self.loop.device) for crop in crops]

    def _detector_step(self, crops: list[Crop], rate: float, images: Tensor) -> dict[str, float]:
        self.detector.train()
        output = self.detector(images)
        targets = detection_targets(self._boxes(crops), tuple(output.heat_logits.shape[2:]))
        loss = detection_loss(output, targets)
        self.loop.update(self.detector, self.detector_optimiser, loss, rate)
        return {"detector": float(loss.detach())}

    def _denoiser_step(self, crops: list[Crop], rate: float, joint: bool) -> dict[str, float]:
        self.denoiser.train()
        low = self._images(crops, "low")
        predicted = denoised(self.denoiser, low)
        terms = self.loss(predicted, self._images(crops, "clean"), self._boxes(crops), self.detector if joint else None)
        total, kept = terms.total, {}
        if joint and self.recipe.retention:
            faint = self._images(crops, "faint")
            retention = retention_loss(denoised(self.denoiser, low + faint), predicted, faint)
            total, kept = total + self.recipe.retention * retention, {"retention": float(retention.detach())}
        self.loop.update(self.denoiser, self.denoiser_optimiser, total, rate)
        taken = self.loop.step - self.recipe.detector_stage.steps + 1
        self.loop.average(self.averaged, self.denoiser, min(self.recipe.ema, taken / (taken + 9)))
        return {key: float(value.detach()) for key, value in terms._asdict().items()} | kept

    def save_stage(self, name: str) -> None:
        """Writes ``<name>.pt``: the networks that one stage left, for :meth:`take_stage`."""
        decided = {key: self.loop.recipe[key] for key in _DECIDES[name]}
        state = {part: getattr(self, part).state_dict() for part in _LEAVES[name]}
        if self.loop.is_main:
            with replacing(self.loop.run_folder / f"{name}.pt") as partial:
                torch.save({"recipe": json.dumps(decided, sort_keys=True), **state}, partial)

    def take_stage(self, name: str) -> None:
        """The networks of a stage that was trained alone, in its place.

        Raises:
            RunError: it was trained by another recipe.
        """
        state = torch.load(self.loop.run_folder / f"{name}.pt", map_location="cpu", weights_only=True)
        if {key: self.loop.recipe[key] for key in _DECIDES[name]} != json.loads(state["recipe"]):
            raise RunError(f"The {name} in the run folder is of another recipe.", "Choose another folder with --out.")
        for part in _LEAVES[name]:
            getattr(self, part).load_state_dict(state[part])
        self.loop.step += self.recipe.stages[name].steps


def learning_share(within: int, steps: int) -> float:
    """Share of a stage's rate at a step: up over a twentieth of the stage, then down to zero as a cosine."""
    return cosine_share(within, steps, max(1, steps // 20))


def train(
    recipe: LIDnetRecipe,
    run: Path,
    *,
    start: Path | None = None,
    only: str | None = None,
    log_every: int = 50,
    save_every: int = 200,
) -> LIDnetRun:
    """Runs a recipe to its end, or one of its first two stages.

    ``run`` gets ``recipe.json``, ``log.jsonl``, ``checkpoint.pt``, ``before_joint.pt`` and, at the end, the averaged
    denoiser, the detector and the judge as ``*.safetensors``.

    Args:
        recipe: see :class:`LIDnetRecipe`.
        run: folder of the run.
        start: folder of a run whose ``before_joint.pt`` is taken instead of training up to there.
        only: "detector" or "denoiser" trains that stage alone and leaves ``<only>.pt``, which a run without it takes.
        log_every, save_every: steps.

    Raises:
        TrainingDataError: there are no dose pairs.
        RunError: a checkpoint is of another recipe, a batch does not divide into the processes, or the loss is not
            finite any more.
        ValueError: no patient is left to train on.
    """
    pairs = [pair for pair in read_pairs(Path(recipe.data)) if pair.patient not in recipe.held_out]
    if not pairs:
        raise ValueError("no patient is left to train on")
    loop = Loop(
        run,
        recipe.to_dict(),
        seed=recipe.seed,
        clip=recipe.clip,
        log_every=log_every,
        save_every=save_every,
        checkpoint=f"checkpoint_{only}.pt" if only else "checkpoint.pt",
    )
    if any(stage.batch % loop.world for stage in recipe.stages.values()):
        raise RunError(f"A batch of the recipe does not divide into {loop.world} processes.", "Start fewer.")
    state = LIDnetRun(recipe, pairs, loop)
    if not loop.checkpoint.is_file() and only is not None:
        loop.step = state.first_step(only)
    elif not loop.checkpoint.is_file() and start is not None:
        loop.load(start / "before_joint.pt", may_differ=_JOINT_ONLY)
    loop.resume()
    for name, stage in recipe.stages.items():
        first = state.first_step(name)
        last = first + stage.steps
        if only not in (None, name) or loop.step >= last:
            continue
        if only is None and loop.step == first and (run / f"{name}.pt").is_file():
            state.take_stage(name)
        else:
            loop.run(state.advance, until=last, stage=name)
        if only is None and last == state.first_step("joint") and loop.is_main:
            loop.save(run / "before_joint.pt")
    if only is not None:
        state.save_stage(only)
        return state
    for name, network in (("denoiser", state.averaged), ("detector", state.detector), ("judge", state.judge)):
        loop.save_weights(name, network)
    return state


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/<name of the recipe>)")
    parser.add_argument("--data", help="data folder instead of the recipe's")
    parser.add_argument("--start", type=Path, help="run whose detector and denoiser are taken up to the joint stage")
    parser.add_argument("--stage", choices=list(_LEAVES), help="train this stage alone")
    arguments = parser.parse_args()
    recipe = read_lidnet_recipe(arguments.recipe, {"data": arguments.data} if arguments.data else None)
    train(recipe, arguments.out or Path("runs") / recipe.name, start=arguments.start, only=arguments.stage)


if __name__ == "__main__":
    run_command(main)
