"""``ctqa models``: what is installed, and whether it is whole."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from CTQualityAssessmentLib.cli.application import EXIT_CODES, app
from CTQualityAssessmentLib.cli.terminal import EXIT_FAULT, console, plain_errors
from CTQualityAssessmentLib.errors import CTQAError

#: What is told of a bundle, beside its name and whether its weights are whole.
_SHOWN = ("version", "description", "statement", "network", "window", "sha256")


@app.command(epilog=EXIT_CODES)
def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as JSON instead.")] = False,
) -> None:
    """List the installed models and check their weights against their SHA-256."""
    from CTQualityAssessmentLib.models import (
        DEFAULT_BUNDLE,
        DEFAULT_DENOISER,
        installed_bundles,
        read_bundle,
        verify_bundle,
    )

    with plain_errors():
        damaged = False
        found = []
        installed = installed_bundles()
        if not installed:
            raise CTQAError(
                "No model is installed.", "Install CTQualityAssessment again or set CTQA_MODELS to a folder."
            )
        for name, folder in installed.items():
            try:
                bundle = read_bundle(folder)
                verify_bundle(bundle)
            except CTQAError as error:
                damaged = True
                found.append({"name": name, "verified": False, "problem": str(error)})
                if not as_json:
                    console.print(f"{name}: UNUSABLE: {error}")
                continue
            is_default = name in (DEFAULT_BUNDLE, DEFAULT_DENOISER)
            of_bundle = {key: getattr(bundle, key) for key in _SHOWN}
            found.append({"name": name, "verified": True, "default": is_default, **of_bundle})
            if as_json:
                continue
            console.print(f"{name} {bundle.version}{' (default)' if is_default else ''}: weights verified")
            console.print(f"  {bundle.description}")
            console.print(f"  {bundle.statement}")
            console.print(f"  network {bundle.network}, window {bundle.window}, SHA-256 {bundle.sha256}")
        if as_json:
            sys.stdout.write(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
        if damaged:
            raise typer.Exit(EXIT_FAULT)
