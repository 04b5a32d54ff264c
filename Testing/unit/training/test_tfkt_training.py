"""TFKT's three stages: if these fail, nothing is transferred, or a run cannot be repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

pytest.importorskip("accelerate")

from CTQualityAssessmentLib.models import load_bundle
from safetensors.torch import load_file

from Testing.unit.training.miniature import TFKT_NETWORK
from Training import export, train_tfkt
from Training.data.challenge import read_challenge_folder
from Training.loop import Loop, RunError
from Training.scorers import load_scorer, predict_with
from Training.tfkt_recipe import read_tfkt_recipe
from Training.train_tfkt import Best, ct_images, predict, train

RECIPES = Path(train_tfkt.__file__).parent / "recipes"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twenty images of five patients; the noise falls as the score rises."""
    root = tmp_path_factory.mktemp("set")
    (root / "image").mkdir()
    rng = np.random.default_rng(0)
    scores, groups = {}, {}
    for n in range(20):
        score = float(n % 5)
        image = np.clip(0.785 + rng.normal(0, 0.12 - 0.028 * score, (64, 64)), 0, 1)
        name = f"{n:04d}.tif"
        tifffile.imwrite(root / "image" / name, image.astype(np.float32))
        scores[name] = score
        groups[name] = {"patient": f"p{n // 4}", "source": f"s{n // 4}"}
    (root / "train.json").write_text(json.dumps(scores))
    (root / "groups.json").write_text(json.dumps(groups))
    return root


def recipe_for(data, tmp_path, **changes):
    values = {
        "name": "miniature",
        "data": str(data),
        "held_out": ["p4"],
        "network": TFKT_NETWORK,
        "natural": {"steps": 2, "batch": 2, "crop": 48, "lr": 1e-3},
        "stem": {"steps": 3, "batch": 4, "crop": 32, "lr": 1e-3},
        "hybrid": {"epochs": 1, "batch": 4, "lr": 1e-3},
        "precision": "no",
        **changes,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(values))
    return read_tfkt_recipe(path)


def test_the_shipped_recipes_can_be_read_and_share_a_budget():
    """A comparison with and without stage A is fair only where both take as many steps of as many pixels."""
    published = read_tfkt_recipe(RECIPES / "tfkt_v2.yaml")
    assert published.network == {"size": "v2"} and published.select and published.natural.epochs == 50
    assert {published.stem.lr, published.hybrid.lr} == {1e-4} and published.hybrid.crop is None
    with_a, without = (read_tfkt_recipe(RECIPES / f"{n}.yaml") for n in ("ablation_tfkt_natural", "tfkt_compact"))
    same = ("batch", "crop", "lr")
    assert all(getattr(with_a.natural, name) == getattr(without.stem, name) for name in same)
    assert with_a.natural.steps + with_a.stem.steps == without.stem.steps
    assert replace(with_a, natural=None, stem=without.stem, name=without.name) == without


def test_each_stage_begins_with_the_convolutions_of_the_one_before(data, tmp_path, monkeypatch):
    begun = []
    original = Loop.resume
    monkeypatch.setattr(
        Loop,
        "resume",
        lambda self: (
            begun.append({k: v.clone() for k, v in self._parts["network"].state_dict().items()}),
            original(self),
        )[1],
    )
    train(recipe_for(data, tmp_path), tmp_path / "run")
    stages = [load_file(tmp_path / "run" / f"stage-{letter}.safetensors") for letter in "abc"]
    stem = "features.0.0.weight"
    for before, start in zip(stages, begun[1:], strict=False):
        shared = [name for name in before if name.startswith("features.") and before[name].shape == start[name].shape]
        assert len(shared) > 20 and all(torch.equal(before[name], start[name]) for name in shared)
    assert stages[0][stem].shape[1] == 3 and begun[1][stem].shape[1] == 1  # a fresh stem for grey images
    assert torch.equal(begun[2][stem], stages[1][stem])
    final = load_file(tmp_path / "run" / "weights.safetensors")
    assert all(torch.equal(final[name], stages[2][name]) for name in final)


def test_an_interrupted_run_ends_with_the_same_weights(data, tmp_path, monkeypatch):
    recipe = recipe_for(data, tmp_path)
    train(recipe, tmp_path / "whole")

    class Killed(Exception):
        pass

    original = Loop.save

    def save_then_die(self, path):
        original(self, path)
        if path.name == "stage-b.pt" and self.step == 2:
            raise Killed

    monkeypatch.setattr(Loop, "save", save_then_die)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "broken", save_every=2)
    assert not (tmp_path / "broken" / "weights.safetensors").exists()
    monkeypatch.setattr(Loop, "save", original)
    train(recipe, tmp_path / "broken")
    whole, resumed = (load_file(tmp_path / name / "weights.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_stage_a_of_another_run_is_taken_only_where_it_is_the_same(data, tmp_path):
    recipe = recipe_for(data, tmp_path)
    train(recipe, tmp_path / "first")
    few = replace(recipe, labels=6)
    train(few, tmp_path / "few", start=tmp_path / "first")
    names = [tmp_path / run / "stage-a.safetensors" for run in ("first", "few")]
    assert names[0].read_bytes() == names[1].read_bytes()
    stages = [json.loads(line).get("stage") for line in (tmp_path / "few" / "log.jsonl").read_text().splitlines()]
    assert "stage-a" not in stages and "stage-c" in stages
    for other in (replace(recipe, seed=2), replace(recipe, natural=None)):
        with pytest.raises(RunError, match="another stage A"):
            train(other, tmp_path / "other", start=tmp_path / "first")
    with pytest.raises(RunError, match="another recipe"):
        train(replace(recipe, labels=5), tmp_path / "few")


def test_few_labels_are_as_few_as_said_and_never_of_held_out_patients(data, tmp_path):
    training, validation = ct_images(recipe_for(data, tmp_path, labels=6, folds=2, fold=1))
    assert len(training) == 6 and validation
    patients = {one.patient for one in training}, {one.patient for one in validation}
    assert "p4" not in patients[0] | patients[1] and not patients[0] & patients[1]


def test_the_published_recipe_keeps_the_weights_of_the_best_validation_error(data, tmp_path):
    recipe = recipe_for(data, tmp_path, folds=2, fold=0, select=True, natural=None)
    network = train(recipe, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    logged = [line["validation_mse"] for line in lines if line.get("stage") == "stage-c"]
    _, validation = ct_images(recipe)
    error = np.mean((predict(network, validation) - [one.score for one in validation]) ** 2)
    assert error == pytest.approx(min(logged), rel=1e-3)
    with pytest.raises(ValueError, match="fold"):
        recipe_for(data, tmp_path, select=True)


def test_the_best_weights_are_those_of_the_smallest_error():
    network, best = torch.nn.Linear(1, 1), Best(torch.nn.Linear(1, 1))
    kept = []
    for error in (3.0, 1.0, 2.0):
        torch.nn.init.constant_(network.weight, error)
        best.offer(network, error)
        kept.append(float(best.network.weight.detach()))
    assert kept == [3.0, 1.0, 1.0]


def test_calibration_leaves_no_common_error_on_whole_images(data, tmp_path):
    """Trained on crops, whole slices were off by half a point; a scale and a shift of the last layer take that away."""
    recipe = recipe_for(data, tmp_path, calibrate=100)
    network = train(recipe, tmp_path / "run")
    images, _ = ct_images(recipe)
    errors = train_tfkt.raw_scores(network, images) - [one.score for one in images]
    assert abs(errors.mean()) < 0.02
    before = tmp_path / "run" / "stage-c.safetensors"
    raw = train_tfkt.Tfkt(recipe.config)
    raw.load_state_dict(load_file(before))
    uncalibrated = train_tfkt.raw_scores(raw, images) - [one.score for one in images]
    assert np.square(errors).mean() < np.square(uncalibrated).mean()


def test_a_stage_without_a_length_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="steps or epochs"):
        recipe_for(data, tmp_path, stem={"batch": 4, "lr": 1e-3})
    with pytest.raises(ValueError, match="colour"):
        recipe_for(data, tmp_path, colour=1)


def test_a_run_becomes_a_bundle_that_scores_as_the_run_did(data, tmp_path, monkeypatch):
    """Half precision may round, no more; what was evaluated is what is shipped."""
    monkeypatch.setattr(export, "native_slices", lambda held_out: [])
    recipe = recipe_for(data, tmp_path)
    network = train(recipe, tmp_path / "run")
    bundle = export.export(tmp_path / "run", tmp_path / "models")
    model = load_bundle(bundle, "cpu")
    images, _ = ct_images(recipe)
    pixels = torch.from_numpy(np.stack([one.read() for one in images]))[:, None]
    np.testing.assert_allclose(model.scorer(pixels).scores, predict(network, images), atol=5e-3)
    assert (model.novelty(model.scorer(pixels).features) < 1).all()
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["ctqa"]["network"] == "tfkt" and "scikit-image" in metadata["description"]
    card = (bundle / "docs" / "README.md").read_text()
    assert "no measure of its own doubt" in card and str(data) not in card
    tested = [one for one in read_challenge_folder(data) if one.patient == "p4"]
    for folder in (tmp_path / "run", bundle):
        evaluated = predict_with(load_scorer(folder, ("p4",)), tested)
        np.testing.assert_allclose(evaluated, predict(network, tested), atol=5e-3)
