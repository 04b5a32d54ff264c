"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; what was written takes the place of ``path`` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # two processes may write at the same moment
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """A text file in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(content, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """A JSON file, indented."""
    write_text(path, json.dumps(value, indent=1))


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A safetensors file, from tensors on any device."""
    from safetensors.torch import save_file

    with replacing(path) as partial:
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}, partial)
        partial.chmod(0o644)  # safetensors writes for the owner alone
