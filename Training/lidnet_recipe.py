"""A recipe for LIDnet: everything that decides the weights, read from one YAML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Stage:
    """A stretch of training: ``steps`` of ``batch`` crops of ``crop`` pixels, at most at the rate ``lr``."""

    steps: int
    batch: int
    crop: int
    lr: float


@dataclass(frozen=True)
class LIDnetRecipe:
    """One training run.

    Attributes:
        name: of the bundle that comes out.
        data: folder of :mod:`Training.data.dose_pairs`.
        held_out: patients never trained on.
        denoiser: network, "light-denoiser" or "red-cnn"; ``denoiser_config``: what differs from its defaults.
        detector_config: what differs from the detector's defaults.
        detector_stage: the detector alone, on full dose and on images without noise. What comes out judges, frozen.
        denoiser_stage: the denoiser alone, with its own loss.
        joint_stage: LIDnet, both together.
        roi, detection: weights of the joint loss; both 0 train the baseline for as long.
        retention: weight of :func:`~Training.losses.lidnet.retention_loss` in the joint stage.
        detector_every: a step of the detector after so many of the denoiser; 0 keeps the detector frozen.
        detector_lr: of the detector in the joint stage.
        ema: decay of the averaged denoiser, the one that is kept.
        clip: largest gradient norm.
        seed: of weights and crops.
    """

    name: str
    data: str
    detector_stage: Stage
    denoiser_stage: Stage
    joint_stage: Stage
    held_out: tuple[str, ...] = ()
    denoiser: str = "light-denoiser"
    denoiser_config: dict[str, Any] = field(default_factory=dict)
    detector_config: dict[str, Any] = field(default_factory=dict)
    roi: float = 1.0
    detection: float = 0.5
    retention: float = 0.0
    detector_every: int = 4
    detector_lr: float = 3.0e-4
    ema: float = 0.99
    clip: float = 1.0
    seed: int = 1

    @property
    def stages(self) -> dict[str, Stage]:
        """The three stages in their order, by name."""
        return {"detector": self.detector_stage, "denoiser": self.denoiser_stage, "joint": self.joint_stage}

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for logs and bundles."""
        return asdict(self)


def read_lidnet_recipe(path: Path, overrides: dict[str, Any] | None = None) -> LIDnetRecipe:
    """Reads a YAML recipe, or the JSON one of a run folder.

    Raises:
        ValueError: a field is unknown or missing, or a weight is negative.
    """
    values = {**yaml.safe_load(path.read_text(encoding="utf-8")), **(overrides or {})}
    known = {f.name for f in fields(LIDnetRecipe)}
    unknown = set(values) - known
    missing = {"name", "data", "detector_stage", "denoiser_stage", "joint_stage"} - set(values)
    if unknown or missing:
        raise ValueError(f"fields of the recipe that are unknown or missing: {', '.join(sorted(unknown | missing))}")
    for stage in ("detector_stage", "denoiser_stage", "joint_stage"):
        values[stage] = Stage(**values[stage])
    values["held_out"] = tuple(values.get("held_out", ()))
    recipe = LIDnetRecipe(**values)
    if min(recipe.roi, recipe.detection, recipe.retention, recipe.detector_every) < 0:
        raise ValueError("the weights of the joint loss and detector_every are 0 or more")
    return recipe
