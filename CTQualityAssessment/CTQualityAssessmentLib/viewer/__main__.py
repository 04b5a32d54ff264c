"""``python -m CTQualityAssessmentLib.viewer [PATH]``: ``ctqa view`` with its defaults."""

from __future__ import annotations

import sys
from pathlib import Path

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.viewer.server import run

if __name__ == "__main__":
    try:
        run(Path(sys.argv[1]) if len(sys.argv) > 1 else None, say=lambda line: sys.stdout.write(line + "\n"))
    except CTQAError as error:
        sys.exit(f"Error: {error}")
