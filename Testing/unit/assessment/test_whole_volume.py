"""A network that reads whole volumes, CT and MR: score, profile, maps in 3D, prompt, refusals, files.

If these fail, a volume gets a score of another one, a map lies beside the anatomy, or MR is taken for CT.
"""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from CTQualityAssessmentLib.assessment import Told, assess_volume, patient_mask
from CTQualityAssessmentLib.assessment.prompting import UnknownPromptError, prompt_of
from CTQualityAssessmentLib.assessment.token_maps import slabs
from CTQualityAssessmentLib.assessment.volume_input import volume_input
from CTQualityAssessmentLib.models import load_bundle
from CTQualityAssessmentLib.reporting.csv_file import write_csv
from CTQualityAssessmentLib.reporting.figures import write_figures
from CTQualityAssessmentLib.reporting.json_file import assessment_schema, to_json
from CTQualityAssessmentLib.reporting.web_page import write_web_page
from CTQualityAssessmentLib.result_files import _write_maps
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from CTQualityAssessmentLib.worker.exchange import read_result, write_result

from Testing.assessment_factory import affine
from Testing.bundle_factory import INPUT_SIZE, STATEMENT, write_bundle

GRIDS = {
    "axial": (affine((1.5, 1.5, 4.0)), 2),
    "oblique": (affine((1.5, 1.5, 4.0), rotation_deg=(12, -8, 25)), 2),
    "flipped": (affine((1.5, 1.5, 4.0), flip=(-1, 1, -1)), 2),
    "gantry tilt": (affine((1.5, 1.5, 4.0), shear=0.3), 2),
    "slices along i": (affine((4.0, 1.5, 1.5), permutation=(2, 0, 1)), 0),
    "coronal": (affine((1.5, 1.5, 4.0), rotation_deg=(90, 0, 0)), 2),
}
MR = AcquisitionFacts(modality="MR")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_bundle(write_bundle(tmp_path_factory.mktemp("models") / "tiny-cmmiqa", "cmmiqa"), "cpu")


@pytest.fixture(scope="module")
def scorer_of_ct(tmp_path_factory):
    return load_bundle(write_bundle(tmp_path_factory.mktemp("models") / "tiny"), "cpu")


def patient(slices: int = 20, side: int = INPUT_SIZE, seed: int = 0) -> np.ndarray:
    """HU of a noisy ellipse in air, ``(slices, rows, columns)``."""
    k, j, i = np.mgrid[:slices, :side, :side]
    inside = ((j - side / 2) / (0.4 * side)) ** 2 + ((i - side / 2) / (0.35 * side)) ** 2 < 1
    noise = np.random.default_rng(seed).normal(0, 15, inside.shape)
    return np.where(inside, 40 + noise + 3 * k, -1000 + np.abs(noise)).astype(np.int16)


def stored_on(grid: str, hu: np.ndarray) -> Volume:
    """The slices as a file of that grid holds them."""
    matrix, axis = GRIDS[grid]
    return Volume(hu if axis == 2 else np.ascontiguousarray(hu.transpose(1, 2, 0)), matrix, axis)


def mr_volume(slices: int = 20) -> Volume:
    signal = np.maximum(patient(slices).astype(np.float32) + 1000, 0)
    return Volume(signal, GRIDS["axial"][0], 2, MR, units="signal")


def test_a_volume_gets_a_score_a_profile_and_two_maps(model):
    volume = stored_on("axial", patient())
    found = assess_volume(volume, model, attention_stages=(3,))
    assert 0 <= found.volume_score <= 4
    assert found.summary.scored == volume.slice_count and not found.partial
    score, weight = found.volume_maps
    assert (score.name, weight.name) == ("score", "weight")
    assert score.values.shape == weight.values.shape == (3, 4, 4)
    mean = float((score.values * weight.values).sum() / weight.values.sum())
    assert found.volume_score == pytest.approx(min(mean, 4.0), abs=1e-5)
    layers = (score.values * weight.values).sum((1, 2)) / weight.values.sum((1, 2))
    np.testing.assert_allclose(found.scores()[[0, 8, 16]], np.clip(layers, 0, 4), atol=1e-5)
    assert found.scores()[4] == pytest.approx((found.scores()[0] + found.scores()[8]) / 2, abs=1e-5)
    assert found.model.statement == STATEMENT


@pytest.mark.parametrize("slices", [1, 3, 7, 8, 31, 40, 70])
def test_any_number_of_slices_is_read(model, slices):
    """Thin volumes, thick ones and single slices; the rest of a slab is not lost."""
    found = assess_volume(stored_on("axial", patient(slices)), model)
    assert found.summary.scored == slices
    score = found.volume_maps[0]
    assert len(score.values) == max(1, -(-slices // 8))
    thickness = np.linalg.norm(score.ijk_to_ras[:3, 2])
    assert thickness == pytest.approx(4.0 * (slices if slices <= 8 else 8))


@pytest.mark.parametrize("depth", [1, 7, 31, 32, 33, 47, 48, 64, 65, 300])
def test_slabs_cover_every_slice_once_on_one_even_grid(depth):
    """A slab too many counts slices twice, and layers at uneven distances bend the profile."""
    layers = []
    for start, stop, drop in slabs(depth, 8):
        assert 0 <= start < stop <= depth and stop - start <= 48 and start % 8 == 0
        layers += list(range(start, stop, 8))[drop:]
    assert layers == list(range(0, depth, 8))


@pytest.mark.parametrize("grid", GRIDS)
def test_maps_lie_where_the_network_saw_it(model, grid):
    """A disturbance of the volume shows in the maps at its own place in the patient, however the file is stored."""
    calm = patient(40)
    noisy = calm.copy()
    spot = (slice(20, 29), slice(28, 37), slice(12, 21))  # around slice 24, row 32, column 16
    noisy[spot] += np.random.default_rng(1).normal(0, 200, (9, 9, 9)).astype(np.int16)
    volumes = [stored_on(grid, hu) for hu in (calm, noisy)]
    before, after = (assess_volume(volume, model).volume_maps[1] for volume in volumes)
    change = np.abs(after.values - before.values)
    layer, row, column = np.unravel_index(np.argmax(change), change.shape)
    disturbed = np.argwhere(volumes[0].hu != volumes[1].hu)[:, ::-1].mean(axis=0)
    truth = volumes[0].ijk_to_ras @ [*disturbed, 1]
    in_tokens = np.linalg.solve(after.ijk_to_ras, truth)[:3]
    assert np.abs(in_tokens - (column, row, layer)).max() <= 1.01


@pytest.mark.parametrize("grid", GRIDS)
def test_tokens_are_centred_on_their_own_voxels(model, grid):
    """Token (layer, row, column) belongs to slice 8 layer and pixel 16 row, 16 column of the radiological view."""
    volume = stored_on(grid, patient(24))
    found = assess_volume(volume, model, attention_stages=(3,))
    view = volume.canonical_slices().ijk_to_ras
    for layer, row, column in ((0, 0, 0), (2, 1, 3)):
        token = found.volume_maps[0].ijk_to_ras @ [column, row, layer, 1]
        np.testing.assert_allclose(token, view @ [16 * column, 16 * row, 8 * layer, 1], atol=1e-9)
        overlay = found.attention[0].ijk_to_ras @ [column, row, 8 * layer, 1]
        np.testing.assert_allclose(overlay, token, atol=1e-9)


def test_the_same_patient_stored_otherwise_has_the_same_score(model):
    """A score must not depend on the file format."""
    hu = patient()
    expected = assess_volume(stored_on("axial", hu), model)
    flipped = Volume(hu[:, :, ::-1], affine((1.5, 1.5, 4.0), flip=(-1, 1, 1)), 2)
    along_i = stored_on("slices along i", hu)
    for other in (flipped, along_i):
        found = assess_volume(other, model)
        assert found.volume_score == pytest.approx(expected.volume_score, abs=1e-5)
        np.testing.assert_allclose(found.scores(), expected.scores(), atol=1e-5)


def test_large_slices_are_picked_not_averaged(model):
    """Averaging would take away the noise that is to be judged."""
    hu = np.random.default_rng(0).normal(0, 30, (8, 256, 200)).astype(np.float32)
    volume = Volume(hu, GRIDS["axial"][0], 2)
    given = volume_input(volume, model.window, INPUT_SIZE)
    assert given.every == 4 and given.pixels.shape == (8, 64, 50)
    np.testing.assert_allclose(given.pixels, model.window.apply(volume.canonical_slices().hu[:, 1::4, 1::4]))
    corner = given.ijk_to_ras @ [2, 3, 5, 1]
    np.testing.assert_allclose(corner, volume.canonical_slices().ijk_to_ras @ [9, 13, 5, 1], atol=1e-9)


def test_mr_is_scaled_by_its_own_percentiles_and_scored(model):
    """The signal of MR has no unit: twice the gain is the same image."""
    volume = mr_volume()
    louder = replace(volume, hu=volume.hu * 2.5)
    first, second = (assess_volume(one, model) for one in (volume, louder))
    assert first.volume_score == pytest.approx(second.volume_score, abs=1e-4)
    assert first.prompt.modality == "MR" and first.prompt.modality_from == "Modality"
    pixels = volume_input(volume, model.window, INPUT_SIZE).pixels
    assert pixels.min() == 0 and pixels.max() == 1
    assert 0.2 < patient_mask(volume).mean() < 0.6


def test_scorers_of_ct_refuse_mr(scorer_of_ct):
    """A CT network would give MR a number."""
    found = assess_volume(mr_volume(3), scorer_of_ct)
    assert {one.refusal.code for one in found.slices} == {"not-ct"}
    assert found.volume_score is None and found.prompt is None


def test_the_prompt_comes_from_the_user_then_from_the_tags():
    """The report would say that the network was told something else."""
    facts = AcquisitionFacts(modality="CT", body_part="CHEST", described_organ="abdomen")
    volume = replace(stored_on("axial", patient(3)), facts=facts)
    assert prompt_of(volume).text == "CT (from Modality), chest (from BodyPartExamined)"
    described = replace(volume, facts=replace(facts, body_part="OTHER"))
    assert prompt_of(described).text == "CT (from Modality), abdomen (from the series description)"
    assert prompt_of(volume, Told("MR", "brain")).text == "MR (from the user), brain (from the user)"
    assert prompt_of(volume, Told("unknown", "unknown")).text == "unknown (from the user), unknown (from the user)"
    bare = prompt_of(stored_on("axial", patient(3)))
    assert bare.text == "CT (from the values, which are HU), unknown (from nothing)"
    with pytest.raises(UnknownPromptError, match="brain"):
        Told(organ="tail")


def test_what_the_user_says_changes_the_score(model):
    volume = stored_on("axial", patient())
    told = [assess_volume(volume, model, told=one).volume_score for one in (Told(), Told(organ="brain"), Told("MR"))]
    assert len(set(told)) == 3


def test_slices_without_a_patient_get_no_score(model):
    """Air would be given the score of its neighbours."""
    hu = patient()
    hu[:3] = -1000
    found = assess_volume(stored_on("axial", hu), model, attention_stages=(1,))
    assert [one.refusal.code for one in found.slices if one.refusal] == ["no-body"] * 3
    assert np.isnan(found.attention[0].values[:3]).all() and np.isfinite(found.attention[0].values[3:]).all()
    empty = assess_volume(stored_on("axial", np.full((4, 64, 64), -1000, np.int16)), model)
    assert empty.volume_score is None and empty.summary.scored == 0 and empty.volume_maps == ()


def test_what_is_neither_ct_nor_mr_is_refused(model):
    pet = replace(stored_on("axial", patient()), facts=AcquisitionFacts(modality="PT"))
    counts = Volume(patient().astype(np.int16) + 2000, GRIDS["axial"][0], 2)
    for volume in (pet, counts):
        found = assess_volume(volume, model)
        assert {one.refusal.code for one in found.slices} == {"not-ct"} and found.volume_score is None


def test_a_cancelled_volume_has_no_score(model):
    """A part of the tokens is not the volume."""
    found = assess_volume(stored_on("axial", patient(70)), model, cancelled=lambda: True)
    assert found.partial and found.volume_score is None
    assert {one.refusal.code for one in found.slices} == {"not-run"}


def test_slices_are_told_and_progress_ends_at_the_last_slice(model):
    told, steps = [], []
    assess_volume(
        stored_on("axial", patient(40)),
        model,
        on_slice=told.append,
        progress=lambda done, total, message: steps.append((done, total)),
    )
    assert [one.index for one in told] == list(range(40))
    assert steps[0] == (0, 40) and steps[-1] == (40, 40)


@pytest.mark.parametrize("make", [lambda: stored_on("oblique", patient(12)), lambda: mr_volume(12)])
def test_files_and_exchange_keep_the_result(model, tmp_path, make):
    """What leaves the engine has to come back, follow its schema, and say what the network was told."""
    import nibabel

    volume = make()
    found = assess_volume(volume, model, attention_stages=(3,), told=Told(organ="pelvis"))
    document = json.loads(to_json(found))
    jsonschema.validate(document, assessment_schema())
    again = VolumeAssessment.from_dict(document)
    assert again == replace(found, attention=(), volume_maps=())
    write_result(tmp_path, found)
    back = read_result(tmp_path)
    for mine, theirs in zip(found.volume_maps, back.volume_maps, strict=True):
        assert mine.name == theirs.name
        np.testing.assert_array_equal(mine.values, theirs.values)
        np.testing.assert_array_equal(mine.ijk_to_ras, theirs.ijk_to_ras)
    write_csv(tmp_path / "slices.csv", found)
    assert len((tmp_path / "slices.csv").read_text().splitlines()) == 13
    write_figures(tmp_path / "figures.png", volume, found)
    write_web_page(tmp_path / "index.html", found, volume=volume)
    page = (tmp_path / "index.html").read_text()
    modality = "MR" if volume.is_mr else "CT"
    assert f"{modality} image quality report" in page and "pelvis (from the user)" in page
    assert f"{found.volume_score:.1f} of 4" in page and STATEMENT in page
    _write_maps(tmp_path, found)
    stored = nibabel.load(tmp_path / "weight-map.nii.gz")
    np.testing.assert_allclose(np.asarray(stored.dataobj).T, found.volume_maps[1].values, rtol=1e-6)
    np.testing.assert_allclose(stored.affine, found.volume_maps[1].ijk_to_ras, atol=1e-4)
