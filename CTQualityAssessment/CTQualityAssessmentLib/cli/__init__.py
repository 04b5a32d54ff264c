"""``ctqa``: assess a CT, measure it, look at an input, list the models. Everything stays on this computer,
except what 'ctqa pacs --send' is asked to send.

One file a command; heavy packages are imported inside the commands, so that ``ctqa --help`` answers at once.
"""

from __future__ import annotations

from CTQualityAssessmentLib.cli import (  # noqa: F401  (each adds one)
    assess,
    batch,
    denoise,
    info,
    measure,
    models,
    pacs,
    pacs_watch,
    record,
    view,
)
from CTQualityAssessmentLib.cli.application import app


def main() -> None:
    """Entry point of the ``ctqa`` command."""
    app()
