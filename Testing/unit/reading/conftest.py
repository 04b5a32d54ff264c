from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of public CT, or a skip."""
    root = Path(os.environ.get("CTQA_DATA") or Path(__file__).parents[4] / "shared" / "data")
    if not (root / "ct").is_dir():
        pytest.skip("needs the development data: set CTQA_DATA to their folder")
    return root
