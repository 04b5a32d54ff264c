"""The scene tests run on the real MRML libraries; without them they are left out, and pytest's header says so."""

from __future__ import annotations

import importlib.util

import pytest

HAS_MRML = importlib.util.find_spec("slicer") is not None
collect_ignore_glob = [] if HAS_MRML else ["test_*.py"]


def pytest_report_header():
    return None if HAS_MRML else "Testing/mrml is left out: slicer-core is not installed (extra 'mrml')"


@pytest.fixture(scope="session")
def bare_scene():
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene

    return create_bare_scene()


@pytest.fixture
def scene(bare_scene):
    """The scene of a host without the application, empty but for the built-in colours."""
    bare_scene.scene.Clear(False)
    return bare_scene.scene


@pytest.fixture
def other_scene():
    """A second scene, as of another computer."""
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene

    other = create_bare_scene()
    yield other.scene
    other.scene.Clear(False)
