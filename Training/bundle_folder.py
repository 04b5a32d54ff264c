"""Writes a model bundle: weights as safetensors, metadata, card and licence, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

#: Where the bundles that ship with the repository lie, and how large one may be there.
SHIPPED = Path(__file__).parents[1] / "CTQualityAssessment" / "Resources" / "Models"
SIZE_LIMIT = 8 * 2**20


def write_bundle(
    parent: Path,
    recipe: dict[str, Any],
    tensors: dict[str, Tensor],
    metadata: Callable[[str], dict[str, Any]],
    card: Callable[[dict[str, Any]], str],
    inference: dict[str, Any],
) -> Path:
    """Writes ``parent/<name of the recipe>`` and returns it; an older one is replaced at the end.

    Args:
        parent: folder of the bundles.
        recipe: what the run was made with; it has "name" and "data".
        tensors: the weights, as they are stored.
        metadata: gives ``metadata.json`` for the SHA-256 of the weights.
        card: gives ``docs/README.md`` for the metadata.
        inference: ``inference.json``.

    Raises:
        ValueError: the weights are too large to ship.
    """
    from safetensors.torch import save_file

    partial = parent / f".{recipe['name']}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    for folder in ("configs", "models", "docs"):
        (partial / folder).mkdir(parents=True)
    file = partial / "models" / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    file.chmod(0o644)  # safetensors writes for the owner alone
    if parent.resolve() == SHIPPED.resolve() and file.stat().st_size > SIZE_LIMIT:
        raise ValueError(f"the weights take {file.stat().st_size} bytes, more than a shipped bundle may")
    described = metadata(hashlib.sha256(file.read_bytes()).hexdigest())
    # The names of the folders alone: their paths may hold a user's name.
    folders = {key: Path(recipe[key]).name for key in ("data", "start") if recipe.get(key)}
    trained = {"recipe": {**recipe, **folders}, "run": "$None"}
    for name, content in {
        "configs/metadata.json": json.dumps(described, indent=2),
        "configs/inference.json": json.dumps(inference, indent=2),
        "configs/train.json": json.dumps(trained, indent=2),
        "docs/README.md": card(described),
    }.items():
        (partial / name).write_text(content + "\n", encoding="utf-8")
    shutil.copy(Path(__file__).parents[1] / "LICENSE", partial / "LICENSE")
    target = parent / recipe["name"]
    if target.exists():
        shutil.rmtree(target)
    partial.rename(target)
    return target
