"""If these fail, training cannot be repeated, resumed or turned into a bundle."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch

pytest.importorskip("accelerate")

from CTQualityAssessmentLib.models import load_bundle
from safetensors.torch import load_file

from Testing.unit.training.miniature import NETWORK
from Training import bundle_folder, evaluate, export
from Training.loop import Loop, RunError
from Training.recipe import read_recipe
from Training.scorers import SeenPatientsError
from Training.train import learning_rate, split, train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Forty images of five patients in the published layout; the noise falls as the score rises."""
    root = tmp_path_factory.mktemp("set")
    (root / "image").mkdir()
    rng = np.random.default_rng(0)
    scores, groups = {}, {}
    for n in range(40):
        score = (n % 5) * 1.0
        image = np.clip(0.785 + rng.normal(0, 0.12 - 0.028 * score, (64, 64)), 0, 1)
        name = f"{n:04d}.tif"
        tifffile.imwrite(root / "image" / name, image.astype(np.float32))
        scores[name] = score
        groups[name] = {"patient": f"p{n // 8}", "source": f"s{n // 4}", "dose": 0.1 * 2 ** (n % 4), "views": 720}
    (root / "train.json").write_text(json.dumps(scores))
    (root / "groups.json").write_text(json.dumps(groups))
    (root / "surrogate.json").write_text("{}")
    return root


def recipe_for(data, tmp_path, **changes):
    values = {
        "name": "miniature",
        "data": str(data),
        "held_out": ["p4"],
        "network": NETWORK,
        "phases": [{"steps": 6, "batch": 4, "crop": 32, "lr": 2e-3}, {"steps": 4, "batch": 4, "lr": 1e-3}],
        "precision": "no",
        "head_fit": {"steps": 20, "batch": 8},
        **changes,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(values))
    return read_recipe(path)


def test_an_interrupted_run_ends_with_the_same_weights(data, tmp_path, monkeypatch):
    recipe = recipe_for(data, tmp_path)
    train(recipe, tmp_path / "whole", log_every=5, save_every=100)

    class Killed(Exception):
        pass

    original = Loop.save

    def save_then_die(self, path):
        original(self, path)
        if self.step == 7:
            raise Killed

    monkeypatch.setattr(Loop, "save", save_then_die)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "broken", save_every=7)
    with pytest.raises(RunError, match="not finished"):  # half-trained weights never become a bundle
        export.export(tmp_path / "broken", tmp_path)
    monkeypatch.setattr(Loop, "save", original)
    train(recipe, tmp_path / "broken", save_every=100)

    whole, resumed = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[k], resumed[k]) for k in whole)
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["head"] == "fitted" and log[-2]["step"] == 10 and np.isfinite(log[-2]["loss"])


def test_a_run_folder_of_another_recipe_is_not_overwritten(data, tmp_path):
    train(recipe_for(data, tmp_path, phases=[{"steps": 1, "batch": 2, "lr": 1e-3}]), tmp_path / "run")
    with pytest.raises(RunError, match="another recipe"):
        train(recipe_for(data, tmp_path, seed=2, phases=[{"steps": 1, "batch": 2, "lr": 1e-3}]), tmp_path / "run")


def test_held_out_patients_are_in_no_fold(data, tmp_path):
    from Training.data.challenge import read_challenge_folder

    recipe = recipe_for(data, tmp_path, folds=2, fold=1)
    training, validation = split(recipe, read_challenge_folder(data))
    seen = {i.patient for i in training}, {i.patient for i in validation}
    assert "p4" not in seen[0] | seen[1] and not seen[0] & seen[1] and all(seen)


def test_the_rate_warms_up_and_falls_in_each_phase(data, tmp_path):
    recipe = recipe_for(data, tmp_path, phases=[{"steps": 500, "batch": 4, "lr": 1.0}], warmup=50)
    rates = [learning_rate(recipe, s) for s in range(500)]
    assert rates[0] < 0.05 and max(rates) == pytest.approx(1.0, abs=0.02) and rates[-1] < 0.01


def test_an_unknown_recipe_field_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="lerning_rate"):
        recipe_for(data, tmp_path, lerning_rate=1.0)


def test_a_run_becomes_a_bundle_that_loads_and_is_evaluated(data, tmp_path, monkeypatch):
    """The whole way: recipe, weights, table, bundle with card, verified load."""
    recipe = recipe_for(data, tmp_path)
    train(recipe, tmp_path / "run")
    rows = list(evaluate.evaluate(data, {"miniature": tmp_path / "run"}, ("p4",), repeats=20))
    assert [row.name for row in rows] == ["noise-level regression", "miniature"] and rows[1].images == 8
    assert "SROCC" in rows[1].line()
    gain, low, high = rows[1].figures["sum above noise"]
    assert gain == pytest.approx(rows[1].figures["sum"][0] - rows[0].figures["sum"][0]) and low <= gain <= high

    with pytest.raises(SeenPatientsError, match="held-out"):
        list(evaluate.evaluate(data, {"miniature": tmp_path / "run"}, ("p3",), repeats=20))

    (tmp_path / "manifest.json").write_text("[]")
    monkeypatch.setenv("CTQA_DATA", str(tmp_path))
    folder = export.export(tmp_path / "run", tmp_path / "models", [vars(row) for row in rows])
    model = load_bundle(folder, "cpu")
    assert model.identity.simulated_labels and "radiologists" in model.identity.statement
    assert model.novelty is not None
    card = (folder / "docs" / "README.md").read_text()
    assert model.identity.sha256 in card and "| miniature | 8 |" in card
    text = "".join(p.read_text() for p in folder.rglob("*.json"))
    assert str(tmp_path) not in text and str(data) not in text

    weights = (folder / "models" / "model.safetensors").read_bytes()
    again = [{**vars(rows[1]), "name": "measured later"}]
    export.renew_evaluation(folder, again)
    assert "| measured later | 8 |" in (folder / "docs" / "README.md").read_text()
    assert (folder / "models" / "model.safetensors").read_bytes() == weights and load_bundle(folder, "cpu")

    plain = recipe_for(data, tmp_path, network={**NETWORK, "temperatures": [1.0]}, name="plain")
    train(plain, tmp_path / "plain")
    assert load_bundle(export.export(tmp_path / "plain", tmp_path / "models"), "cpu").scorer.temperatures == ("read",)

    (data / "surrogate.json").rename(tmp_path / "surrogate.json")  # somebody rated these: no word of a simulation
    rated = export.export(tmp_path / "plain", tmp_path / "rated")
    (tmp_path / "surrogate.json").rename(data / "surrogate.json")
    metadata = json.loads((rated / "configs" / "metadata.json").read_text())
    assert metadata["data_type"] == "rated" and not metadata["ctqa"]["simulated_labels"]
    assert not metadata["ctqa"]["training_patients"], "names of a hospital's patients in the bundle"
    words = (rated / "docs" / "README.md").read_text() + metadata["ctqa"]["statement"]
    assert "rated images" in words and "surrogate" not in words and "simulat" not in words


def test_only_bundles_that_ship_have_a_size_limit(data, tmp_path, monkeypatch):
    train(recipe_for(data, tmp_path, phases=[{"steps": 1, "batch": 2, "lr": 1e-3}]), tmp_path / "run")
    (tmp_path / "manifest.json").write_text("[]")
    monkeypatch.setenv("CTQA_DATA", str(tmp_path))
    monkeypatch.setattr(bundle_folder, "SIZE_LIMIT", 1000)
    assert export.export(tmp_path / "run", tmp_path / "own").is_dir()
    monkeypatch.setattr(bundle_folder, "SHIPPED", tmp_path / "shipped")
    with pytest.raises(ValueError, match="more than a shipped bundle may"):
        export.export(tmp_path / "run", tmp_path / "shipped")
    assert not (tmp_path / "shipped" / "miniature").exists()
