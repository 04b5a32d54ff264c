"""If these fail, whoever has the published data set cannot train on it, or gets figures that are too good."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from CTQualityAssessmentLib.windows import WINDOWS

pytest.importorskip("accelerate")
pytest.importorskip("astra")

from CTQualityAssessmentLib.models import load_bundle

from Testing.phantom_factory import degraded_slices
from Testing.unit.training.miniature import NETWORK, TFKT_NETWORK
from Training import challenge, export
from Training.data.challenge import read_challenge_folder
from Training.data.folds import grouped, make_folds, similar_slices, stratified_folds
from Training.tfkt_recipe import read_tfkt_recipe


def write_set(root, folder, labels, suffix, slices, step):
    """Each slice at four settings, rated by the formula of dose and views in steps of ``step``."""
    (root / folder).mkdir(parents=True)
    scores, truth = {}, []
    for k, variants in enumerate(slices):
        for score, hu in variants:
            name = f"{len(scores):04d}.{suffix}"
            tifffile.imwrite(root / folder / name, WINDOWS["ldctiqa"].apply(hu))
            scores[name] = round(round(score / step) * step, 4)
            truth.append(k)
    (root / labels).write_text(json.dumps(scores))
    return truth


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Forty training and twelve test images in the published layout, and which slice each training image is of."""
    root = tmp_path_factory.mktemp("published")
    first, second, third = (degraded_slices(seed, count) for seed, count in ((5, 5), (8, 5), (11, 3)))
    truth = write_set(root / "train", "image", "train.json", "tif", [*first, *second], 0.2)
    write_set(root / "test", "images", "test.json", "tiff", third, 1 / 6)
    return root / "train", root / "test", np.array(truth)


@pytest.fixture
def recipe_file(tmp_path):
    """The published recipe with a tiny network and few steps."""
    values = challenge.read_recipe(challenge.RECIPE).to_dict()
    values |= {"network": NETWORK, "folds": 2, "precision": "no", "select_every": 4}
    values["phases"] = [{"steps": 8, "batch": 4, "lr": 1e-3, "cycles": 2}]
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(values))
    return path


@pytest.mark.parametrize("folds", ["stratified", "grouped"])
def test_from_the_published_folder_to_the_report_in_one_command(published, recipe_file, tmp_path, monkeypatch, folds):
    train, test, _ = published
    run = tmp_path / "run"
    arguments = [
        str(train),
        "--folds",
        folds,
        "--out",
        str(run),
        "--test",
        str(test),
        "--recipe",
        str(recipe_file),
        "--repeats",
        "20",
    ]
    monkeypatch.setattr("sys.argv", ["challenge", *arguments])
    challenge.main()
    rows = json.loads((run / "report.json").read_text())["rows"]
    assert [row["images"] for row in rows] == [20, 12, 20, 12, 40, 12] if folds == "stratified" else True
    assert sum(row["images"] for row in rows if "validation" in row["name"]) == 40
    for row in rows:
        assert set(row["figures"]) == {"PLCC", "SROCC", "KROCC", "sum", "MAE"}
        value, low, high = row["figures"]["sum"]
        assert 0 <= low <= high <= 3 and 0 <= value <= 3
    text = (run / "report.md").read_text()
    assert ("too good" in text) == (folds == "stratified") and "mean of the folds, test set" in text
    log = [json.loads(line) for line in (run / "fold0" / "log.jsonl").read_text().splitlines()]
    chosen, done = [line for line in log if line.get("selecting")], log[-1]
    assert len(chosen) == 2 and done["done"] and done["sum"] == max(line["sum"] for line in chosen)

    if folds == "grouped":  # done folds are not trained again, and a fold becomes a bundle that says what it is
        before = (run / "fold0" / "log.jsonl").read_bytes()
        challenge.main()
        assert (run / "fold0" / "log.jsonl").read_bytes() == before
        bundle = export.export(run / "fold0", tmp_path / "models", rows)
        model = load_bundle(bundle, "cpu")
        card = (bundle / "docs" / "README.md").read_text()
        assert not model.identity.simulated_labels and "simulated" not in model.identity.statement
        assert "rated images" in card and "simulated images of" not in card and "mean of the folds" in card


def test_tfkt_goes_the_same_way_and_trains_stage_a_once(published, tmp_path, monkeypatch):
    """The published recipe of TFKT V2, but for size and steps, from the published folder to the report."""
    train, test, _ = published
    values = read_tfkt_recipe(challenge.RECIPE.with_name("tfkt_v2.yaml")).to_dict()
    values |= {"network": TFKT_NETWORK, "folds": 2, "precision": "no", "natural_data": "photographs"}
    values |= {
        "natural": {"steps": 2, "batch": 2, "crop": 48, "lr": 1e-3},
        "stem": {"steps": 2, "batch": 4, "lr": 1e-3},
    }
    values["hybrid"] = {"epochs": 1, "batch": 4, "lr": 1e-3}
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(json.dumps(values))
    arguments = [train, "--folds", "grouped", "--out", run, "--test", test, "--recipe", recipe, "--repeats", 20]
    monkeypatch.setattr("sys.argv", ["challenge", *map(str, arguments)])
    challenge.main()
    rows = json.loads((run / "report.json").read_text())["rows"]
    assert sum(row["images"] for row in rows if "validation" in row["name"]) == 40
    stages = [(run / f"fold{n}" / "stage-a.safetensors").read_bytes() for n in (0, 1)]
    assert stages[0] == stages[1]
    log = (run / "fold1" / "log.jsonl").read_text()
    assert "stage-a" not in log and "validation_mse" in log


def test_variants_of_one_slice_land_in_one_group_and_one_fold(published):
    train, _, truth = published
    images = read_challenge_folder(train)
    groups = similar_slices(images)
    assert all(len(set(groups[truth == k])) == 1 for k in range(10)) and len(set(groups)) >= 5
    by_slice = make_folds(grouped(images), 2, 1, "similar slices")
    assert not {*truth[by_slice[0]]} & {*truth[by_slice[1]]}
    by_score = make_folds(images, 2, 1, "stratified")
    assert {*truth[by_score[0]]} & {*truth[by_score[1]]}, "random folds leak; that is why there are the others"


def test_stratified_folds_hold_every_image_once_and_the_same_scores(published):
    images = read_challenge_folder(published[0])
    folds = stratified_folds(images, 4, seed=1)
    assert sorted(n for fold in folds for n in fold) == list(range(40)) and {len(fold) for fold in folds} == {10}
    means = [np.mean([images[n].score for n in fold]) for fold in folds]
    assert max(means) - min(means) < 0.4 and folds != stratified_folds(images, 4, seed=2)


def test_test_labels_are_sixths_and_are_taken_as_they_are(published):
    scores = {image.score for image in read_challenge_folder(published[1], "test.json")}
    assert any(abs(score * 5 - round(score * 5)) > 0.01 for score in scores)
    assert all(abs(score * 6 - round(score * 6)) < 1e-3 for score in scores)
