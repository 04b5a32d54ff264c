"""``ctqa``: assess a CT, measure it, look at an input, list the models. Everything stays on this computer,
except what 'ctqa pacs --send' is asked to send.

One file a command; heavy packages are imported inside the commands, so that ``ctqa --help`` answers at once.
"""

from __future__ import annotations

import os

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
from CTQualityAssessmentLib.errors import NO_MEMORY, is_out_of_memory


def main() -> None:
    """Entry point of the ``ctqa`` command."""
    # Processes of dask would look for modules in the current folder first, which may be one of somebody's images.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        app()
    except Exception as error:
        # So short that what tells errors could not be loaded or did not come to its end: without anybody's help.
        if not is_out_of_memory(error):
            raise
        os.write(2, f"Error: {' '.join(NO_MEMORY)}\n".encode())
        raise SystemExit(1) from None
