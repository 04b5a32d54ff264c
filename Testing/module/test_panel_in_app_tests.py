"""The tests that Slicer runs inside the application, run here as well so that they do not rot."""

from __future__ import annotations

import re
import runpy
import subprocess
import unittest
from pathlib import Path

import pytest
import slicer.util
import yaml


def names():
    return (
        "test_input_is_taken_described_and_forgotten",
        "test_a_module_that_was_left_lets_go_of_its_widgets",
        "test_result_is_shown_reached_by_rank_and_removed_without_a_trace",
        "test_two_volumes_are_compared_and_the_layout_goes_back",
        "test_the_sample_is_registered_and_loads",
        "test_physical_measures_come_by_themselves",
        "test_networks_score_and_denoise_in_their_own_process",
    )


@pytest.fixture
def modules(measures, window, monkeypatch):
    """What slicer.util knows of the module in the application."""
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: None)
    monkeypatch.setattr(slicer.util, "getModuleWidget", lambda name: window.widget)


@pytest.mark.parametrize("name", names())
def test_in_app(modules, module, name):
    getattr(module.CTQualityAssessmentTest(), name)()


def test_the_button_reload_and_test_runs_all_of_them(modules, module, monkeypatch):
    found = unittest.TestLoader().getTestCaseNames(module.CTQualityAssessmentTest)
    assert sorted(found) == sorted(names())
    ran = []
    for name in found:
        monkeypatch.setattr(module.CTQualityAssessmentTest, name, lambda self, name=name: ran.append(name))
    module.CTQualityAssessmentTest().runTest()
    assert sorted(ran) == sorted(names())


@pytest.mark.parametrize(("failing", "code"), [(False, 0), (True, 1)])
def test_the_script_for_the_application_ends_with_the_outcome(modules, module, monkeypatch, tmp_path, failing, code):
    """A workflow that is green whatever happens would hide every fault."""
    for name in names():
        monkeypatch.setattr(module.CTQualityAssessmentTest, name, lambda self: None)
    if failing:
        monkeypatch.setattr(module.CTQualityAssessmentTest, names()[1], lambda self: self.fail("on purpose"))
    monkeypatch.setenv("CTQA_PICTURE", str(tmp_path / "window.png"))
    ended = []
    monkeypatch.setattr(slicer.util, "exit", ended.append, raising=False)
    runpy.run_path(str(Path(__file__).parents[1] / "in_slicer.py"), run_name="__main__")
    assert ended == [code]
    assert (tmp_path / "window.png").read_bytes().startswith(b"\x89PNG")


def test_the_workflow_calls_what_is_there():
    """A wrong path or option is noticed only where nobody looks: in a run that takes an hour."""
    root = Path(__file__).parents[2]
    steps = yaml.safe_load((root / ".github" / "workflows" / "slicer.yml").read_text())["jobs"]["in-app"]["steps"]
    commands = "\n".join(step.get("run", "") for step in steps)
    for path in set(re.findall(r"(?:\$PWD/)?((?:CTQualityAssessment|Testing)/?[\w./-]*)", commands)):
        assert (root / path).exists(), path
    for step in steps:
        done = subprocess.run(["bash", "-n"], input=step.get("run", ""), text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
