"""A small model for every process that a test of batches starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE

from Testing.batch.running import started
from Testing.bundle_factory import write_bundle

LIBRARY = Path(__file__).resolve().parents[2] / "CTQualityAssessment"


@pytest.fixture(autouse=True)
def models(tmp_path_factory, monkeypatch):
    """The default model is an untrained small one, in every process that is started."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / DEFAULT_BUNDLE)
    monkeypatch.setenv("CTQA_MODELS", str(folder))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(LIBRARY))
    yield folder
    while started:
        started.pop().clear_up()
