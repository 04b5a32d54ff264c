"""``ctqa view``: the viewer in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from CTQualityAssessmentLib.cli.application import SeriesChoice, app
from CTQualityAssessmentLib.cli.terminal import console, error_console, plain_errors


@app.command()
def view(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="CT as for 'assess', a scene.mrb, or a folder of results with one."),
    ] = None,
    series: SeriesChoice = None,
    compare: Annotated[Path | None, typer.Option(metavar="PATH", help="A second CT to compare with.")] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model to begin with, see 'ctqa models'.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False,
    upload_limit: Annotated[int, typer.Option(min=1, metavar="MIB", help="Largest upload in MiB.")] = 4096,
) -> None:
    """Open the viewer in a browser: look, assess, jump to the worst slice, save. Only this computer can reach it."""
    with plain_errors():
        from CTQualityAssessmentLib.viewer.server import Start, run

        start = Start(
            path,
            series=series,
            second=compare,
            model=model,
            device=device,
            port=port,
            open_browser=not no_browser,
            upload_limit_mib=upload_limit,
            say=console.print,
            warn=error_console.print,
        )
        run(start)
