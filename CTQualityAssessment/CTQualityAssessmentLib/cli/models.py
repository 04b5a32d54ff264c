"""``ctqa models``: what is installed, and whether it is whole."""

from __future__ import annotations

import typer

from CTQualityAssessmentLib.cli.application import EXIT_CODES, app
from CTQualityAssessmentLib.cli.terminal import EXIT_FAULT, console, plain_errors
from CTQualityAssessmentLib.errors import CTQAError


@app.command(epilog=EXIT_CODES)
def models() -> None:
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
                console.print(f"{name}: UNUSABLE: {error}")
                continue
            default = " (default)" if name in (DEFAULT_BUNDLE, DEFAULT_DENOISER) else ""
            console.print(f"{name} {bundle.version}{default}: weights verified")
            console.print(f"  {bundle.description}")
            console.print(f"  {bundle.statement}")
            console.print(f"  network {bundle.network}, window {bundle.window}, SHA-256 {bundle.sha256}")
        if damaged:
            raise typer.Exit(EXIT_FAULT)
