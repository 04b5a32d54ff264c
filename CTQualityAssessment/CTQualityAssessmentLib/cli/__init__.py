"""``ctqa``: assess a CT, measure it, look at an input, list the models. Everything stays on this computer.

One file a command; heavy packages are imported inside the commands, so that ``ctqa --help`` answers at once.
"""

from __future__ import annotations

from CTQualityAssessmentLib.cli import assess, batch, denoise, info, measure, models, view  # noqa: F401  (each adds one)
from CTQualityAssessmentLib.cli.application import app


def main() -> None:
    """Entry point of the ``ctqa`` command."""
    app()
