"""A recipe of CMMIQA: everything that decides the weights, read from one YAML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from CTQualityAssessmentLib.networks.cmmiqa import CMMIQAConfig, compact_config

from Training.loop import RunError, cosine_share

_SIZES = ("full", "compact")
_SCHEDULES = ("step", "cosine")


@dataclass(frozen=True)
class CMMIQARecipe:
    """One training run.

    Attributes:
        name: of the bundle that comes out.
        data: list of volumes, see :mod:`Training.data.volume_list`.
        epochs: passes over the volumes.
        batch: volumes in a step.
        held_out: patients never trained on.
        network: ``size`` ("full" or "compact") and overrides of its configuration.
        window: of CT.
        input_size: pixels of a slice's longer side.
        crop: slices, rows and columns of a training volume; smaller ones are mirrored up to it.
        last_crop: the same for the last ``last_share`` of the steps: every token attends to all others, of which
            a whole volume has more; large crops take long; None for no such steps.
        score_max: best score of the list's scale.
        lr: peak learning rate; "step" multiplies it by 0.75 after each epoch, "cosine" lets it fall to zero.
        plcc: weight of ``1 - PLCC`` of the batch beside the squared error.
        outside: weight of the share of the weight map that lies where there is no patient.
        weight_decay, ema, clip, precision, seed: as in :class:`Training.recipe.Recipe`.
    """

    name: str
    data: str
    epochs: int = 30
    batch: int = 4
    held_out: tuple[str, ...] = ()
    network: dict[str, Any] = field(default_factory=lambda: {"size": "full"})
    window: str = "ldctiqa"
    input_size: int = 224
    crop: tuple[int, int, int] = (32, 224, 224)
    last_crop: tuple[int, int, int] | None = None
    last_share: float = 0.15
    score_max: float = 1.0
    lr: float = 1e-4
    schedule: str = "step"
    plcc: float = 0.0
    outside: float = 0.05
    weight_decay: float = 0.01
    ema: float = 0.99
    clip: float = 1.0
    precision: str = "auto"
    seed: int = 1

    def config(self) -> CMMIQAConfig:
        """Shape of the network."""
        overrides = {k: v for k, v in self.network.items() if k != "size"}
        overrides = {k: tuple(v) if isinstance(v, list) else v for k, v in overrides.items()}
        return compact_config(**overrides) if self.network.get("size") == "compact" else CMMIQAConfig(**overrides)

    def crop_at(self, step: int, steps: int) -> tuple[int, int, int]:
        """Size of the crops of a step out of ``steps``."""
        return self.last_crop if self.last_crop and step >= steps * (1 - self.last_share) else self.crop

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step out of ``steps``."""
        if self.schedule == "cosine":
            return self.lr * cosine_share(step, steps, min(50, steps // 10))
        return self.lr * 0.75 ** (step * self.epochs // steps)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for logs and bundles."""
        return asdict(self)


def read_cmmiqa_recipe(path: Path, overrides: dict[str, Any] | None = None) -> CMMIQARecipe:
    """Reads a YAML recipe, or the JSON one of a run folder.

    Raises:
        RunError: an unknown field or an impossible value.
    """
    values = {**yaml.safe_load(path.read_text(encoding="utf-8")), **(overrides or {})}
    unknown = sorted(set(values) - {f.name for f in fields(CMMIQARecipe)})
    if unknown:
        raise RunError(f"The recipe has fields that nobody knows: {', '.join(unknown)}.", "Remove them.")
    for name in ("held_out", "crop", "last_crop"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    try:
        recipe = CMMIQARecipe(**values)
        recipe.config()
    except (TypeError, ValueError) as error:
        raise RunError(f"The recipe is not possible: {error}", "Correct it.") from error
    if recipe.schedule not in _SCHEDULES or recipe.network.get("size", "full") not in _SIZES:
        raise RunError(
            "The recipe names an unknown schedule or size.",
            f"Schedules are {', '.join(_SCHEDULES)}; sizes {', '.join(_SIZES)}.",
        )
    return recipe
