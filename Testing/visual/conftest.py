"""Pictures need the MRML libraries and trame-slicer's views; without them they are left out."""

from __future__ import annotations

import importlib.util

HAS_VIEWS = all(importlib.util.find_spec(name) is not None for name in ("slicer", "trame_slicer"))
collect_ignore_glob = [] if HAS_VIEWS else ["test_*.py"]


def pytest_report_header():
    return None if HAS_VIEWS else "Testing/visual is left out: trame-slicer is not installed (extra 'mrml')"
