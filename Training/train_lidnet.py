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
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTQualityAssessmentLib.networks.denoisers import denoised
from CTQualityAssessmentLib.networks.lesion_detector import LesionDetector, LesionDetectorConfig
from CTQualityAssessmentLib.networks.registry import build_denoiser
from torch import Tensor, nn

from Training.data.dose_pairs import DosePair, read_pairs
from Training.data.lesion_crops import WINDOW, Crop, LesionCrops
from Training.lidnet_recipe import LIDnetRecipe, Stage, read_lidnet_recipe
from Training.losses.lidnet import LIDnetLoss, detection_loss, detection_targets, retention_loss

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
    """The networks and optimisers of one run, and how far it is.

    ``judge`` is the detector as its own stage left it: no later step changes it, and evaluation uses nothing else.
    """

    def __init__(self, recipe: LIDnetRecipe, pairs: list[DosePair], device: str) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device = recipe, device
        self.denoiser = build_denoiser(recipe.denoiser, recipe.denoiser_config).to(device)
        self.averaged = build_denoiser(recipe.denoiser, recipe.denoiser_config).to(device).requires_grad_(False)
        self.averaged.load_state_dict(self.denoiser.state_dict())
        config = LesionDetectorConfig.from_dict(recipe.detector_config)
        self.detector, self.judge = (LesionDetector(config).to(device) for _ in range(2))
        self.judge.load_state_dict(self.detector.state_dict())
        self.judge.requires_grad_(False)
        for network in (self.denoiser, self.averaged, self.detector, self.judge):
            network.to(memory_format=torch.channels_last)  # faster on a CPU
        self.loss = LIDnetLoss(recipe.roi, recipe.detection, WINDOW.width)
        self.step = 0
        self._pairs, self._crops, self._crop_size = pairs, None, None
        self._new_optimisers()

    def _new_optimisers(self) -> None:
        self.denoiser_optimiser = torch.optim.Adam(self.denoiser.parameters(), lr=1e-4)
        self.detector_optimiser = torch.optim.Adam(self.detector.parameters(), lr=1e-4)

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

    def advance(self) -> dict[str, float]:
        """One step; what there is to log."""
        name, stage, within, first = self.place(self.step)
        crops = self._batch(stage, first)
        rate = stage.lr * learning_share(within, stage.steps)
        if within == 0:
            self._new_optimisers()
        if name == "detector":
            record = self._detector_step(crops, rate, self._normal_dose(crops))
        else:
            record = self._denoiser_step(crops, rate, joint=name == "joint")
            every = self.recipe.detector_every
            if name == "joint" and every and within % every == every - 1:
                with torch.no_grad():
                    guess = denoised(self.denoiser, self._images(crops, "low"))
                images = torch.cat([guess, self._images(crops, "clean")])
                share = learning_share(within, stage.steps)
                record |= self._detector_step([*crops, *crops], self.recipe.detector_lr * share, images)
        self.step += 1
        if name == "detector" and within == stage.steps - 1:
            self.judge.load_state_dict(self.detector.state_dict())
        return record

    def _batch(self, stage: Stage, first: int) -> list[Crop]:
        if self._crop_size != stage.crop:
            self._crops, self._crop_size = LesionCrops(self._pairs, self.recipe.seed, stage.crop), stage.crop
        return [self._crops(first + n) for n in range(stage.batch)]

    def _images(self, crops: list[Crop], kind: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(crop, kind) for crop in crops]))[:, None].to(self.device)

    def _normal_dose(self, crops: list[Crop]) -> Tensor:
        """Full dose and no noise in turn: neither may be strange to the detector that judges."""
        return torch.cat([self._images([crop], "clean" if n % 2 else "full") for n, crop in enumerate(crops)])

    def _boxes(self, crops: list[Crop]) -> list[Tensor]:
        return [torch.from_numpy(crop.boxes).to(self.device) for crop in crops]

    def _detector_step(self, crops: list[Crop], rate: float, images: Tensor) -> dict[str, float]:
        self.detector.train()
        output = self.detector(images)
        targets = detection_targets(self._boxes(crops), tuple(output.heat_logits.shape[2:]))
        loss = detection_loss(output, targets)
        self._update(self.detector, self.detector_optimiser, loss, rate)
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
        self._update(self.denoiser, self.denoiser_optimiser, total, rate)
        taken = self.step - self.recipe.detector_stage.steps + 1
        decay = min(self.recipe.ema, taken / (taken + 9))
        with torch.no_grad():
            for mean, value in zip(self.averaged.parameters(), self.denoiser.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
        return {key: float(value.detach()) for key, value in terms._asdict().items()} | kept

    def _update(self, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is not finite at step {self.step}; lower the rate of this stage")
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), self.recipe.clip)
        optimiser.step()

    def _parts(self) -> dict[str, Any]:
        return {
            "denoiser": self.denoiser,
            "averaged": self.averaged,
            "detector": self.detector,
            "judge": self.judge,
            "denoiser_optimiser": self.denoiser_optimiser,
            "detector_optimiser": self.detector_optimiser,
        }

    def save(self, path: Path) -> None:
        """Everything that is needed to go on."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        partial = path.with_suffix(".partial")
        torch.save({"step": self.step, "recipe": json.dumps(self.recipe.to_dict(), sort_keys=True), **state}, partial)
        partial.replace(path)

    def save_stage(self, path: Path, name: str) -> None:
        """The networks that one stage left, for :meth:`take_stage`."""
        partial = path.with_suffix(".partial")
        decided = {key: self.recipe.to_dict()[key] for key in _DECIDES[name]}
        state = {part: self._parts()[part].state_dict() for part in _LEAVES[name]}
        torch.save({"recipe": json.dumps(decided, sort_keys=True), **state}, partial)
        partial.replace(path)

    def take_stage(self, path: Path, name: str) -> None:
        """The networks of a stage that was trained alone, in its place.

        Raises:
            ValueError: it was trained by another recipe.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        ours = json.loads(json.dumps({key: self.recipe.to_dict()[key] for key in _DECIDES[name]}))
        if ours != json.loads(state["recipe"]):
            raise ValueError(f"the {name} in the run's folder is of another recipe; choose another folder")
        for part in _LEAVES[name]:
            self._parts()[part].load_state_dict(state[part])
        self.step += self.recipe.stages[name].steps

    def load(self, path: Path, may_differ: tuple[str, ...] = ()) -> None:
        """Go on from a file of :meth:`save`.

        Raises:
            ValueError: it is of another recipe.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        ours, theirs = json.loads(json.dumps(self.recipe.to_dict())), json.loads(state["recipe"])
        if any(ours[key] != theirs.get(key) for key in ours if key not in may_differ):
            raise ValueError("the checkpoint is of another recipe; choose another folder")
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = int(state["step"])


def learning_share(within: int, steps: int) -> float:
    """Share of a stage's rate at a step: up over a twentieth of the stage, then down to zero as a cosine."""
    warmup = max(1, steps // 20)
    if within < warmup:
        return (within + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (within - warmup) / max(1, steps - warmup)))


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
        ValueError: a checkpoint is of another recipe, or no patient is left to train on.
    """
    pairs = [pair for pair in read_pairs(Path(recipe.data)) if pair.patient not in recipe.held_out]
    if not pairs:
        raise ValueError("no patient is left to train on")
    state = LIDnetRun(recipe, pairs, "cuda" if torch.cuda.is_available() else "cpu")
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / (f"checkpoint_{only}.pt" if only else "checkpoint.pt")
    if checkpoint.is_file():
        state.load(checkpoint)
    elif only is not None:
        state.step = state.first_step(only)
    elif start is not None:
        state.load(start / "before_joint.pt", may_differ=_JOINT_ONLY)
    _write(run / "recipe.json", json.dumps(recipe.to_dict(), indent=1))
    before_joint = state.first_step("joint")
    last = state.first_step(only) + recipe.stages[only].steps if only else state.steps
    started, recent = time.monotonic(), []
    while state.step < last:
        name, _, within, _ = state.place(state.step)
        if within == 0 and only is None and (run / f"{name}.pt").is_file():
            state.take_stage(run / f"{name}.pt", name)
            if state.step == before_joint:
                state.save(run / "before_joint.pt")
            continue
        recent.append(state.advance())
        if state.step % log_every == 0 or state.step == before_joint:
            keys = sorted({key for record in recent for key in record})
            means = {key: round(float(np.mean([r[key] for r in recent if key in r])), 4) for key in keys}
            _log(run, {"step": state.step, "stage": name, **means, "seconds": round(time.monotonic() - started, 1)})
            recent.clear()
        if state.step == before_joint and only is None:
            state.save(run / "before_joint.pt")
        if state.step % save_every == 0 or state.step == last:
            state.save(checkpoint)
    if only is not None:
        state.save_stage(run / f"{only}.pt", only)
        return state
    for name, network in (("denoiser", state.averaged), ("detector", state.detector), ("judge", state.judge)):
        _save_weights(run / f"{name}.safetensors", network)
    return state


def _save_weights(path: Path, network: nn.Module) -> None:
    from safetensors.torch import save_file

    partial = path.with_suffix(".partial")
    save_file({k: v.contiguous().cpu() for k, v in network.state_dict().items()}, partial)
    partial.replace(path)


def _log(run: Path, record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)
    with (run / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(record) + "\n")


def _write(path: Path, content: str) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")  # two stages may begin at the same moment
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)


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
    main()
