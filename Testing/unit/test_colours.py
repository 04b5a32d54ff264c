"""Colour maps: a reader must be able to trust that a bigger step of colour is a bigger step of score."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.colours import ATTENTION, DIFFERENCE, QUALITY, ColourMap
from skimage.color import deltaE_ciede2000, rgb2lab

MAPS = pytest.mark.parametrize("colour_map", [QUALITY, ATTENTION], ids=lambda m: m.name)
HALVES = pytest.mark.parametrize("half", [DIFFERENCE.below, DIFFERENCE.above], ids=lambda m: m.name)

#: Severity 1.0 of G. M. Machado et al., IEEE TVCG 15:1291 (2009), on linear sRGB.
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(rgb):
    """CIELAB by an implementation that is not ours."""
    return rgb2lab(np.asarray(rgb)[None])[0]


def seen_with(rgb, deficiency: str):
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    changed = np.clip(linear @ np.array(DEFICIENCIES[deficiency]).T, 0, 1)
    return np.where(changed <= 0.0031308, 12.92 * changed, 1.055 * changed ** (1 / 2.4) - 0.055)


@MAPS
def test_lightness_rises_throughout_so_that_the_order_survives_a_grey_print(colour_map):
    assert np.diff(lab(colour_map.rgb())[:, 0]).min() > 0.1


@MAPS
def test_equal_steps_of_value_are_equal_steps_of_colour(colour_map):
    """Measured with CIEDE2000, another metric than the one the maps are built in."""
    colours = lab(colour_map.rgb(33))
    steps = deltaE_ciede2000(colours[:-1], colours[1:])
    assert steps.min() > 0.85 * steps.mean()
    assert steps.max() < 1.15 * steps.mean()


@MAPS
def test_no_colour_is_cut_off_at_the_edge_of_the_screen_gamut(colour_map):
    """Clipping would break the equal steps; sampled finely, nothing sticks at 0 or 1."""
    rgb = colour_map.rgb(1001)
    assert ((rgb <= 0.0) | (rgb >= 1.0)).mean() < 0.02


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_five_grades_stay_apart_with_a_colour_vision_deficiency(deficiency):
    colours = lab(seen_with(QUALITY.rgb(5), deficiency))
    for a in range(5):
        for b in range(a):
            assert deltaE_ciede2000(colours[a], colours[b]) > 12, (a, b)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
@MAPS
def test_lightness_order_holds_with_a_colour_vision_deficiency(colour_map, deficiency):
    assert np.diff(lab(seen_with(colour_map.rgb(33), deficiency))[:, 0]).min() > 0


def test_the_worst_score_is_still_visible_on_black_and_attention_starts_dark():
    assert lab(QUALITY.rgb(2))[0, 0] > 15
    assert lab(ATTENTION.rgb(2))[0, 0] < 6
    assert lab(ATTENTION.rgb(2))[1, 0] > 95


@MAPS
def test_any_number_of_colours_has_the_same_ends(colour_map):
    short, long = colour_map.rgb(2), colour_map.rgb(256)
    assert long.shape == (256, 3)
    np.testing.assert_allclose(short, long[[0, -1]])


def test_a_straight_grey_curve_gives_the_greys_that_oklab_defines():
    """Known answer: on the grey axis OKLab lightness is the cube root of luminance."""
    rgb = ColourMap("Grey", ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0))).rgb(3)
    middle = 1.055 * 0.125 ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(rgb, [[0, 0, 0], [middle] * 3, [1, 1, 1]], atol=2e-4)


def test_one_colour_is_not_a_map():
    with pytest.raises(ValueError, match="two colours"):
        QUALITY.rgb(1)


@HALVES
def test_a_difference_is_lighter_the_larger_it_is_whatever_its_sign(half):
    assert np.diff(lab(half.rgb(65))[:, 0]).min() > 0.1
    steps = deltaE_ciede2000(lab(half.rgb(17))[:-1], lab(half.rgb(17))[1:])
    assert steps.min() > 0.6 * steps.mean()


def test_no_difference_is_a_neutral_dark_grey_between_both_signs():
    rgb = DIFFERENCE.rgb(257)
    assert np.ptp(rgb[128]) < 0.01 and 8 < lab(rgb[128:130])[0, 0] < 20
    np.testing.assert_allclose(rgb[[0, -1]], [DIFFERENCE.below.rgb(2)[1], DIFFERENCE.above.rgb(2)[1]])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_the_sign_of_a_difference_stays_visible_with_a_colour_vision_deficiency(deficiency):
    """From a quarter of the window on; at the very ends both are nearly white."""
    colours = lab(seen_with(DIFFERENCE.rgb(17), deficiency))
    for n in (2, 3, 4, 5, 6):
        assert deltaE_ciede2000(colours[n], colours[16 - n]) > 15, n
