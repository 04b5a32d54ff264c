"""What every page of results is made of: its template, and pictures and colours inside the file."""

from __future__ import annotations

import base64
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = Path(__file__).with_name("templates")


@lru_cache(maxsize=4)
def page_template(name: str, *folders: Path) -> Template:
    """A template that escapes what it is given and fails on what it is not given.

    Compiled once: a batch writes hundreds of pages in one process.

    Args:
        name: its file.
        folders: where it and what it includes are looked for, by default here.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders or TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def can_draw() -> bool:
    """Whether there is a matplotlib; 3D Slicer has none unless someone installed it."""
    return importlib.util.find_spec("matplotlib") is not None


def data_uri(kind: str, content: bytes | str) -> str:
    """An image of MIME type ``image/kind`` as an address that holds it."""
    raw = content.encode("utf-8") if isinstance(content, str) else content
    return f"data:image/{kind};base64,{base64.b64encode(raw).decode('ascii')}"


def css_gradient(colours: Any) -> str:
    """A CSS gradient from left to right through colours of ``(n, 3)`` in 0 ... 1."""
    steps = ", ".join("#" + "".join(f"{round(255 * part):02x}" for part in colour) for colour in colours)
    return f"linear-gradient(to right, {steps})"
