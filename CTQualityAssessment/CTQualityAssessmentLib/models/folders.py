"""Where bundles lie on this computer."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def added_bundles_folder() -> Path:
    """The folder of bundles that the user added, which may not exist yet; ``$CTQA_ADDED_MODELS`` moves it.

    In the place that the operating system has for data of applications, so that Slicer, the viewer and the command
    line see the same models, and a new version of Slicer still has them.
    """
    moved = os.environ.get("CTQA_ADDED_MODELS")
    if moved:
        return Path(moved)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "CTQualityAssessment" / "models"
