"""If these fail, LIDnet cannot be trained again, resumed, compared or turned into a bundle."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from CTQualityAssessmentLib.assessment.denoising import denoise_volume
from CTQualityAssessmentLib.models import load_denoiser
from CTQualityAssessmentLib.networks.denoisers import denoised
from CTQualityAssessmentLib.networks.lesion_detector import LesionDetector, LesionDetectorConfig
from CTQualityAssessmentLib.volume import Volume
from safetensors.torch import load_file
from scipy.ndimage import gaussian_filter

from Testing.denoiser_factory import noisy_patient
from Training.data.builder import HELD_OUT
from Training.data.challenge import TrainingDataError
from Training.data.dose_pairs import DOSES, read_pairs
from Training.data.lesion_crops import LesionCrops, places_of
from Training.evaluate_lidnet import average_precision, evaluate, held_out_slice, measure
from Training.export_lidnet import export
from Training.lidnet_recipe import read_lidnet_recipe
from Training.loop import Loop, RunError
from Training.train_lidnet import LIDnetRun, learning_share, train

SIDE, SPACING = 224, 1.4
PATIENTS = ("p0", "p1", "acrin001")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five slices of three patients in the layout of Training.data.dose_pairs; noise of SD 5, 10 and 16 HU."""
    root = tmp_path_factory.mktemp("pairs")
    (root / "pairs").mkdir()
    rows = {}
    for n in range(5):
        clean = gaussian_filter(noisy_patient(1, SIDE, noise=0)[0].astype(float), 0.7)
        rng = np.random.default_rng(n)
        images = [clean] + [clean + rng.normal(0, sd, clean.shape) for sd in (5, 10, 16)]
        name = f"{PATIENTS[n // 2]}-{n:03d}"
        np.save(root / "pairs" / f"{name}.npy", np.rint(np.maximum(images, -1024)).astype(np.int16))
        rows[name] = {"patient": PATIENTS[n // 2], "part": "chest", "spacing_mm": SPACING, "kernel": "hann"}
    (root / "pairs.json").write_text(json.dumps(rows))
    return root


def recipe_for(data, tmp_path, **changes):
    values = {
        "name": "miniature",
        "data": str(data),
        "held_out": list(HELD_OUT),
        "denoiser_config": {"channels": [4, 6], "blocks": [1, 1]},
        "detector_config": {"channels": [4, 4, 4, 4], "features": 4},
        "detector_stage": {"steps": 3, "batch": 2, "crop": 96, "lr": 1e-3},
        "denoiser_stage": {"steps": 3, "batch": 2, "crop": 64, "lr": 1e-3},
        "joint_stage": {"steps": 4, "batch": 2, "crop": 64, "lr": 1e-3},
        "detector_every": 2,
        "retention": 0.1,
        **changes,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(values))
    return read_lidnet_recipe(path)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_lesions_are_in_all_images_of_a_crop_and_where_the_boxes_say(data):
    crops = LesionCrops(read_pairs(data), seed=3, crop=128)
    found = 0
    for position in range(6):
        crop = crops(position)
        assert all(image.shape == (128, 128) and image.dtype == np.float32 for image in crop[:3])
        again = crops(position)
        assert all(np.array_equal(a, b) for a, b in zip(crop, again, strict=True))
        noise = 4096 * (crop.low - crop.clean)
        assert np.abs(crop.faint).max() * 4096 < 205
        for left, top, right, bottom in crop.boxes.astype(int):
            assert not crop.faint[max(0, top) : bottom + 1, max(0, left) : right + 1].any(), "two lesions in one place"
        for left, top, right, bottom in crop.boxes:
            row, column = int((top + bottom) / 2), int((left + right) / 2)
            assert 0 < row < 128 and 0 < column < 128 and 1 < right - left < 12 / SPACING + 1
            wide = slice(max(0, row - 7), row + 8), slice(max(0, column - 7), column + 8)
            surroundings = np.median(crop.clean[wide])
            assert abs(crop.clean[row, column] - surroundings) * 4096 > 5, "no lesion where its box is"
            assert abs(noise[wide].mean()) < 12, "the lesion is in one image only"
            found += 1
    assert found > 5 and len(places_of(read_pairs(data)[0], np.random.default_rng(0))) > 10


def test_an_interrupted_run_ends_with_the_same_weights_and_the_judge_is_never_touched(data, tmp_path):
    recipe = recipe_for(data, tmp_path)
    whole = train(recipe, tmp_path / "whole", log_every=2, save_every=100)
    pairs = [pair for pair in read_pairs(data) if pair.patient not in HELD_OUT]
    for stop in (2, 8):  # within the detector's stage, and within the joint one
        run, judge = tmp_path / f"broken{stop}", None
        broken = LIDnetRun(recipe, pairs, Loop(run, recipe.to_dict(), seed=recipe.seed))
        broken.loop.resume()
        for until in (2, 3, 8)[: 1 if stop == 2 else 3]:
            broken.loop.run(broken.advance, until)
            if until == 3:
                judge = {k: v.clone() for k, v in broken.judge.state_dict().items()}
        resumed = train(recipe, run)
        for part in ("averaged", "detector", "judge"):
            assert same(getattr(whole, part).state_dict(), getattr(resumed, part).state_dict())
        assert judge is None or same(judge, resumed.judge.state_dict())
    assert not same(whole.judge.state_dict(), whole.detector.state_dict()), "the detector did not learn along"
    weights = load_file(tmp_path / "whole" / "denoiser.safetensors")
    assert same(weights, whole.averaged.state_dict())
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert log[0]["begin"] == 0 and [line["stage"] for line in log[1:]] == [
        *("detector", "detector", "denoiser", "denoiser", "joint", "joint")
    ]


def test_two_processes_for_detector_and_denoiser_end_with_the_same_weights_as_one(data, tmp_path):
    recipe = recipe_for(data, tmp_path)
    whole = train(recipe, tmp_path / "whole")
    for stage in ("denoiser", "detector"):
        train(recipe, tmp_path / "apart", only=stage)
    apart = train(recipe, tmp_path / "apart")
    for part in ("averaged", "detector", "judge"):
        assert same(getattr(whole, part).state_dict(), getattr(apart, part).state_dict())
    other = recipe_for(data, tmp_path, seed=2)
    with pytest.raises(RunError, match="detector in the run folder is of another recipe"):
        (tmp_path / "other").mkdir()
        (tmp_path / "apart" / "detector.pt").rename(tmp_path / "other" / "detector.pt")
        train(other, tmp_path / "other")


def test_a_baseline_starts_where_the_other_run_was_before_the_joint_stage(data, tmp_path):
    recipe = recipe_for(data, tmp_path)
    first = train(recipe, tmp_path / "lidnet")
    baseline = recipe_for(data, tmp_path, name="baseline", roi=0.0, detection=0.0, retention=0.0, detector_every=0)
    second = train(baseline, tmp_path / "baseline", start=tmp_path / "lidnet")
    alone = train(baseline, tmp_path / "alone")
    assert same(second.averaged.state_dict(), alone.averaged.state_dict())
    assert same(first.judge.state_dict(), second.judge.state_dict()) and same(
        second.judge.state_dict(), second.detector.state_dict()
    )
    assert not same(first.averaged.state_dict(), second.averaged.state_dict())
    other = recipe_for(data, tmp_path, seed=2)
    with pytest.raises(RunError, match="another recipe"):
        train(other, tmp_path / "other", start=tmp_path / "lidnet")
    with pytest.raises(RunError, match="another recipe"):
        train(other, tmp_path / "lidnet")


def test_a_short_training_already_takes_noise_away(data, tmp_path):
    recipe = recipe_for(
        data,
        tmp_path,
        detector_stage={"steps": 0, "batch": 1, "crop": 64, "lr": 0.0},
        denoiser_config={"channels": [16], "blocks": [1]},
        denoiser_stage={"steps": 150, "batch": 4, "crop": 64, "lr": 5e-3},
        joint_stage={"steps": 0, "batch": 1, "crop": 64, "lr": 0.0},
    )
    run = LIDnetRun(recipe, read_pairs(data), Loop(tmp_path / "run", recipe.to_dict()))
    crops = [LesionCrops(read_pairs(data), 9, 96)(n) for n in range(8)]
    low, clean = (
        torch.from_numpy(np.stack([getattr(crop, kind) for crop in crops]))[:, None] for kind in ("low", "clean")
    )
    run.loop.resume()
    run.loop.run(run.advance, until=150)
    with torch.no_grad():
        left = (denoised(run.denoiser, low) - clean).square().mean() / (low - clean).square().mean()
    assert left < 0.97  # 1 is what an untrained network leaves


def test_damaged_data_and_recipes_are_named(data, tmp_path):
    with pytest.raises(TrainingDataError, match=r"pairs\.json"):
        read_pairs(tmp_path)
    pair = read_pairs(data)[0]
    assert pair.read().shape == (len(DOSES), SIDE, SIDE)
    for content, message in ((b"nonsense", "cannot be read"), (None, "another layout")):
        path = tmp_path / "x.npy"
        path.write_bytes(content) if content else np.save(path, np.zeros((2, 4, 4)))
        with pytest.raises(TrainingDataError, match=message):
            type(pair)(path, "p", "s", "chest", 1.0, "hann").read()
    with pytest.raises(ValueError, match="nonsense"):
        recipe_for(data, tmp_path, nonsense=1)
    with pytest.raises(ValueError, match="0 or more"):
        recipe_for(data, tmp_path, roi=-1.0)
    assert learning_share(0, 100) == 0.2 and learning_share(4, 100) == 1 and learning_share(99, 100) < 1e-3


def test_figures_are_perfect_for_the_image_without_noise_and_fall_with_the_dose(data):
    (pair,) = (pair for pair in read_pairs(data) if pair.patient in HELD_OUT)
    one = held_out_slice(pair)
    judge = LesionDetector(LesionDetectorConfig(channels=(4, 4, 4, 4), features=4)).eval()
    perfect, full, low = (measure(one, hu, judge) for hu in (one.clean, one.doses[1.0], one.doses[0.1]))
    assert len(one.boxes) >= 8 and perfect.psnr == 60 and perfect.ssim == 1 and perfect.rmse_hu == 0
    assert perfect.psnr > full.psnr > low.psnr and perfect.ssim > full.ssim > low.ssim
    assert full.rmse_hu == pytest.approx(5, abs=0.4) and low.rmse_hu == pytest.approx(16, abs=1)


def test_average_precision_counts_true_boxes_found_in_order_of_their_scores():
    from Training.evaluate_lidnet import _match

    true = np.array([[10, 10, 20, 20], [40, 40, 60, 60]], dtype=np.float32)
    right, wrong = true.copy(), np.array([[80, 80, 90, 90]], dtype=np.float32)
    scores = np.array([0.9, 0.8, 0.7], dtype=np.float32)
    both_first = average_precision([_match(np.concatenate([right, wrong]), scores, true)])
    wrong_first = average_precision([_match(np.concatenate([wrong, right]), scores, true)])
    none = average_precision([_match(right[:0], scores[:0], true)])
    assert both_first == {0.1: pytest.approx(1.0), 0.5: pytest.approx(1.0)} and none[0.5] == 0
    assert 0.5 < wrong_first[0.5] < 0.8
    half_over = true + np.array([4, 0, 4, 0], dtype=np.float32)
    loose = average_precision([_match(half_over[:1], scores[:1], true[:1])])
    assert loose[0.1] == pytest.approx(1.0) and loose[0.5] == 0


def test_a_run_becomes_a_bundle_that_the_engine_takes(data, tmp_path):
    recipe = recipe_for(data, tmp_path)
    train(recipe, tmp_path / "run")
    rows = evaluate(data, tmp_path / "run", {"LIDnet": tmp_path / "run"}, (0.1,), repeats=10)
    assert [(row["name"], row["part"]) for row in rows] == [
        (name, part) for name in ("low dose", "LIDnet", "full dose") for part in ("all", "chest")
    ]
    assert rows[-1]["psnr"][0] > rows[0]["psnr"][0] and all(len(row["ap_0.5"]) == 3 for row in rows)
    folder = export(tmp_path / "run", tmp_path / "models", rows)
    model = load_denoiser(folder, "cpu")
    assert model.detector is not None and model.pixel_mm == (SPACING, SPACING)
    hu = noisy_patient(1, 96)
    found = denoise_volume(Volume(hu, np.diag([3.0, 3.0, 5.0, 1.0])), model)
    assert found.volume.hu.shape == hu.shape and any("pixels of 3.00 mm" in one for one in found.warnings)
    card = (folder / "docs" / "README.md").read_text()
    assert "simulated" in card and "Never trained on: acrin001" in card and "| 10%, chest" in card
    with pytest.raises(ValueError, match="may have seen"):
        (tmp_path / "seen").mkdir()
        leaky = json.loads((tmp_path / "run" / "recipe.json").read_text()) | {"held_out": []}
        (tmp_path / "seen" / "recipe.json").write_text(json.dumps(leaky))
        evaluate(data, tmp_path / "seen", {}, (0.1,), repeats=2)
