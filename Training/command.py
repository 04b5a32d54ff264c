"""Ends a command as its user expects: one sentence and exit code 1 for what was refused, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from CTQualityAssessmentLib.errors import CTQAError


def run_command(main: Callable[[], None]) -> None:
    """Calls ``main`` and exits with the code of the :class:`CTQAError` that it raises, after printing it."""
    try:
        main()
    except CTQAError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
