"""If these fail, labels or folds are wrong and every accuracy figure is too good or too bad."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from Training.data.augment import augment
from Training.data.build import scan_settings
from Training.data.challenge import LabelledImage, TrainingDataError, read_challenge_folder
from Training.data.folds import patient_folds
from Training.data.surrogate import PUBLISHED_HISTOGRAM, SurrogateScore, dose_view_score, monotone
from Training.metrics.agreement import band_plcc, bootstrap, krocc, overall, pair_order, plcc, srocc
from Training.metrics.fidelity import FIDELITIES


def test_surrogate_scores_have_the_published_distribution():
    values = np.random.default_rng(0).normal(25, 4, 20_000)
    surrogate = SurrogateScore.fit("psnr", values)
    levels = np.array([round(surrogate.snapped(v) * 5) for v in values])
    shares = np.bincount(levels, minlength=21) / len(values)
    assert np.abs(shares - np.array(PUBLISHED_HISTOGRAM) / 1000).max() < 0.01
    again = SurrogateScore.from_dict(json.loads(json.dumps(surrogate.to_dict())))
    assert again(23.0) == surrogate(23.0)


def test_surrogate_score_never_falls_when_fidelity_rises():
    surrogate = SurrogateScore.fit("psnr", np.repeat([10.0, 20.0, 30.0], 50))
    scores = [surrogate(v) for v in np.linspace(0, 40, 200)]
    assert np.all(np.diff(scores) >= 0) and scores[0] == 0.0 and scores[-1] == 4.0


def test_a_lucky_noise_draw_does_not_turn_the_order_of_dose_around():
    measured = {(1.0, 720): 30.0, (0.5, 720): 25.0, (0.25, 720): 25.1, (1.0, 360): 30.2}
    assert monotone(measured) == {(1.0, 720): 30.2, (0.5, 720): 25.1, (0.25, 720): 25.1, (1.0, 360): 30.2}


def test_the_dose_and_view_formula_gives_its_known_corners():
    assert dose_view_score(1.0, 720) == 4.0
    assert dose_view_score(0.1, 720) == pytest.approx(1.5)
    assert dose_view_score(0.1, 180) == 0.0


def test_kernel_and_photons_vary_between_the_slices_of_a_patient():
    """One setting per patient would let a network learn the kernel in the place of the quality."""
    drawn = [scan_settings(f"phantom{seed:03d}-{k:03d}") for seed in (0, 1, 900) for k in range(40)]
    assert len({seed for seed, _, _ in drawn}) == len({photons for _, _, photons in drawn}) == 120
    assert {kernel for _, kernel, _ in drawn[:40]} == {"hann", "soft", "cosine", "shepp-logan", "ramp"}


def test_every_fidelity_falls_when_noise_is_added():
    rng = np.random.default_rng(1)
    reference = np.zeros((96, 96), dtype=np.float32)
    reference[30:60, 30:60] = 80.0
    body = np.ones_like(reference, dtype=bool)
    noise = rng.normal(0, 1, reference.shape).astype(np.float32)
    for name, measure in FIDELITIES.items():
        values = [measure(reference, reference + sd * noise, body) for sd in (2.0, 10.0, 40.0)]
        assert values[0] > values[1] > values[2], name


def write_set(root, names, scores, groups=None):
    (root / "image").mkdir()
    for name in names:
        tifffile.imwrite(root / "image" / name, np.full((8, 8), 0.5, dtype=np.float32))
    (root / "train.json").write_text(json.dumps(dict(zip(names, scores, strict=True))))
    if groups:
        (root / "groups.json").write_text(json.dumps(groups))


def test_published_and_simulated_layouts_read_alike(tmp_path):
    names = ["0000.tif", "0001.tif"]
    write_set(tmp_path, names, [0.2, 3.8])
    plain = read_challenge_folder(tmp_path)
    assert [i.score for i in plain] == [0.2, 3.8] and plain[0].patient != plain[1].patient
    (tmp_path / "groups.json").write_text(json.dumps({n: {"patient": "p", "source": "s", "dose": 0.5} for n in names}))
    grouped = read_challenge_folder(tmp_path)
    assert {i.patient for i in grouped} == {"p"} and grouped[0].dose == 0.5
    assert grouped[0].read().shape == (8, 8)


@pytest.mark.parametrize("defect", ["no json", "missing image", "score out of range", "values out of range"])
def test_a_wrong_data_set_is_refused_with_advice(tmp_path, defect):
    write_set(tmp_path, ["0000.tif"], [5.0 if defect == "score out of range" else 1.0])
    if defect == "no json":
        (tmp_path / "train.json").unlink()
    if defect == "missing image":
        (tmp_path / "image" / "0000.tif").unlink()
    if defect == "values out of range":
        tifffile.imwrite(tmp_path / "image" / "0000.tif", np.full((8, 8), 300.0, dtype=np.float32))
    with pytest.raises(TrainingDataError) as refused:
        for image in read_challenge_folder(tmp_path):
            image.read()
    assert refused.value.advice and str(tmp_path) not in str(refused.value)


def test_folds_never_split_a_patient(tmp_path):
    images = [LabelledImage(tmp_path, 1.0, f"p{n % 7}", f"s{n}") for n in range(70)]
    folds = patient_folds(images, 3, seed=2)
    assert sorted(n for fold in folds for n in fold) == list(range(70))
    patients = [{images[n].patient for n in fold} for fold in folds]
    assert not (patients[0] & patients[1] or patients[1] & patients[2] or patients[0] & patients[2])
    assert max(map(len, folds)) - min(map(len, folds)) <= 10


def test_augmentation_moves_pixels_and_invents_none():
    """A resampled or smoothed pixel would change the noise, and with it the label."""
    image = np.random.default_rng(0).random((64, 48)).astype(np.float32)
    for seed in range(20):
        changed = augment(image, np.random.default_rng(seed))
        assert changed.size == image.size and np.isin(changed[changed > 0], image).all()
        assert np.isin(augment(image, np.random.default_rng(seed), crop=32), image).all()


def test_mild_affine_keeps_the_noise_that_decides_the_label():
    """The published recipe turns and scales; smoothing the noise by it would raise a score that stays as it was."""
    rng = np.random.default_rng(0)
    noise = gaussian_filter(rng.normal(0, 1, (160, 160)), 0.8)  # as reconstructed noise is: correlated
    image = (0.5 + 0.03 * noise / noise.std()).astype(np.float32)
    shares = []
    for seed in range(8):
        changed = augment(image, np.random.default_rng(seed), kind="affine")
        assert changed.shape == image.shape and changed.dtype == np.float32 and 0 <= changed.min() <= changed.max() <= 1
        shares.append(changed[60:100, 60:100].std() / 0.03)
    assert 0.9 < np.mean(shares) < 1.1 and np.ptp(shares) > 0


def test_correlations_are_scipys_and_survive_constants():
    true, predicted = np.array([0.0, 1, 2, 3, 4]), np.array([0.1, 0.9, 2.5, 2.4, 4.0])
    assert overall(true, true) == pytest.approx(3.0)
    assert overall(predicted, true) == pytest.approx(plcc(predicted, true) + 0.9 + 0.8)
    assert srocc(-true, true) == pytest.approx(1.0)  # the challenge takes absolute values
    assert krocc(np.ones(5), true) == 0.0


def test_bands_hold_every_image_once():
    true = np.linspace(0, 4, 81)
    assert all(v == pytest.approx(1.0) for v in band_plcc(true, true).values())
    assert band_plcc(true[:15], true[:15]).keys() == {"0-1"}
    assert band_plcc(-true, true)["1-2"] == pytest.approx(-1.0)  # turned around within a band is no merit


def test_bootstrap_resamples_sources_not_images():
    """Twelve variants of one slice must not count as twelve independent slices."""
    rng = np.random.default_rng(0)
    offsets = np.repeat(rng.normal(0, 1, 10), 20)
    true = np.tile(np.linspace(0, 4, 20), 10)
    grouped = bootstrap(plcc, true + offsets, true, np.repeat(np.arange(10).astype(str), 20), 200)
    single = bootstrap(plcc, true + offsets, true, np.arange(200).astype(str), 200)
    assert grouped.low <= grouped.value <= grouped.high
    assert grouped.high - grouped.low > single.high - single.low


def test_pair_order_counts_only_pairs_that_differ_twofold_in_one_setting():
    order = pair_order(np.array([4.0, 3.0, 1.0, 2.0]), ["a"] * 4, [1.0, 0.5, 1.0, 0.5], [720, 720, 180, 180])
    assert order["dose"] == (1, 2) and order["views"] == (2, 2)
    assert order["dose, next step"] == (1, 2) and order["views, next step"] == (0, 0)
