"""If these fail, the command starts a viewer that does not do what was asked for, and nobody is told."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from CTQualityAssessmentLib.viewer.errors import StartError
from CTQualityAssessmentLib.viewer.read_ahead import SCENE
from CTQualityAssessmentLib.viewer.server import Start, run

from Testing.bundle_factory import write_bundle
from Testing.viewer.running import PATIENCE_S, SAMPLE, start_viewer


@pytest.mark.parametrize("asked", [{"second": SAMPLE}, {"series": "1"}], ids=["compare", "series"])
def test_an_option_without_a_ct_is_refused(asked):
    with pytest.raises(StartError, match="needs a CT"):
        run(Start(None, open_browser=False, **asked))


@pytest.mark.parametrize("name", ["case.mrb", "results"])
def test_a_series_of_a_scene_or_of_results_is_refused(tmp_path, name):
    path = Path(tmp_path / name)
    if name == "results":
        path.mkdir()
    (path / SCENE if path.is_dir() else path).write_bytes(b"x")
    with pytest.raises(StartError, match="no series"):
        run(Start(path, series="2", open_browser=False))


def test_a_damaged_model_stays_told_after_a_ct_is_open(tmp_path, open_page):
    """Else a model is missing from the list, and nobody knows why."""
    write_bundle(tmp_path / "models" / "tiny")
    (write_bundle(tmp_path / "models" / "broken") / "configs" / "metadata.json").write_text("{")
    with start_viewer(tmp_path / "models", tmp_path / "run", str(SAMPLE)) as running:
        page = open_page(running)
        assert page.inner_text("header .title").startswith("CT, 30 slices")
        told = page.inner_text("[data-test=damaged]")
        running.process.terminate()
        assert told and f"Warning: {told}" in running.process.stdout.read()


def test_the_first_signal_ends_in_order_and_a_second_at_once(tmp_path):
    """While libraries are loaded in a thread, which cannot be stopped; what is kept of patients goes all the same."""
    with start_viewer(None, tmp_path / "once", str(SAMPLE)) as running:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE_S) == 0
    with start_viewer(None, tmp_path / "twice", str(SAMPLE)) as running:
        running.process.send_signal(signal.SIGINT)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE_S) == 130
    assert not list(tmp_path.glob("*/ctqa-viewer-*"))
