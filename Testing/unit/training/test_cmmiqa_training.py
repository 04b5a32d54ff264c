"""Training of CMMIQA from a list to a bundle that the engine scores with, on volumes of a few voxels."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch
from CTQualityAssessmentLib.assessment import assess_volume
from CTQualityAssessmentLib.models import load_bundle
from CTQualityAssessmentLib.prompts import Prompt
from CTQualityAssessmentLib.reading import Wanted, read_volume
from CTQualityAssessmentLib.reading.errors import NotHounsfieldError
from CTQualityAssessmentLib.windows import WINDOWS

from Training.cmmiqa_recipe import CMMIQARecipe, read_cmmiqa_recipe
from Training.data.challenge import TrainingDataError
from Training.data.volume_list import prepare, read_volume_list
from Training.evaluate_cmmiqa import evaluate, wrong
from Training.export_cmmiqa import export, model_card
from Training.loop import RunError
from Training.train_cmmiqa import VolumeBatches, crop, loss_of, predict, share_outside, train

NETWORK = {"size": "compact", "stem": 4, "channels": [4, 8, 8, 16], "blocks": 1, "layers": 1, "heads": 2}


def write_volume(path, noise, modality, seed):
    _, j, i = np.mgrid[:8, :32, :32]
    inside = (j - 16) ** 2 + (i - 16) ** 2 < 12**2
    rng = np.random.default_rng(seed)
    if modality == "CT":
        values = np.where(inside, 40.0, -1000.0) + rng.normal(0, noise, inside.shape)
        values = np.maximum(values, -1024)
    else:
        values = np.abs(np.where(inside, 800.0, 0.0) + 3 * rng.normal(0, noise, inside.shape))
    nibabel.save(nibabel.Nifti1Image(np.rint(values).astype(np.int16).T, np.diag([-2.0, -2.0, 5.0, 1.0])), path)


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """Sixteen volumes of four patients; the more noise, the lower the score."""
    folder = tmp_path_factory.mktemp("volumes")
    rows = []
    for n in range(16):
        modality, noise = ("CT", "MR")[n % 2], (5, 20, 60, 100)[n // 4]
        write_volume(folder / f"{n}.nii", noise, modality, n)
        rows.append(
            {
                "image": f"{n}.nii",
                "score": round(1 - noise / 110, 3),
                "modality": modality,
                "organ": ("abdomen", "extremity")[n % 2],
                "patient": f"p{n % 4}",
                "levels": {"noise": noise},
            }
        )
    (folder / "list.json").write_text(json.dumps(rows))
    return folder / "list.json"


@pytest.fixture
def recipe(listed):
    return CMMIQARecipe(
        name="tiny-volumes",
        data=str(listed),
        epochs=2,
        batch=4,
        held_out=("p2", "p3"),
        network=NETWORK,
        window="soft-tissue",
        input_size=32,
        crop=(8, 24, 24),
        last_crop=(8, 32, 32),
        last_share=0.5,
        lr=1e-3,
        schedule="cosine",
    )


def test_a_run_becomes_a_bundle_that_scores_volumes(recipe, tmp_path, listed):
    """The whole way: train, evaluate, export, load, assess. The bundle must say what its labels are."""
    network = train(recipe, tmp_path / "run")
    rows = evaluate(tmp_path / "run")
    assert {row["part"] for row in rows} == {"all", "CT", "MR"} and len(rows) == 12
    assert [row["volumes"] for row in rows[:3]] == [8, 4, 4]
    folder = export(tmp_path / "run", tmp_path / "models", rows)
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    assert metadata["ctqa"]["simulated_labels"] and "not on the scores of readers" in metadata["ctqa"]["statement"]
    assert metadata["ctqa"]["training_volumes"] == {"CT": 4, "MR": 4}
    assert metadata["ctqa"]["training_patients"] == ["p0", "p1"]
    assert (folder / "docs" / "README.md").read_text() == model_card(metadata) + "\n"
    model = load_bundle(folder, "cpu")
    label = read_volume_list(listed)[1]
    found = assess_volume(read_volume(label.path, wanted=Wanted(("MR",), "MR")), model)
    expected = predict(network, [prepare(label, WINDOWS["soft-tissue"], 32)], [Prompt("MR", "unknown")])[0]
    assert found.volume_score == pytest.approx(min(max(4 * expected, 0), 4), abs=0.02)
    assert found.prompt.modality == "MR" and found.model.statement == metadata["ctqa"]["statement"]


def test_an_interrupted_run_arrives_at_the_same_weights(recipe, tmp_path):
    """A run that takes an hour must survive a closed lid."""
    whole = train(recipe, tmp_path / "whole", save_every=1)
    (tmp_path / "part").mkdir()
    import Training.train_cmmiqa as module

    class Stopped(Exception):
        pass

    def stopping(*arguments):
        loss = loss_of(*arguments)
        stopping.calls += 1
        if stopping.calls == 3:
            raise Stopped
        return loss

    stopping.calls = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "loss_of", stopping)
        with pytest.raises(Stopped):
            train(recipe, tmp_path / "part", save_every=1)
    again = train(recipe, tmp_path / "part", save_every=1)
    for first, second in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(first, second)


def test_held_out_patients_are_in_no_batch(recipe, listed):
    """The figures would be of volumes that the network knows."""
    rows = [row for row in read_volume_list(listed) if row.patient not in recipe.held_out]
    volumes = [prepare(row, WINDOWS[recipe.window], recipe.input_size) for row in rows]
    batches = VolumeBatches(volumes, recipe)
    scores = torch.cat([batches(step)[3] for step in range(batches.steps)])
    assert len(scores) == 16 and sorted(set(scores.tolist())) == sorted({torch.tensor(r.score).item() for r in rows})
    first, last = batches(0)[0], batches(batches.steps - 1)[0]
    assert first.shape == (4, 1, 8, 24, 24) and last.shape == (4, 1, 8, 32, 32)


def test_crops_keep_noise_and_patient_together(recipe, listed):
    """Resampled crops would have less noise than their label says; a mask that is mirrored alone trains the weights."""
    volume = prepare(read_volume_list(listed)[0], WINDOWS["soft-tissue"], 32)
    values = np.unique(volume.pixels.astype(np.float32))
    for seed in range(6):
        pixels, mask = crop(volume, (8, 20, 20), np.random.default_rng(seed))
        assert pixels.shape == mask.shape == (8, 20, 20)
        assert np.isin(pixels, values).all()
        assert ((pixels > 0.2) == (mask > 0.5)).mean() > 0.97
    larger, _ = crop(volume, (12, 40, 40), np.random.default_rng(0))
    assert larger.shape == (12, 40, 40) and np.isin(larger, values).all()


def test_weight_outside_the_patient_is_counted():
    """The weight map would be free to lie on air."""
    patient = torch.zeros(1, 1, 16, 64, 64)
    patient[..., 20:44, 20:44] = 1
    inside, outside = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    inside[:, :, 2, 2] = 1
    outside[:, :, 0, 0] = 1
    assert float(share_outside(inside, patient)) == 0
    assert float(share_outside(outside, patient)) == 1
    assert float(share_outside(inside + outside, patient)) == pytest.approx(0.5)


def test_the_correlation_term_is_zero_for_scores_in_proportion(recipe):
    """It would pull a perfect prediction away."""
    from CTQualityAssessmentLib.networks.cmmiqa import CMMIQAOutput

    scores = torch.tensor([0.1, 0.5, 0.9])
    maps = torch.ones(3, 1, 2, 2)
    wanted = replace(recipe, plcc=1.0, outside=0.0)
    assert float(loss_of(wanted, CMMIQAOutput(scores, maps, maps), scores, maps[:, None])) == pytest.approx(0, abs=1e-6)
    turned = loss_of(wanted, CMMIQAOutput(scores.flip(0), maps, maps), scores, maps[:, None])
    assert float(turned) > 2


def test_csv_and_json_lists_say_the_same(listed, tmp_path):
    """Hospitals keep their scores in a spreadsheet."""
    rows = json.loads(listed.read_text())
    path = listed.with_name("list.csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        names = ["image", "score", "modality", "organ", "patient"]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "score": 4 * row["score"]} for row in rows)
    for first, second in zip(read_volume_list(listed), read_volume_list(path, 4.0), strict=True):
        assert replace(first, levels={}) == replace(second, score=pytest.approx(first.score))


@pytest.mark.parametrize(
    "change, problem",
    [
        ({"score": 1.7}, "score outside"),
        ({"score": "good"}, "score outside"),
        ({"modality": "PT"}, "another modality"),
        ({"organ": "tail"}, "unknown organ"),
        ({"image": "gone.nii"}, "not there"),
        ({"image": ""}, "lacks image"),
    ],
)
def test_impossible_rows_are_named(listed, change, problem):
    """A row that is passed over in silence is a study of other patients."""
    row = {**json.loads(listed.read_text())[0], **change}
    path = listed.with_name("wrong.json")
    path.write_text(json.dumps([row]))
    with pytest.raises(TrainingDataError, match=problem):
        read_volume_list(path)


def test_unreadable_and_empty_lists_are_refused(tmp_path):
    for content in ("[]", "{", "3", '[["a"]]'):
        (tmp_path / "list.json").write_text(content)
        with pytest.raises(TrainingDataError):
            read_volume_list(tmp_path / "list.json")
    with pytest.raises(TrainingDataError):
        read_volume_list(tmp_path / "none.json")


def test_an_mr_volume_listed_as_ct_is_refused(listed):
    """Its values would go through a window of HU."""
    label = read_volume_list(listed)[1]
    with pytest.raises(NotHounsfieldError):
        prepare(replace(label, prompt=Prompt("CT")), WINDOWS["soft-tissue"], 32)


def test_shipped_recipes_are_possible_and_slips_are_named(tmp_path):
    from pathlib import Path

    import Training

    recipes = Path(Training.__file__).with_name("recipes")
    assert read_cmmiqa_recipe(recipes / "cmmiqa.yaml").config().channels == (64, 128, 256, 384)
    compact = read_cmmiqa_recipe(recipes / "cmmiqa_compact.yaml")
    assert compact.crop_at(0, 100) == (8, 64, 64) and compact.crop_at(99, 100) == (12, 96, 96)
    assert compact.rate(99, 100) < 0.01 * compact.lr
    assert replace(compact, schedule="step", epochs=2).rate(99, 100) == pytest.approx(0.75 * compact.lr)
    for change in ({"crops": 1}, {"schedule": "zigzag"}, {"network": {"size": "huge"}}, {"network": {"heads": 5}}):
        with pytest.raises(RunError):
            read_cmmiqa_recipe(recipes / "cmmiqa_compact.yaml", change)


def test_a_wrong_prompt_is_wrong():
    assert wrong(Prompt("CT", "abdomen")) == Prompt("MR", "brain")


def test_a_run_without_patients_or_weights_says_so(recipe, tmp_path):
    with pytest.raises(RunError, match="held out"):
        train(replace(recipe, held_out=("p0", "p1", "p2", "p3")), tmp_path / "run")
    train(replace(recipe, held_out=(), epochs=1), tmp_path / "all")
    with pytest.raises(RunError, match="held out"):
        evaluate(tmp_path / "all")
    (tmp_path / "all" / "weights.safetensors").unlink()
    with pytest.raises(RunError, match="no weights"):
        export(tmp_path / "all", tmp_path / "models")
