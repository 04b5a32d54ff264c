"""If these fail, simulated noise is not CT noise, and everything trained on it learns the wrong thing."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("astra")

from Training.simulation.ct import KERNELS, simulate_ladder, simulate_slice
from Training.simulation.theory import noise_sd_at_centre, radial_nps, water_disc

SIZE, SPACING, DIAMETER = 128, 2.5, 220.0
CENTRE = slice(SIZE // 2 - 12, SIZE // 2 + 12)
PHOTONS = 2e5


@pytest.fixture(scope="module")
def disc() -> np.ndarray:
    return water_disc(SIZE, SPACING, DIAMETER)


def noise_of(disc: np.ndarray, **settings) -> np.ndarray:
    """Noise-only regions at the centre: differences of two readings over sqrt(2), ``(6, 24, 24)``."""
    first, second = (
        [simulate_slice(disc, SPACING, seed=seed, photons=PHOTONS, **settings)[CENTRE, CENTRE] for seed in seeds]
        for seeds in (range(6), range(6, 12))
    )
    return (np.array(first) - np.array(second)) / np.sqrt(2)


@pytest.mark.parametrize("kernel", ["ramp", "hann", "soft"])
@pytest.mark.parametrize(("dose", "views"), [(1.0, 720), (0.25, 360)])
def test_noise_in_water_is_what_theory_says(disc, kernel, dose, views):
    expected = noise_sd_at_centre(
        DIAMETER, SPACING, photons=PHOTONS * dose, electronic_sd=8.0, views=views, kernel=kernel
    )
    measured = noise_of(disc, dose=dose, views=views, kernel=kernel).std()
    assert measured == pytest.approx(expected, rel=0.10)


def test_noise_grows_with_the_inverse_root_of_dose(disc):
    full, quarter = (noise_of(disc, dose=dose, views=720, electronic_sd=0.0).std() for dose in (1.0, 0.25))
    assert quarter / full == pytest.approx(2.0, rel=0.08)


def test_water_stays_zero_hu_at_every_dose_and_kernel(disc):
    for kernel in KERNELS:
        for image in simulate_ladder(disc, SPACING, seed=3, kernel=kernel, doses=(1.0, 0.25), views=(720,)).values():
            assert abs(image[CENTRE, CENTRE].mean()) < 3.0


def test_noise_texture_is_correlated_and_its_power_adds_up_to_the_variance(disc):
    regions = noise_of(disc, dose=0.5, views=720)
    frequency, power = radial_nps(regions, SPACING, bins=10)
    peak = frequency[np.argmax(power)]
    assert 0.02 < peak < 0.15  # band-pass of ramp times Hann, Nyquist is 0.2 / mm
    assert power[0] < 0.5 * power.max() and power[-1] < 0.5 * power.max()
    axis = np.fft.fftfreq(24, SPACING)
    plane = np.interp(np.hypot(axis[:, None], axis).ravel(), frequency, power).sum() / (24 * SPACING) ** 2
    assert plane == pytest.approx(regions.var(), rel=0.25)


def test_fewer_views_only_add_streaks(disc):
    """View reduction of one reading must degrade it, never change its brightness."""
    ladder = simulate_ladder(disc, SPACING, seed=1, doses=(1.0,), views=(720, 360, 180))
    error = {v: np.std((ladder[1.0, v] - disc)[32:96, 32:96]) for v in (720, 360, 180)}
    assert error[720] < error[360] < error[180]


def test_fat_and_air_keep_their_hu_when_photons_run_out():
    """Few photons bias the logarithm; without the two-point scale a low dose would look like another tissue."""
    phantom = water_disc(SIZE, SPACING, 280.0)
    phantom[phantom > -500] = -100.0
    phantom[40:88, 40:88] = 60.0
    result = simulate_slice(phantom, SPACING, dose=0.1, views=720, seed=5, photons=PHOTONS)
    fat = np.zeros_like(phantom, dtype=bool)
    fat[56:72, 24:34] = True
    assert abs(result[fat].mean() + 100.0) < 12.0


def test_the_same_seed_gives_the_same_slice_and_shape_is_kept(disc):
    wide = disc[20:-20]
    first, second = (simulate_slice(wide, SPACING, dose=0.25, views=180, seed=9) for _ in range(2))
    assert first.shape == wide.shape and np.array_equal(first, second)
    assert not np.array_equal(first, simulate_slice(wide, SPACING, dose=0.25, views=180, seed=10))


def test_views_that_do_not_divide_a_turn_are_refused(disc):
    with pytest.raises(ValueError, match="divisor"):
        simulate_slice(disc, SPACING, dose=1.0, views=500, seed=1)
