"""If these fail, the guard says that lesions survive where they do not: the one figure that must not be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.assessment.denoising import lesions_kept, slice_denoiser
from CTQualityAssessmentLib.assessment.denoising.guard import LESION_TESTS, LesionTest
from CTQualityAssessmentLib.assessment.denoising.lesions import Lesion, lesion_box, lesion_hu, lesion_places
from CTQualityAssessmentLib.denoising import Retention, Strength
from CTQualityAssessmentLib.models import load_denoiser
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from scipy.ndimage import gaussian_filter

from Testing.denoiser_factory import noisy_patient, write_denoiser

SIDE, PIXEL = 256, 1.2
TEST = (LesionTest(4.0, 20.0, "soft tissue"),)


@pytest.fixture(scope="module")
def volume():
    return Volume(noisy_patient(3, SIDE), np.diag([PIXEL, PIXEL, 5.0, 1.0]), facts=AcquisitionFacts(modality="CT"))


def blur(sigma_mm):
    return lambda hu, spacing: gaussian_filter(hu, [sigma_mm / one for one in spacing])


def test_a_lesion_has_the_contrast_size_and_edge_that_it_says():
    spacing = (0.25, 0.25)
    hu = lesion_hu(Lesion(8.0, -30.0, edge_mm=2.0), (161, 161), (80.0, 80.0), spacing)
    assert hu[80, 80] == pytest.approx(-30, abs=0.1) and hu[0, 0] == 0
    profile = -hu[80, 80:] / 30
    radius = np.arange(len(profile)) * 0.25
    half, ninety, ten = (np.interp(-level, -profile, radius) for level in (0.5, 0.9, 0.1))
    assert half == pytest.approx(4.0, abs=0.05) and ten - ninety == pytest.approx(2.0, abs=0.05)
    # Rows of 0.5 mm: half as many.
    assert (np.abs(lesion_hu(Lesion(8, 1), (99, 99), (49, 49), (0.5, 0.25))) > 0.5).any(1).sum() == pytest.approx(
        16, abs=1
    )


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0])
def test_the_box_encloses_the_lesion_and_no_more(angle):
    lesion = Lesion(12.0, 100.0, edge_mm=0.3, aspect=0.5, angle_deg=angle)
    rows, columns = np.nonzero(lesion_hu(lesion, (120, 140), (50.3, 70.8), (0.5, 0.4)) > 50)
    left, top, right, bottom = lesion_box(lesion, (50.3, 70.8), (0.5, 0.4))
    assert (left, right) == pytest.approx((columns.min(), columns.max() + 1), abs=1.1)
    assert (top, bottom) == pytest.approx((rows.min(), rows.max() + 1), abs=1.1)


def test_texture_is_inside_only_and_the_same_for_the_same_seed():
    first, second = (lesion_hu(Lesion(20, 50, texture_hu=10, seed=4), (80, 80), (40, 40), (1, 1)) for _ in range(2))
    assert np.array_equal(first, second) and first[34:46, 34:46].std() > 2 and not first[:20].any()
    with pytest.raises(ValueError, match="positive"):
        Lesion(0.0, 10.0)


def test_places_lie_in_their_tissue_with_room_around(volume):
    hu = volume.canonical_slices().hu[0]
    smooth = gaussian_filter(hu.astype(float), 3)
    body = body_mask(hu, (PIXEL, PIXEL))
    for tissue, mean, spread in (("soft tissue", 45, 25), ("lung", -850, 25)):
        found = lesion_places(hu, (PIXEL, PIXEL), tissue, 6.0, 5, np.random.default_rng(1), noise_hu=15.0)
        assert len(found) == 5
        for row, column in found:
            assert body[row, column]
            around = smooth[row - 2 : row + 3, column - 2 : column + 3]
            assert np.abs(around - mean).max() < spread
        apart = [np.hypot(r - s, c - d) for n, (r, c) in enumerate(found) for s, d in found[:n]]
        assert min(apart) * PIXEL >= 6
    assert lesion_places(hu, (PIXEL, PIXEL), "lung", 200.0, 5, np.random.default_rng(1)) == []


def test_the_identity_keeps_all_and_is_not_flagged(volume):
    for one in lesions_kept(volume, lambda hu, spacing: hu):
        assert one.lesions >= 6 and one.kept == pytest.approx(1.0, abs=1e-3) and not one.flagged
        assert one.sentence().startswith(("Lesion signal kept 100 %", "Lesion signal kept 99 %"))


@pytest.mark.parametrize("sigma_mm", [1.0, 2.0])
def test_a_gaussian_blur_is_caught_and_the_loss_is_the_one_that_theory_gives(volume, sigma_mm):
    (found,) = lesions_kept(volume, blur(sigma_mm), tests=TEST)
    lesion = lesion_hu(Lesion(4.0, 20.0), (SIDE, SIDE), (128, 128), (PIXEL, PIXEL))
    blurred = gaussian_filter(lesion, sigma_mm / PIXEL)
    assert found.kept == pytest.approx((blurred * lesion).sum() / (lesion * lesion).sum(), abs=0.02)
    assert found.flagged and found.sentence().startswith("RED FLAG: Lesion signal kept")
    assert found.interval[0] <= found.kept <= found.interval[1] and found.lowest_tenth <= found.kept


def test_a_denoiser_that_wipes_faint_lesions_and_keeps_edges_is_caught(volume):
    """Thresholding: noise and faint lesions go, organs stay sharp. Sharpness and HU would look perfect."""

    def wipe(hu, spacing):
        smooth = gaussian_filter(hu, 4)
        return np.where(np.abs(hu - smooth) < 60, smooth, hu)

    (found,) = lesions_kept(volume, wipe, tests=TEST)
    assert found.kept < 0.6 and found.flagged


def test_half_the_strength_loses_half_as_much(volume):
    full, half = (
        lesions_kept(volume, lambda hu, s, share=share: hu + share * (blur(2.0)(hu, s) - hu), tests=TEST)[0]
        for share in (1.0, 0.5)
    )
    assert 1 - half.kept == pytest.approx((1 - full.kept) / 2, abs=1e-3)


def test_the_guard_tries_the_network_with_the_strength_that_was_chosen(volume, tmp_path):
    model = load_denoiser(write_denoiser(tmp_path / "tiny"), "cpu")
    nothing, all_of_it = (
        lesions_kept(volume, slice_denoiser(model, Strength(s, s, s)), tests=TEST)[0] for s in (0.0, 1.0)
    )
    assert nothing.kept == pytest.approx(1.0, abs=1e-3) and abs(all_of_it.kept - 1) > 1e-3


def test_the_volume_stays_as_it_is_and_the_same_volume_gives_the_same_answer(volume):
    before = volume.hu.copy()
    first, second = (lesions_kept(volume, blur(1.0), slices=2) for _ in range(2))
    assert first == second and np.array_equal(volume.hu, before) and len(first) == len(LESION_TESTS)
    assert max(one.slices for one in first) == 2


def test_no_room_is_said_and_not_taken_for_success():
    hu = np.full((2, 64, 64), -1000, dtype=np.int16)
    hu[:, 16:48, 16:48] = -80  # fat only
    (found,) = lesions_kept(Volume(hu, np.diag([2.0, 2.0, 5.0, 1.0])), lambda hu, spacing: hu, tests=TEST)
    assert found == Retention(4.0, 20.0, "soft tissue") and not found.flagged
    assert "not measured" in found.sentence() and "no room" in found.sentence()


def test_a_cancelled_guard_tells_only_what_it_finished(volume):
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 4

    found = lesions_kept(volume, lambda hu, spacing: hu, slices=3, cancelled=cancelled)
    assert len(found) == 1 and found[0].slices == 3


def test_a_share_just_under_the_line_does_not_read_as_the_line():
    assert Retention(4, 20, "lung", 9, 2, 0.8996).sentence().startswith("RED FLAG: Lesion signal kept 89 %")
    assert Retention(4, 20, "lung", 9, 2, 0.9).sentence().startswith("Lesion signal kept 90 %")
