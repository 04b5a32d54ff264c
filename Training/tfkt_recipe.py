"""A recipe for TFKT: everything that decides the weights, read from one YAML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from CTQualityAssessmentLib.networks.tfkt import SIZES, TfktConfig

from Training.data.folds import SPLITS

#: Data of stage A that needs no folder, see :mod:`Training.data.photographs`.
PHOTOGRAPHS = "photographs"


@dataclass(frozen=True)
class Stage:
    """A stretch of training: ``batch`` images, cropped to ``crop`` pixels or whole, at most at the rate ``lr``.

    Either so many ``steps``, or ``epochs`` of the data.
    """

    batch: int
    lr: float
    steps: int | None = None
    epochs: int | None = None
    crop: int | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("a stage has either steps or epochs")

    def steps_of(self, images: int) -> int:
        """Optimiser steps with so many images."""
        return self.steps if self.steps is not None else (self.epochs or 0) * -(-images // self.batch)


@dataclass(frozen=True)
class TfktRecipe:
    """One training run.

    Attributes:
        name: of the bundle that comes out.
        data: folder in the LDCTIQAG2023 layout.
        stem: stage B, the convolutions on CT with a new stem and one linear output.
        hybrid: stage C, all three parts on CT.
        natural: stage A, the convolutions on natural images; None leaves it out.
        natural_data: folder of KADID-10k, TID2013 or KonIQ-10k in its published layout, or "photographs".
        held_out: patients never trained on, in no fold.
        labels: how many labelled CT images are used, drawn at random; None for all.
        folds: number of folds; ``fold``: which one validates, None trains on all of them.
        split: how folds are made, one of :data:`Training.data.folds.SPLITS`.
        network: ``size``, one of :data:`SIZES`, and fields of :class:`TfktConfig` that differ from it.
        ema: decay of the averaged weights, which are the ones that are kept; 0 keeps the last ones.
        select: whether the stages on CT keep the weights of their best validation error instead, as published; it needs
            a fold.
        calibrate: on so many whole training images the last layer is scaled and shifted in the end, because a network
            that was trained on crops is off on whole slices, where there is more air; 0 for none.
        warmup: steps of each stage over which the rate rises; it then falls to zero as a cosine.
        clip: largest gradient norm.
        precision: see :class:`Training.loop.Loop`.
        seed: of weights, order, augmentation and dropout.
    """

    name: str
    data: str
    stem: Stage
    hybrid: Stage
    natural: Stage | None = None
    natural_data: str = PHOTOGRAPHS
    held_out: tuple[str, ...] = ()
    labels: int | None = None
    folds: int = 10
    fold: int | None = None
    split: str = "patients"
    network: dict[str, Any] = field(default_factory=lambda: {"size": "compact"})
    ema: float = 0.0
    select: bool = False
    calibrate: int = 0
    warmup: int = 0
    clip: float = 1.0
    precision: str = "auto"
    seed: int = 1

    @property
    def size(self) -> str:
        """One of :data:`SIZES`."""
        return str(self.network.get("size", "compact"))

    @property
    def natural_words(self) -> str | None:
        """What stage A was trained on, for a card; None without it."""
        if self.natural is None:
            return None
        if self.natural_data == PHOTOGRAPHS:
            return "graded distortions of photographs that come with scikit-image"
        return f"the rated images of '{Path(self.natural_data).name}'"

    @property
    def config(self) -> TfktConfig:
        """Shape of the network.

        Raises:
            ValueError: an unknown size or field.
        """
        if self.size not in SIZES:
            raise ValueError(f"TFKT comes in the sizes {', '.join(SIZES)}, not {self.size!r}.")
        overrides = {name: value for name, value in self.network.items() if name != "size"}
        return TfktConfig.from_dict({**SIZES[self.size].to_dict(), **overrides})

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for logs and bundles."""
        return asdict(self)

    def stage_a(self) -> dict[str, Any]:
        """What decides the weights of stage A, so that another run can begin with them."""
        fields_ = ("natural", "natural_data", "network", "ema", "warmup", "clip", "seed")
        return {name: value for name, value in self.to_dict().items() if name in fields_}


def read_tfkt_recipe(path: Path, overrides: dict[str, Any] | None = None) -> TfktRecipe:
    """Reads a YAML recipe, or the JSON one of a run folder.

    Raises:
        ValueError: a field is unknown or missing, or best weights are wanted without a fold to judge them.
    """
    values = {**yaml.safe_load(path.read_text(encoding="utf-8")), **(overrides or {})}
    unknown = set(values) - {f.name for f in fields(TfktRecipe)}
    missing = {"name", "data", "stem", "hybrid"} - set(values)
    if unknown or missing:
        raise ValueError(f"fields of the recipe that are unknown or missing: {', '.join(sorted(unknown | missing))}")
    for name in ("natural", "stem", "hybrid"):
        if values.get(name) is not None:
            values[name] = Stage(**values[name])
    values["held_out"] = tuple(values.get("held_out", ()))
    recipe = TfktRecipe(**values)
    if recipe.select and recipe.fold is None:
        raise ValueError("a recipe that keeps the best weights needs a fold to judge them on")
    if recipe.split not in SPLITS:
        raise ValueError(f"folds are made by {', '.join(SPLITS)}, not {recipe.split!r}")
    return recipe


def is_tfkt(recipe: Path) -> bool:
    """Whether a recipe is one of TFKT."""
    return "hybrid" in yaml.safe_load(recipe.read_text(encoding="utf-8"))
