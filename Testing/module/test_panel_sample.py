"""The sample is one file of the extension, known to the Sample Data module, and what it says it is."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import SampleData
import slicer
from CTQualityAssessmentLib.panel.sample_data import SAMPLE_NAME, register_sample
from CTQualityAssessmentLib.reading import read_volume

from Testing.packaging.slicer_sample import DESCRIPTION, DICOM, VOLUME


def test_the_button_adds_shows_and_chooses_the_sample(window):
    window.ui.loadSampleButton.click()
    node = window.ui.inputSelector.currentNode()
    assert node.GetName() == SAMPLE_NAME
    assert "Tube voltage 120 kV" in window.ui.factsLabel.text
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceCompositeNode()
    assert red.GetBackgroundVolumeID() == node.GetID()


def test_it_is_the_sample_of_the_command_line(window):
    """The tutorial's figures must come out in both."""
    window.ui.loadSampleButton.click()
    node = window.ui.inputSelector.currentNode()
    expected = read_volume(DICOM)
    assert np.array_equal(slicer.util.arrayFromVolume(node), expected.hu)
    assert json.loads(DESCRIPTION.read_text())["facts"] == expected.facts.known()
    assert json.loads(DESCRIPTION.read_text())["sha256"] == hashlib.sha256(VOLUME.read_bytes()).hexdigest()


def test_it_is_registered_with_its_checksum_at_start(window, module, monkeypatch):
    monkeypatch.setattr(SampleData, "SOURCES", {})
    module.CTQualityAssessment(type("Parent", (), {})())
    (slot,) = slicer.app.connected["startupCompleted()"]
    slot()
    slot()
    ((source,),) = SampleData.SOURCES.values()
    assert source.uri.startswith("file://")
    assert source.checksum == f"SHA256:{hashlib.sha256(VOLUME.read_bytes()).hexdigest()}"
    assert Path(source.thumbnailFileName).is_file()


def test_a_damaged_sample_is_told(window, monkeypatch, tmp_path):
    """The Sample Data module itself only gives an empty list."""
    monkeypatch.setattr(SampleData, "SOURCES", {})
    shutil.copytree(VOLUME.parent, tmp_path / "SampleData")
    (tmp_path / "SampleData" / VOLUME.name).write_bytes(VOLUME.read_bytes()[:-1])
    monkeypatch.setattr(window.panel, "_resources", tmp_path)
    window.ui.loadSampleButton.click()
    assert "could not be loaded" in window.ui.statusLabel.text
    assert window.ui.inputSelector.currentNode() is None


def test_without_the_file_nothing_is_registered(monkeypatch, tmp_path, window):
    monkeypatch.setattr(SampleData, "SOURCES", {})
    register_sample(tmp_path)
    assert SampleData.SOURCES == {}
