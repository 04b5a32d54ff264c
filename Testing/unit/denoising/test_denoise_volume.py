"""If these fail, a denoised volume lies elsewhere, has other HU than it says, or took the place of the original."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.assessment.denoising import NotDenoisableError, blend, denoise_volume, residual
from CTQualityAssessmentLib.assessment.denoising.engine import estimate_noise, network_noise, without_edges
from CTQualityAssessmentLib.denoising import Strength
from CTQualityAssessmentLib.models import load_bundle, load_denoiser
from CTQualityAssessmentLib.models.errors import DamagedBundle, WrongTask
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from scipy.ndimage import gaussian_filter

from Testing.bundle_factory import write_bundle
from Testing.denoiser_factory import noisy_patient, write_denoiser

SPACING = np.diag([3.0, 3.0, 5.0, 1.0])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_denoiser(write_denoiser(tmp_path_factory.mktemp("models") / "tiny"), "cpu")


@pytest.fixture(scope="module")
def volume():
    return Volume(noisy_patient(), SPACING, facts=AcquisitionFacts(modality="CT", kvp=120.0))


def test_the_result_is_the_input_minus_the_networks_noise_on_the_same_grid(model, volume):
    before = volume.hu.copy()
    found = denoise_volume(volume, model)
    assert np.array_equal(volume.hu, before), "the original was changed"
    assert found.volume.hu.dtype == np.int16 and found.volume.hu.shape == volume.hu.shape
    assert np.array_equal(found.volume.ijk_to_ras, volume.ijk_to_ras) and found.volume.facts == volume.facts
    assert found.denoised == (True,) * 4 and not found.partial and found.model == model.identity
    canonical = volume.canonical_slices().hu[1]
    body = body_mask(canonical, (3.0, 3.0))
    expected = np.rint(canonical - estimate_noise(np.ascontiguousarray(canonical), model))
    got = found.volume.canonical_slices().hu[1]
    assert np.array_equal(got[body], expected[body]) and (got[body] != canonical[body]).mean() > 0.5


def test_air_table_and_padding_keep_every_voxel(model, volume):
    hu = volume.hu.copy()
    hu[:, 90:93, 30:60] = 120  # a table below the patient
    with_table = Volume(hu, SPACING)
    found = denoise_volume(with_table, model).volume.hu
    far = np.ones(hu.shape[1:], dtype=bool)
    rows, columns = np.nonzero(body_mask(hu[0], (3.0, 3.0)))
    far[rows.min() - 3 : rows.max() + 4, columns.min() - 3 : columns.max() + 4] = False
    assert far[91, 45] and far.sum() > 1000
    assert np.array_equal(found[:, far], hu[:, far])
    assert np.array_equal(found[hu == -1024], hu[hu == -1024])


@pytest.mark.parametrize("tile", [8, 24, 40])
def test_tiles_leave_no_seam(model, tile):
    """The largest difference between tiles and the whole slice is rounding, far below 1 HU."""
    hu = noisy_patient(1, side=101)[0]
    whole, tiled = (network_noise(hu, model, tile=size) for size in (512, tile))
    assert np.abs(whole).max() > 1
    assert np.abs(whole - tiled).max() < 1e-3


def test_edges_that_the_network_takes_for_noise_stay_and_noise_goes():
    """Noise of 10 HU on tissue, and an edge of bone that a network would blur away."""
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 10, (130, 150)).astype(np.float32)
    tissue = np.full(noise.shape, 50.0, dtype=np.float32)
    edge = np.zeros_like(noise)
    edge[40:42, 20:130] = 120.0
    kept = without_edges(noise + edge, tissue + noise + edge)
    assert np.abs(kept[40:42, 20:130]).mean() < 2
    plain = np.ones_like(noise, dtype=bool)
    plain[34:48] = False
    assert kept[plain].std() / noise[plain].std() > 0.95 and np.corrcoef(kept[plain], noise[plain])[0, 1] > 0.99
    # A region where all is edge counts no more than the slice's own noise.
    busy = noise.copy()
    busy[64:112, 64:112] += rng.choice([-80, 80], (48, 48))
    assert np.abs(without_edges(busy, tissue + busy)[70:106, 70:106]).mean() < 10


def test_beside_a_step_of_the_image_the_noise_stays_and_the_step_is_not_blurred():
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 10, (96, 96)).astype(np.float32)
    step = np.where(np.arange(96) < 48, -100.0, 60.0).astype(np.float32)[None, :] + 0 * noise
    blurred = gaussian_filter(step, (0, 2))
    kept = without_edges(noise + step - blurred, step + noise)
    assert np.abs((kept - noise)[:, 44:52]).mean() < 12 < np.abs((step - blurred)[:, 44:52]).mean()
    assert np.corrcoef(kept[:, :36].ravel(), noise[:, :36].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_same_patient_stored_otherwise_is_denoised_alike(model, axis):
    """Sagittal or coronal storage, mirrored: each voxel of the patient must get the same HU."""
    hu = noisy_patient()
    expected = denoise_volume(Volume(hu, SPACING), model).volume.hu
    order = {0: (2, 1, 0), 1: (1, 0, 2), 2: (0, 1, 2)}[axis]  # which old axis each new one of k, j, i is
    matrix = np.eye(4)
    for new, old in enumerate(order):
        matrix[:, 2 - new] = SPACING[:, 2 - old]
    stored = hu.transpose(order)[:, ::-1]
    matrix[:3, 3] = matrix[:3, 1] * (stored.shape[1] - 1)
    matrix[:3, 1] *= -1
    acquisition = 2 - order.index(0)
    found = denoise_volume(Volume(np.ascontiguousarray(stored), matrix, acquisition), model).volume
    assert np.array_equal(found.ijk_to_ras, matrix)
    assert np.array_equal(found.hu[:, ::-1], expected.transpose(order))


def test_a_cancel_stops_at_the_next_slice_and_leaves_the_rest_as_it_was(model, volume):
    seen = []
    found = denoise_volume(volume, model, progress=lambda *step: seen.append(step), cancelled=lambda: len(seen) > 2)
    assert found.partial and found.denoised == (True, True, False, False)
    assert np.array_equal(found.volume.hu[2:], volume.hu[2:]) and not np.array_equal(found.volume.hu[:2], volume.hu[:2])
    assert [step[:2] for step in seen] == [(0, 4), (1, 4), (2, 4)]


def test_progress_ends_at_all_slices_and_slices_without_a_patient_stay(model, volume):
    hu = volume.hu.copy()
    hu[2] = -1000
    seen = []
    found = denoise_volume(Volume(hu, SPACING), model, progress=lambda *step: seen.append(step))
    assert seen[-1] == (4, 4, "Denoising slices") and found.denoised == (True, True, False, True)
    assert (found.volume.hu[2] == -1000).all()


def test_what_is_no_ct_of_a_patient_is_refused(model, volume):
    with pytest.raises(NotDenoisableError, match="MR"):
        denoise_volume(Volume(volume.hu, SPACING, facts=AcquisitionFacts(modality="MR")), model)
    with pytest.raises(NotDenoisableError, match="without a patient"):
        denoise_volume(Volume(np.full((2, 64, 64), -1000, dtype=np.int16), SPACING), model)


def test_fractional_hu_become_int16_and_values_beyond_the_window_survive(model):
    hu = noisy_patient(1).astype(np.float32)
    hu[0, 40:44, 20:24] = 9000.4  # metal
    found = denoise_volume(Volume(hu, SPACING), model).volume.hu
    assert found.dtype == np.int16
    assert np.abs(found[0, 40:44, 20:24] - 9000).max() < 1000  # the window ends at 3072


def test_residual_and_blend_put_the_original_together_again(model, volume):
    found = denoise_volume(volume, model).volume
    taken = residual(volume, found)
    assert taken.hu.dtype == np.int16 and np.array_equal(found.hu + taken.hu, volume.hu)
    assert np.array_equal(blend(volume, found, Strength(0, 0, 0)).hu, volume.hu)
    assert np.array_equal(blend(volume, found, Strength()).hu, found.hu)
    half = blend(volume, found, Strength(0.5, 0.5, 0.5)).hu
    assert np.abs(half - (volume.hu.astype(float) + found.hu) / 2).max() <= 0.5


def test_each_tissue_has_its_own_strength(model, volume):
    found = denoise_volume(volume, model).volume
    kept = blend(volume, found, Strength(lung=0.0, soft_tissue=1.0, bone=1.0)).hu
    lung, soft = found.hu < -500, (found.hu > -250) & (found.hu < 200)
    assert np.array_equal(kept[lung], volume.hu[lung]) and np.array_equal(kept[soft], found.hu[soft])
    assert not np.array_equal(found.hu[lung], volume.hu[lung])
    assert Strength(0.5, 1, 0).words() == "lung 50 %, soft tissue 100 %, bone 0 %"
    with pytest.raises(ValueError, match="between 0 and 1"):
        Strength(lung=1.5)
    with pytest.raises(ValueError, match="same grid"):
        blend(volume, Volume(found.hu[:2], SPACING), Strength())


def test_a_scorer_is_no_denoiser_and_the_other_way_round(tmp_path, model):
    with pytest.raises(WrongTask, match="takes no noise away"):
        load_denoiser(write_bundle(tmp_path / "scorer"), "cpu")
    with pytest.raises(WrongTask, match="gives no scores"):
        load_bundle(write_denoiser(tmp_path / "denoiser"), "cpu")
    assert model.detector is not None and model.pixel_mm == (0.5, 1.1)


def test_weights_of_another_network_are_refused(tmp_path):
    folder = write_denoiser(tmp_path / "other")
    metadata = folder / "configs" / "metadata.json"
    metadata.write_text(metadata.read_text().replace('"channels": [4, 6]', '"channels": [4, 8]'))
    with pytest.raises(DamagedBundle, match="do not fit"):
        load_denoiser(folder, "cpu")


def test_the_same_volume_twice_gives_the_same_voxels(model, volume):
    first, second = (denoise_volume(volume, model).volume.hu for _ in range(2))
    assert np.array_equal(first, second)
    assert not any(p.requires_grad for p in model.network.parameters())
