"""Degradations of whole volumes do what their physics says, no more and no less."""

import math

import numpy as np
import pytest

pytest.importorskip("astra", reason="the simulated scan needs astra-toolbox")

from Training.data.build_volumes import ct_levels, degrade_ct, degrade_mr, mr_levels, write_volume
from Training.data.volume_degradations.bias_field import add_bias_field, bias_field
from Training.data.volume_degradations.ct_scan import scan
from Training.data.volume_degradations.dose_noise import add_dose_noise
from Training.data.volume_degradations.ghosting import add_ghosts
from Training.data.volume_degradations.kernel import KERNELS_BY_SHARPNESS, reconstruct_with
from Training.data.volume_degradations.labels import ct_score, mr_score
from Training.data.volume_degradations.motion import move
from Training.data.volume_degradations.rician_noise import add_rician_noise
from Training.data.volume_degradations.thickness import thicken
from Training.data.volume_degradations.undersampling import sampled_lines, undersample
from Training.data.volume_degradations.views import keep_views
from Training.data.volume_sources import CT_SIZE, CT_SOURCES, read_source

SIZE, SPACING = 96, 3.5
PHOTONS = 3e5


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def disc():
    """Three slices of a water disc of 240 mm with a denser insert off centre, in HU."""
    axis = np.arange(SIZE) - (SIZE - 1) / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    hu = np.where(x**2 + y**2 < (120 / SPACING) ** 2, 0.0, -1000.0)
    hu[(x - 12) ** 2 + (y + 8) ** 2 < 8**2] = 100.0  # right of the middle and above it
    return np.repeat(hu[None].astype(np.float32), 3, axis=0)


@pytest.fixture(scope="module")
def exact(disc):
    return scan(disc, SPACING, views=240)


@pytest.fixture(scope="module")
def limb():
    """A smooth magnitude image of 4 slices: tissue of 1000 in an ellipse, air around it."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (4, 64, 72)), indexing="ij")
    return (1000.0 / (1 + np.exp(25 * (np.hypot(axes[1] / 0.6, axes[2] / 0.7) - 1)))).astype(np.float32)


# CT


def test_imagined_patients_are_ct_of_their_own():
    """Nine real patients are too few; an imagined one that is noisy, or stands for two, would teach something false."""
    names = [name for name in CT_SOURCES if name.startswith("phantom")]
    assert len({CT_SOURCES[name] for name in names}) == len(names) == 10
    first, second = (read_source(name, ct_slices=2, mr_slices=2) for name in names[:2])
    assert first.values.shape == (2, CT_SIZE, CT_SIZE) and first.spacing_mm == (5.0, 1.5, 1.5)
    assert (first.modality, first.organ, first.patient) == ("CT", "abdomen", names[0])
    assert np.median(first.values[0, :10]) < -950 and not np.array_equal(first.values, second.values)


def test_a_scan_gives_the_slice_back(disc, exact):
    """Everything that is learned from the simulation would be learned on wrong or displaced anatomy."""
    found = exact.reconstruct("hann")
    middle = (slice(None), slice(28, 68), slice(28, 68))
    assert np.abs(found - disc)[middle].mean() < 6
    assert found[0, 48 - 8, 48 + 12] == pytest.approx(100, abs=8)
    assert found[0, 48 + 8, 48 - 12] == pytest.approx(0, abs=8)


def test_picked_pixels_are_those_of_the_whole_reconstruction(exact):
    """The network would be trained on other pixels than the ones it is shown."""
    for every in (2, 3):
        first = (every - 1) // 2
        whole = exact.reconstruct("hann")[:, first::every, first::every]
        np.testing.assert_allclose(exact.reconstruct("hann", every), whole, atol=0.05)


@pytest.mark.parametrize("dose", [1.0, 0.25])
def test_dose_noise_has_the_variance_of_photon_counting(exact, dose):
    """Doses in the labels and noise in the images would not belong together."""
    still = exact.with_integrals(np.full((2, 60, 400), 2.0, dtype=np.float32))
    noisy = add_dose_noise(still, dose, rng(), photons=PHOTONS, electronic_sd=0.0)
    expected = math.exp(2.0) / (2 * PHOTONS * dose)
    assert (noisy.integrals - 2.0).var() == pytest.approx(expected, rel=0.03)
    assert noisy.integrals.mean() == pytest.approx(2.0, abs=1e-4)


def test_full_views_and_no_motion_change_nothing(exact):
    """Undegraded volumes would be degraded."""
    assert keep_views(exact, 240).integrals is not None
    np.testing.assert_array_equal(keep_views(exact, 240).integrals, exact.integrals)
    np.testing.assert_allclose(move(exact, 0.0).integrals, exact.integrals, atol=1e-5)
    np.testing.assert_array_equal(add_dose_noise(exact, math.inf, rng(), photons=1.0).integrals, exact.integrals)


def test_fewer_views_keep_their_angles_and_streak(disc, exact):
    """Streaks are what fewer views are made for; views at wrong angles would turn the patient."""
    few = keep_views(exact, 40)
    assert len(few.angles) == 20 and few.integrals.shape[1] == 20
    np.testing.assert_array_equal(few.integrals[:, 3], exact.integrals[:, 18])
    assert few.angles[3] == exact.angles[18]
    streaks = [(keep_views(exact, n).reconstruct("hann") - exact.reconstruct("hann")).std() for n in (120, 60, 40)]
    assert streaks[0] < streaks[1] < streaks[2]


def test_a_patient_who_moves_once_is_displaced_and_nothing_else(exact):
    """Motion would blur or shift by something else than the millimetres that it is graded in."""
    slow = move(exact, 2 * SPACING, cycles=0.0, phase=math.pi / 2)  # sin(pi / 2): up by two pixels throughout
    moved, still = slow.reconstruct("hann"), exact.reconstruct("hann")
    there, before = (np.abs(moved[:, 12:80] - still[:, 12 + up : 80 + up]).mean() for up in (2, 0))
    assert there < 3 < 10 * there < before
    shaken = move(exact, 2 * SPACING, cycles=1.5).reconstruct("hann")
    assert (shaken - still).std() > 10


def test_sharper_kernels_have_more_noise(exact):
    """The grades of the kernel would be out of order."""
    noisy = add_dose_noise(exact, 1.0, rng(), photons=PHOTONS)
    noise = [(reconstruct_with(noisy, k) - reconstruct_with(exact, k))[0].std() for k in KERNELS_BY_SHARPNESS]
    assert noise == sorted(noise) and noise[0] < 0.5 * noise[-1]


def test_thick_slices_average_noise_and_keep_the_mean():
    """A slice three times as thick has a third of the noise variance, and the anatomy of its neighbours."""
    noise = rng().normal(40, 10, (30, 40, 40)).astype(np.float32)
    thick = thicken(noise, 3)
    assert thick[1:-1].var() == pytest.approx(noise.var() / 3, rel=0.03)
    np.testing.assert_allclose(thick[5], noise[4:7].mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(thicken(noise, 1), noise)


def test_ct_labels_fall_with_every_degradation(disc, exact):
    """A worse volume would be taught as a better one."""
    clean, body = exact.reconstruct("hann"), disc > -300

    def score(changed, kernel="hann"):
        return ct_score(clean, changed.reconstruct(kernel), body)

    doses = [score(add_dose_noise(exact, d, rng(), photons=PHOTONS)) for d in (1, 0.5, 0.25, 0.1, 0.05)]
    views = [score(keep_views(exact, n)) for n in (240, 80, 48, 24)]
    motion = [score(move(exact, mm)) for mm in (0, 2, 5, 10)]
    for grades in (doses, views, motion):
        assert grades == sorted(grades, reverse=True) and grades[0] > grades[-1] + 0.1
        assert all(0 <= grade <= 1 for grade in grades)
    assert ct_score(clean, clean, body) == 1.0
    assert math.isnan(ct_score(clean, clean, np.zeros_like(body)))


def test_one_seed_is_one_degraded_ct(exact):
    """An interrupted build would go on with other data than it began with."""
    levels = {**ct_levels(rng(3)), "photons": PHOTONS, "views": 120}
    first, second = (degrade_ct(exact, levels, rng(5), 2) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (3, SIZE // 2, SIZE // 2)


# MR


@pytest.mark.parametrize("snr", [5.0, 20.0])
def test_rician_noise_has_the_stated_level(snr):
    """The SNR in the label and the noise in the image would differ: Rayleigh in air, Gaussian in tissue."""
    sd = 1000.0 / snr
    air = add_rician_noise(np.zeros((50, 60, 60)), snr, rng(), signal=1000.0)
    tissue = add_rician_noise(np.full((50, 60, 60), 20 * sd), snr, rng(), signal=1000.0)
    assert air.mean() == pytest.approx(sd * math.sqrt(math.pi / 2), rel=0.01)
    assert air.std() == pytest.approx(sd * math.sqrt(2 - math.pi / 2), rel=0.01)
    assert tissue.std() == pytest.approx(sd, rel=0.01)
    assert tissue.mean() == pytest.approx(20 * sd + sd / 40, rel=1e-3)


def test_undersampling_keeps_the_energy_of_the_measured_lines(limb):
    """Parseval: what the zero-filled image holds is what was measured, neither more nor less."""
    kept = np.fft.ifftshift(sampled_lines(64, 3.0, rng(1)))
    found = undersample(limb, 3.0, rng(1))
    measured = np.abs(np.fft.fft(limb, axis=1)[:, kept]) ** 2
    assert (found.astype(float) ** 2).sum() == pytest.approx(measured.sum() / 64, rel=1e-4)
    np.testing.assert_allclose(undersample(limb, 1.0, rng()), limb, atol=0.05)


@pytest.mark.parametrize("acceleration", [1.0, 2.0, 3.7, 5.0])
def test_undersampling_measures_the_stated_share_and_the_middle(acceleration):
    """An acceleration would not be what its label says, or the contrast of the image would be lost."""
    kept = sampled_lines(120, acceleration, rng())
    assert kept.sum() == round(120 / acceleration)
    assert kept[60]


def test_a_ghost_lies_half_a_field_away_with_its_amplitude(limb):
    """Ghosts are graded by their amplitude."""
    image = np.zeros((1, 64, 72), dtype=np.float32)
    image[0, 10:14, 30:40] = 1000
    ghosted = add_ghosts(image, 0.2)
    np.testing.assert_allclose(ghosted[0, 42:46, 30:40], 200, atol=0.5)
    np.testing.assert_allclose(ghosted[0, 10:14, 30:40], 1000, atol=0.5)
    np.testing.assert_allclose(add_ghosts(limb, 0.0), limb, atol=0.05)


@pytest.mark.parametrize("ratio", [1.0, 2.0, 5.0])
def test_a_bias_field_spans_its_ratio_and_is_smooth(limb, ratio):
    """A field is graded by its ratio; an edge in it would be taken for anatomy."""
    field = bias_field((4, 64, 72), ratio, rng())
    assert field.max() / field.min() == pytest.approx(ratio, rel=1e-4)
    steps = np.abs(np.diff(np.log(field), axis=2)).max()
    assert steps <= 6 * math.log(ratio) / 72 + 1e-6
    np.testing.assert_allclose(add_bias_field(limb, 1.0, rng()), limb, rtol=1e-5)


def test_mr_labels_fall_with_every_degradation():
    """A worse volume would be taught as a better one."""
    for name, levels in {
        "snr": (math.inf, 60, 30, 10, 4),
        "acceleration": (1, 2, 3, 5),
        "ghost": (0, 0.05, 0.2, 0.3),
        "bias": (1, 1.5, 3, 6),
    }.items():
        grades = [mr_score(**{name: level}) for level in levels]
        assert grades == sorted(grades, reverse=True) and grades[0] == 1.0 and 0 <= grades[-1] < 0.8, name
    assert mr_score(snr=30, ghost=0.1) < min(mr_score(snr=30), mr_score(ghost=0.1))


def test_one_seed_is_one_degraded_mr(limb):
    """An interrupted build would go on with other data than it began with."""
    levels = {"snr": 20.0, "acceleration": 2.0, "ghost": 0.1, "bias": 2.0}
    first, second = (degrade_mr(limb, levels, rng(5), 1000.0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert set(mr_levels(rng())) == set(levels)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda e, i: add_dose_noise(e, 0.0, rng(), photons=1e5),
        lambda e, i: keep_views(e, 100),
        lambda e, i: reconstruct_with(e, "wobbly"),
        lambda e, i: move(e, -1.0),
        lambda e, i: thicken(i, 2),
        lambda e, i: add_rician_noise(i, 0.0, rng(), signal=1.0),
        lambda e, i: undersample(i, 0.5, rng()),
        lambda e, i: add_ghosts(i, 1.0),
        lambda e, i: add_bias_field(i, 0.5, rng()),
    ],
)
def test_impossible_levels_are_refused(exact, limb, wrong):
    """A slip in a recipe would make a data set of something else."""
    with pytest.raises(ValueError):
        wrong(exact, limb)


def test_written_volumes_read_back_as_they_were_seen(tmp_path):
    """Training volumes would come in mirrored or upside down against the ones that are assessed."""
    pytest.importorskip("nibabel")
    from CTQualityAssessmentLib.reading import read_volume

    hu = rng().integers(-1000, 200, (5, 30, 40)).astype(np.float32)
    write_volume(tmp_path / "a.nii", hu, (5.0, 1.5, 1.25))
    slices = read_volume(tmp_path / "a.nii").canonical_slices()
    np.testing.assert_array_equal(slices.hu, hu)
    np.testing.assert_allclose(np.linalg.norm(slices.ijk_to_ras[:3, :3], axis=0), (1.25, 1.5, 5.0))
