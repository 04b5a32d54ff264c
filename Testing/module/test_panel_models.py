"""Models: add one from a folder, verify, remove; never lose or replace the one that ships."""

from __future__ import annotations

import json
import shutil

import pytest
import slicer.util
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, installed_bundles
from CTQualityAssessmentLib.models.folders import added_bundles_folder

from Testing.bundle_factory import write_bundle


@pytest.fixture
def choose(monkeypatch):
    """What the user picks in the folder dialog and answers to the question."""

    def choose_(folder, answer=True):
        monkeypatch.setattr("CTQualityAssessmentLib.panel.models_section.ask_for_bundle", lambda parent: str(folder))
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text: answer)

    return choose_


#: What scores and comes with the program.
SHIPPED = [DEFAULT_BUNDLE, "tfkt-compact-simulated"]


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "mine-1.0")


def test_an_added_model_can_be_chosen_and_removed(window, choose, bundle):
    choose(bundle)
    window.ui.addModelButton.click()
    assert installed_bundles()["mine-1.0"] == added_bundles_folder() / "mine-1.0"
    assert "mine-1.0" in [window.ui.modelCombo.itemData(n) for n in range(window.ui.modelCombo.count)]
    assert window.ui.modelList.currentItem().text() == "mine-1.0 0.0.1: weights verified"
    assert window.ui.removeModelButton.enabled
    shutil.rmtree(bundle)  # the copy stands alone
    window.ui.verifyModelsButton.click()
    select_item(window, "mine-1.0")
    choose(bundle, answer=False)
    window.ui.removeModelButton.click()
    assert "mine-1.0" in installed_bundles()
    choose(bundle, answer=True)
    window.ui.removeModelButton.click()
    assert list(installed_bundles("score")) == SHIPPED
    assert list(added_bundles_folder().iterdir()) == []


def select_item(window, name):
    models = window.ui.modelList
    rows = [row for row in range(models.count) if models.item(row).text().startswith(f"{name} ")]
    models.currentRow = rows[0]


def test_the_model_that_ships_cannot_be_removed(window):
    """A user who deletes the only model has an extension that does nothing."""
    select_item(window, DEFAULT_BUNDLE)
    assert not window.ui.removeModelButton.enabled
    assert "came with the program" in window.ui.removeModelButton.toolTip


@pytest.mark.parametrize("damage", ["weights", "pickle", "metadata", "name", "link", "twice"])
def test_what_is_no_sound_model_is_refused_and_leaves_nothing(window, choose, bundle, damage):
    expected = spoil(bundle, damage)
    choose(bundle)
    window.ui.addModelButton.click()
    assert expected in window.ui.modelsLabel.text
    assert list(installed_bundles("score")) == SHIPPED
    assert not added_bundles_folder().exists() or list(added_bundles_folder().iterdir()) == []


def spoil(bundle, damage):
    metadata = bundle / "configs" / "metadata.json"
    content = json.loads(metadata.read_text())
    if damage == "weights":
        weights = bundle / "models" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
        return "differ from their checksum"
    if damage == "pickle":
        (bundle / "models" / "model.pt").write_bytes(b"")
        return "can run code"
    if damage == "metadata":
        metadata.write_text("{")
        return "cannot be read"
    if damage == "link":
        (bundle / "more").symlink_to("/etc")
        return "link"
    content["name"] = DEFAULT_BUNDLE if damage == "twice" else "../outside"
    metadata.write_text(json.dumps(content))
    return "installed already" if damage == "twice" else "name of a folder"


def test_a_copy_that_breaks_off_leaves_nothing(window, choose, bundle, monkeypatch):
    """Half a model that is listed would fail at the worst moment."""

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("CTQualityAssessmentLib.models.store.shutil.copyfile", full)
    choose(bundle)
    window.ui.addModelButton.click()
    assert "No space left" in window.ui.modelsLabel.text
    assert list(installed_bundles("score")) == SHIPPED
    assert list(added_bundles_folder().iterdir()) == []
