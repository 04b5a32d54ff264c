"""The tests that Slicer runs inside the application, run here as well so that they do not rot."""

from __future__ import annotations

import unittest

import pytest
import slicer.util


def names():
    return (
        "test_input_is_taken_described_and_forgotten",
        "test_result_is_shown_reached_by_rank_and_removed_without_a_trace",
        "test_two_volumes_are_compared_and_the_layout_goes_back",
        "test_the_sample_is_registered_and_loads",
        "test_physical_measures_come_by_themselves",
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
