"""``python -m CTQualityAssessmentLib.viewer [PATH]``: ``ctqa view`` with its defaults."""

from __future__ import annotations

import sys
from pathlib import Path

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.viewer.server import Start, run

if __name__ == "__main__":
    try:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else None
        run(Start(path, say=lambda line: print(line, flush=True)))  # noqa: T201
    except CTQAError as error:
        sys.exit(f"Error: {error}")
