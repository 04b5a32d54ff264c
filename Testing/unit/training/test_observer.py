"""If these fail, the d' of the low-contrast phantom is wrong, and with it what is said about lost lesions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from Training.evaluate_phantom import DISCS, PIXEL_MM, inserted, places, read_images
from Training.metrics.observer import answers, detectability, laguerre_gauss, responses

PHANTOM = (
    Path(os.environ.get("CTQA_DATA", Path(__file__).parents[4] / "shared/data")) / "phantom" / "fda_lcd_three_doses"
)


def test_channels_are_orthonormal():
    channels = laguerre_gauss(61, 14.0).reshape(5, -1)
    assert np.allclose(channels @ channels.T, np.eye(5), atol=1e-3)


def test_d_prime_of_a_known_signal_in_white_noise_is_its_energy_over_the_noise():
    """The one case with an answer on paper: d' = |s| / sigma, for a signal that the channels hold whole."""
    rng = np.random.default_rng(0)
    channels = laguerre_gauss(31, 10.0)
    centres = np.array([[20, 20], [20, 60], [60, 20], [60, 60]])
    signal = 3.0 * channels[0]
    absent = rng.normal(0, 2.0, (200, 80, 80))
    present = rng.normal(0, 2.0, (200, 80, 80))
    for image in present:
        for r, c in centres:
            image[r - 15 : r + 16, c - 15 : c + 16] += signal
    seen = [np.stack([responses(image, centres, channels) for image in side]) for side in (present, absent)]
    found = detectability(*(answers(*seen, side) for side in seen))
    assert found == pytest.approx(1.5, abs=0.12)


def test_no_signal_is_not_detected():
    """An observer that judged the images it learned from would find something in pure noise."""
    rng = np.random.default_rng(1)
    seen = [rng.normal(0, 1, (10, 2, 5)) for _ in range(2)]
    assert abs(detectability(*(answers(*seen, side) for side in seen))) < 1.0
    with pytest.raises(ValueError, match="three images"):
        answers(seen[0][:2], seen[1][:2], seen[0][:2])


@pytest.mark.skipif(not PHANTOM.is_dir(), reason="the phantom is not there; set CTQA_DATA to the data folder")
def test_discs_are_put_where_the_phantom_has_its_own():
    truth = np.fromfile(PHANTOM / "ground_truth.raw", "<i2").reshape(256, 256).astype(float) - 1000
    for disc in DISCS:
        (row, column), *_ = places(disc.angle_deg)
        rows, columns = slice(row - 14, row + 15), slice(column - 14, column + 15)
        mine = inserted(disc, np.array([[row, column]]))[rows, columns]
        assert np.corrcoef(mine.ravel(), truth[rows, columns].ravel())[0, 1] > 0.9
        assert mine.sum() == pytest.approx(truth[rows, columns].sum(), rel=0.12)
    water = read_images(PHANTOM, "100", "signal_absent")
    assert abs(water[:, 118:138, 118:138].mean()) < 5 and PIXEL_MM < 1
