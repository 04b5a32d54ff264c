"""The page: its state at the start, and its one component with room for the views.

It is there before the libraries of the views are loaded, so nothing here may need them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trame.ui.html import DivLayout
from trame_rca import module as rca_module
from trame_server import Server
from trame_server.protocol import CoreServer
from wslink import register

from CTQualityAssessmentLib.viewer.board import busy
from CTQualityAssessmentLib.viewer.places import PLACES, PRESETS
from CTQualityAssessmentLib.viewer.shown import denoisers_of, models_of, palette

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
        "busy": busy("Starting"),
        "error": None,
        # Of its own: an error goes with the next task, and this stays true.
        "damaged": f"{error['problem']} {error['advice']}" if error is not None else "",
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


class _AskOnly(CoreServer):
    """trame lets a page set all of the state, of which the server believes that it set it. Ours only ask."""

    @register("trame.state.update")
    def update_state(self, changes: object) -> None:
        """Nothing."""


def open_page(server: Server, model: str | None) -> None:
    """Give a server, not yet started, its page; the views come into it later.

    Args:
        server: trame's.
        model: as of :func:`first_state`.
    """
    shown = first_state(model)
    server.state.update({"trame__title": "CT quality", "trame__favicon": None, **shown})
    server.add_protocol_to_configure(_refuse_state)
    server.enable_module(rca_module)
    server.enable_module(MODULE)
    bindings = " ".join(f':{name}="{name}"' for name in shown)
    views = "".join(f'<template #{place}><trame-template template-name="{place}" /></template>' for place in PLACES)
    with DivLayout(server, classes="ctqa-root") as layout:
        layout.root.add_child(_PAGE.format(bindings=bindings, views=views))
    server.state.trame__template_error = _LOST


def _refuse_state(core: CoreServer) -> None:
    core.__class__ = _AskOnly  # trame makes the object itself, and offers no other class for it
