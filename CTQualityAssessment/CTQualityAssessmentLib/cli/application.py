"""The application that the commands join, its exit codes, and the arguments that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.cli.terminal import console

EXIT_CODES = (
    "Exit codes: 0 done; 1 error; 2 wrong usage; 3 no score, because the input cannot be read as CT or every slice was "
    "refused; 130 cancelled with Ctrl-C, what was scored by then is kept and marked partial."
)

app = typer.Typer(
    name="ctqa",
    help="Image quality of CT without a reference: a score from 0 to 4 for every slice. A research tool, not a medical "
    "device.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

InputPath = Annotated[
    Path, typer.Argument(metavar="PATH", help="DICOM folder, zip or file; NIfTI, NRRD, MHA/MHD or challenge TIFF.")
]
SeriesChoice = Annotated[
    str | None,
    typer.Option(
        metavar="N", help="Number of the series in 'ctqa info', or its UID; else the CT stack with most slices."
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(f"ctqa {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Version.")] = False,
) -> None:
    pass
