"""The page: its state at the start, and its one component with the views in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trame.ui.html import DivLayout
from trame_server import Server

from CTQualityAssessmentLib.viewer.shown import denoisers_of, models_of, palette
from CTQualityAssessmentLib.viewer.views import PLACES, PRESETS

_STATIC = Path(__file__).with_name("static")
_PAGE = "<ctqa-page {bindings} @ask='(name, args) => trigger(name, args)'>{views}</ctqa-page>"
_LOST = "<ctqa-lost></ctqa-lost>"

#: Scripts and styles of the page, as trame takes them.
MODULE: dict[str, Any] = {
    "serve": {"ctqa": str(_STATIC)},
    "scripts": [
        f"ctqa/{name}.js"
        for name in ("curve", "slice_table", "measures", "comparison", "denoising", "keys", "transfers", "page")
    ],
    "styles": ["ctqa/page.css"],
    "vue_use": ["ctqa"],
}


def first_state(model: str | None) -> dict[str, Any]:
    """The state before anything is open; models as by :func:`~CTQualityAssessmentLib.viewer.shown.models_of`."""
    models, chosen, error = models_of(model)
    denoisers, denoiser = denoisers_of()
    return {
        "opened": None,
        "series": {"items": [], "chosen": 0},
        "panes": [{"place": place, "orientation": "", "sides": "    "} for place in PLACES],
        "layout": "three",
        "alone": "large",
        "busy": None,
        "error": error,
        "notes": [],
        "rows": [],
        "result": None,
        "measured": None,
        "compared": None,
        "denoised": None,
        "flipped": False,
        "denoisers": denoisers,
        "denoiser": denoiser,
        "here": 0,
        "levels": [0, 0],
        "presets": [list(pair) for pair in PRESETS],
        "overlays": [],
        "overlay": "",
        "legend": None,
        "opacity": 0.4,
        "threshold": None,
        "span": 0,
        "crosshair": True,
        "models": models,
        "model": chosen,
        "palette": palette("quality"),
        "diverging": palette("difference"),
    }


def make_page(server: Server, names: list[str]) -> None:
    """Bind the named parts of the state to the page's component, and put the views into it."""
    bindings = " ".join(f':{name}="{name}"' for name in names)
    views = "".join(f'<template #{place}><trame-template template-name="{place}" /></template>' for place in PLACES)
    with DivLayout(server, classes="ctqa-root") as layout:
        layout.root.add_child(_PAGE.format(bindings=bindings, views=views))
    server.state.trame__template_error = _LOST
