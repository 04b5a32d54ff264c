"""A training recipe: everything that decides the weights, read from one YAML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from CTQualityAssessmentLib.models.bundles import PICTURES

from Training.data.augment import AUGMENTATIONS
from Training.data.folds import SPLITS
from Training.head import HeadFit


@dataclass(frozen=True)
class Phase:
    """A stretch of training: ``steps`` of ``batch`` images, cropped to ``crop`` pixels or whole.

    The peak rate is ``lr``, and ``head`` times that for the head, which reads ready-made statistics beside the tokens.
    It falls to zero as a cosine, ``cycles`` times.
    """

    steps: int
    batch: int
    lr: float
    crop: int | None = None
    head: float = 1.0
    cycles: int = 1


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        name: of the bundle that comes out.
        data: folder in the LDCTIQAG2023 layout.
        held_out: patients never trained on, in no fold.
        picture: "whole" for the images as they are, "patient" for the patient alone, see
            :mod:`CTQualityAssessmentLib.assessment.picture`.
        folds: number of folds; ``fold``: which one validates, None trains on all of them.
        split: how folds are made: "patients", "stratified" (by score alone) or "similar slices".
        start: bundle, or folder of a finished run, whose weights the run begins with; None draws them. With it a recipe
            may have no phases, and fits the head alone.
        network: ``size`` and overrides for :func:`clinreadnet`.
        loss: arguments of :class:`HRPSLoss`.
        phases: one after another; the rate rises over ``warmup`` steps of each and falls to zero as a cosine.
        optimiser: "adamw" or "nadam"; ``weight_decay``: of matrices.
        augmentation: "exact" moves pixels only; "affine" also turns, scales and shifts mildly, as entrants did.
        select_every: keep, of the weights after so many steps each, those with the best sum on the validation fold.
        ema: decay of the averaged weights, which are the ones that are kept.
        clip: largest gradient norm.
        precision: "bf16", "no", or "auto": bf16 where the hardware computes in it, elsewhere it is many times slower.
        head_fit: the last step, see :mod:`Training.head`; None leaves the head as the phases trained it.
        seed: of weights, order, augmentation and dropout.
    """

    name: str
    data: str
    phases: tuple[Phase, ...]
    held_out: tuple[str, ...] = ()
    folds: int = 5
    fold: int | None = None
    split: str = "patients"
    picture: str = "whole"
    start: str | None = None
    network: dict[str, Any] = field(default_factory=lambda: {"size": "small"})
    loss: dict[str, float] = field(default_factory=dict)
    optimiser: str = "adamw"
    augmentation: str = "exact"
    select_every: int | None = None
    weight_decay: float = 0.02
    warmup: int = 100
    ema: float = 0.995
    clip: float = 1.0
    precision: str = "auto"
    head_fit: HeadFit | None = None
    seed: int = 1

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[Phase, int]:
        """The phase that a step belongs to, and the step within it."""
        for phase in self.phases:
            if step < phase.steps:
                return phase, step
            step -= phase.steps
        raise IndexError("step beyond the recipe")

    def images_before(self, step: int) -> int:
        """How many images the steps before this one used."""
        images = 0
        for phase in self.phases:
            images += phase.batch * min(step, phase.steps)
            step = max(0, step - phase.steps)
        return images

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for logs and bundles."""
        return asdict(self)


def read_recipe(path: Path, overrides: dict[str, Any] | None = None) -> Recipe:
    """Reads a YAML recipe, or the JSON one of a run folder.

    Raises:
        ValueError: an unknown field or choice, or no phases.
    """
    values = {**yaml.safe_load(path.read_text(encoding="utf-8")), **(overrides or {})}
    unknown = set(values) - {f.name for f in fields(Recipe)}
    if unknown:
        raise ValueError(f"unknown fields in the recipe: {', '.join(sorted(unknown))}")
    if values.get("picture", "whole") not in PICTURES:
        raise ValueError(f"picture is one of {', '.join(PICTURES)}")
    values["phases"] = tuple(Phase(**phase) for phase in values["phases"])
    if values.get("head_fit") is not None:
        values["head_fit"] = HeadFit(**values["head_fit"])
    values["held_out"] = tuple(values.get("held_out", ()))
    if not values["phases"] and not (values.get("start") and values.get("head_fit")):
        raise ValueError("a recipe needs at least one phase")
    recipe = Recipe(**values)
    for name, allowed in (("split", SPLITS), ("optimiser", ("adamw", "nadam")), ("augmentation", AUGMENTATIONS)):
        if getattr(recipe, name) not in allowed:
            raise ValueError(f"{name} is one of {', '.join(allowed)}, not {getattr(recipe, name)!r}")
    return recipe
