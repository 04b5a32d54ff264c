"""What every training run has in common: steps, checkpoints, averaged weights, log, precision, several processes.

A run is a folder with ``recipe.json``, ``log.jsonl`` and ``checkpoint.pt``; calling the same command again goes on from
the checkpoint and arrives at the same weights, as long as what a step does is a function of seed and step alone.
Several processes (``torchrun`` or ``accelerate launch``) share each batch and average their gradients::

    loop = Loop(run, recipe.to_dict(), seed=recipe.seed, precision=recipe.precision)   # before the networks: it seeds
    network, averaged = loop.with_average(lambda: Network(...))
    optimiser = torch.optim.AdamW(network.parameters())
    loop.keep(network=network, averaged=averaged, optimiser=optimiser)                  # what checkpoints hold
    loop.resume()
    loop.run(one_step, until=recipe.steps)                                              # step -> what to log
    loop.save_weights("weights", averaged)
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from CTQualityAssessmentLib.errors import CTQAError
from torch import Tensor, nn

from Training.whole_files import replacing, write_json, write_tensors

Network = TypeVar("Network", bound=nn.Module)


class RunError(CTQAError):
    """The run cannot begin or go on."""


class Diverged(RunError):
    """The loss is not a finite number any more."""


class Loop:
    """Steps, checkpoints and log of one run.

    Args:
        run: folder of the run; it is made by :meth:`resume`.
        recipe: plain types, everything that decides the weights; a checkpoint of another recipe is refused.
        seed: of the weights of the networks made next, and of what torch draws in each step.
        precision: "bf16", "no", or "auto": bf16 where the hardware computes in it, elsewhere it is many times slower.
        clip: largest gradient norm.
        log_every, save_every: steps.
        checkpoint: file name, for runs that have several.
    """

    def __init__(
        self,
        run: Path,
        recipe: dict[str, Any],
        *,
        seed: int = 1,
        precision: str = "no",
        clip: float = 1.0,
        log_every: int = 50,
        save_every: int = 200,
        checkpoint: str = "checkpoint.pt",
    ) -> None:
        self.run_folder, self.checkpoint = run, run / checkpoint
        self.recipe = json.loads(json.dumps(recipe))
        self.seed, self.clip = seed, clip
        self.log_every, self.save_every = log_every, save_every
        self.accelerator = Accelerator(mixed_precision=settled_precision(precision), cpu=not torch.cuda.is_available())
        self.step = 0
        self._parts: dict[str, Any] = {}
        self._started = time.monotonic()
        torch.manual_seed(seed)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.accelerator.device

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return self.accelerator.process_index

    @property
    def world(self) -> int:
        """How many processes share the run."""
        return self.accelerator.num_processes

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.accelerator.is_main_process

    def with_average(self, build: Callable[[], Network]) -> tuple[Network, Network]:
        """A new network, and a copy of it without gradients for :meth:`average`."""
        network, averaged = build(), build().requires_grad_(False)
        averaged.load_state_dict(network.state_dict())
        return network, averaged

    def keep(self, **parts: Any) -> None:
        """Networks and optimisers that checkpoints hold, by name; networks go to the device."""
        for part in parts.values():
            if isinstance(part, nn.Module):
                part.to(self.device)
        self._parts |= parts

    def resume(self) -> None:
        """Goes on from the checkpoint if there is one, and begins the run's log.

        Raises:
            RunError: the checkpoint is of another recipe.
        """
        if self.checkpoint.is_file():
            self.load(self.checkpoint)
        if self.is_main:
            write_json(self.run_folder / "recipe.json", self.recipe)
            self.log({"begin": self.step, **self._circumstances()})
        self.accelerator.wait_for_everyone()

    def run(self, one_step: Callable[[int], dict[str, float]], until: int, **label: str) -> None:
        """Steps until there are ``until`` of them.

        Args:
            one_step: does the step of a number and returns what to log, of this process alone.
            until: number of steps, counted from the beginning of the run.
            label: goes into each line of the log.
        """
        recent: list[dict[str, float]] = []
        while self.step < until:
            # Dropout of a step does not depend on what ran before; each process has its own.
            torch.manual_seed((self.seed * 1_000_003 + self.step) * 1009 + self.rank)
            recent.append(one_step(self.step))
            self.step += 1
            if not self.is_main:
                continue
            if self.step % self.log_every == 0 or self.step == until:
                keys = sorted({key for record in recent for key in record})
                means = {key: float(np.mean([r[key] for r in recent if key in r])) for key in keys}
                self.log({"step": self.step, **label, **{key: float(f"{means[key]:.4g}") for key in keys}})
                recent.clear()
            if self.step % self.save_every == 0 or self.step == until:
                self.save(self.checkpoint)

    def update(self, network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
        """One step of an optimiser down ``loss``, the mean over this process's share of the batch.

        Args:
            network: whose gradients are averaged over the processes and clipped together.
            optimiser: a group's rate is ``rate`` times its "factor", if it has one.
            loss: a scalar.
            rate: learning rate.

        Raises:
            Diverged: the loss is not finite; the weights are as they were.
        """
        if not torch.isfinite(loss):
            raise Diverged(f"The loss is not a finite number at step {self.step}.", "Lower the rate of the recipe.")
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)
        optimiser.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        if self.world > 1:
            self._average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, self.clip)
        optimiser.step()

    def _average_gradients(self, parameters: list[nn.Parameter]) -> None:
        # One message, and no wrapper around the networks: a step may use several of them, several times.
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        mean = self.accelerator.reduce(torch.cat([part.flatten() for part in parts]), reduction="mean")
        for parameter, part in zip(parameters, mean.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)

    def average(self, averaged: nn.Module, network: nn.Module, decay: float) -> None:
        """Moves the averaged weights towards those of the network; buffers are taken as they are."""
        with torch.no_grad():
            for mean, value in zip(averaged.parameters(), network.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
            for mine, theirs in zip(averaged.buffers(), network.buffers(), strict=True):
                mine.copy_(theirs)

    def gather(self, mine: list[Any]) -> list[Any]:
        """What each process has, dealt out like cards (``[rank::world]``), in one list in order, in every process."""
        hands = gather_object([mine])
        together: list[Any] = [None] * sum(map(len, hands))
        for rank, hand in enumerate(hands):
            together[rank :: self.world] = hand
        return together

    def save(self, path: Path) -> None:
        """Everything that is needed to go on."""
        state = {name: part.state_dict() for name, part in self._parts.items()}
        with replacing(path) as partial:
            torch.save({"step": self.step, "recipe": json.dumps(self.recipe, sort_keys=True), **state}, partial)

    def load(self, path: Path, may_differ: Collection[str] = ()) -> None:
        """Goes on from a file of :meth:`save`.

        Raises:
            RunError: it is of a recipe that differs in more than the fields ``may_differ``.
        """
        state = torch.load(path, map_location="cpu", weights_only=True)
        theirs = json.loads(state["recipe"])
        if any(self.recipe.get(key) != theirs.get(key) for key in {*self.recipe, *theirs} - set(may_differ)):
            raise RunError("The run folder holds a checkpoint of another recipe.", "Choose another folder with --out.")
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self.step = int(state["step"])

    def save_weights(self, name: str, network: nn.Module) -> None:
        """Writes ``name.safetensors``; only a run that is done has it."""
        if self.is_main:
            write_tensors(self.run_folder / f"{name}.safetensors", network.state_dict())

    def log(self, record: dict[str, Any]) -> None:
        """A line on standard output and in ``log.jsonl``, with the seconds since this call of the command began."""
        if not self.is_main:
            return
        line = json.dumps({**record, "seconds": round(time.monotonic() - self._started, 1)})
        print(line, flush=True)
        with (self.run_folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def _circumstances(self) -> dict[str, Any]:
        kind = torch.cuda.get_device_name() if self.device.type == "cuda" else platform.machine()
        return {
            "torch": torch.__version__,
            "device": f"{self.device.type} ({kind})",
            "processes": self.world,
            "precision": self.accelerator.mixed_precision,
        }


def settled_precision(precision: str) -> str:
    """The precision of a recipe; "auto" settled for this machine."""
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "bf16" if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported() else "no"


def cosine_share(step: int, steps: int, warmup: int) -> float:
    """Share of the peak rate at a step: up over ``warmup`` steps, then down to zero as a cosine."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
