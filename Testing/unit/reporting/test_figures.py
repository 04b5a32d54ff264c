"""The page of figures shows what the assessment says, at the right place of the patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from CTQualityAssessmentLib.reporting.figures import draw_page, write_figures
from CTQualityAssessmentLib.reporting.slice_panels import crop_to_body, draw_attention, draw_slice
from CTQualityAssessmentLib.volume import Volume
from matplotlib.figure import Figure

from Testing.assessment_factory import affine, make_assessment, make_attention, make_volume

GRIDS = {
    "axial": (affine(), 2),
    "axial, flipped": (affine(flip=(-1, -1, -1)), 2),
    "oblique": (affine(rotation_deg=(12, -8, 20)), 2),
    "tilted gantry": (affine(shear=0.3), 2),
    "stacked along i": (affine(permutation=(2, 0, 1)), 0),
    "stacked along j, coronal": (affine(permutation=(0, 1, 2), spacing=(1.5, 4.0, 1.5)), 1),
}


def texts(figure):
    return "\n".join(
        [t.get_text() for t in figure.texts] + [t.get_text() for axes in figure.axes for t in [*axes.texts, axes.title]]
    )


@pytest.mark.parametrize("name", GRIDS)
def test_attention_lies_over_the_anatomy_it_belongs_to(name):
    """A map that is mirrored or shifted would blame the wrong organ."""
    matrix, axis = GRIDS[name]
    volume = make_volume(ijk_to_ras=matrix, acquisition_axis=axis)
    maps = make_attention(volume, grid=(4, 3), refused=())
    axes = Figure().add_subplot()
    draw_slice(axes, volume, 2, crop_to_body(volume, [2]))
    draw_attention(axes, volume, maps, 2, top=2.0)
    left, right, lower, upper = axes.images[1].get_extent()
    rows, columns = maps.values.shape[1:]
    for row in range(rows):
        for column in range(columns):
            drawn = (
                left + (column + 0.5) * (right - left) / columns,
                upper + (row + 0.5) * (lower - upper) / rows,
            )
            on_image = volume.canonical_slices().ijk_to_ras @ [*drawn, 2, 1]
            assert on_image == pytest.approx(maps.ijk_to_ras @ [column, row, 2, 1], abs=1e-6)


@pytest.mark.parametrize("name", GRIDS)
def test_the_letters_name_the_sides_of_the_patient(name):
    """An R at the patient's left side is the classic dangerous mistake of a viewer."""
    matrix, axis = GRIDS[name]
    volume = make_volume(ijk_to_ras=matrix, acquisition_axis=axis)
    axes = Figure().add_subplot()
    draw_slice(axes, volume, 2, crop_to_body(volume, [2]))
    to_ras = volume.canonical_slices().ijk_to_ras
    (x0, x1), (y1, y0) = axes.get_xlim(), axes.get_ylim()
    for text in axes.texts:
        x, y = text.get_position()
        outwards = to_ras[:3, :3] @ [(x - 0.5) * (x1 - x0), (0.5 - y) * (y1 - y0), 0]
        axis, sign = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}[text.get_text()]
        assert np.argmax(np.abs(outwards)) == axis and outwards[axis] * sign > 0


def test_strong_attention_is_opaque_and_even_attention_is_not():
    """An overlay that also tints what the network passed over would be read as a finding everywhere."""
    volume = make_volume()
    maps = make_attention(volume, grid=(2, 2), refused=())
    maps.values[2] = [[0.2, 1.0], [1.5, 5.0]]
    axes = Figure().add_subplot()
    draw_slice(axes, volume, 2, crop_to_body(volume, [2]))
    draw_attention(axes, volume, maps, 2, top=2.0)
    alpha = np.asarray(axes.images[1].get_array())[..., 3]
    assert alpha[0].tolist() == [0, 0] and 0 < alpha[1, 0] < alpha[1, 1] < 1


def test_the_crop_keeps_the_whole_patient():
    """Cutting off the skin line or an arm hides what the slice was scored on."""
    volume = make_volume((4, 200, 240), affine(spacing=(2.0, 2.0, 4.0)))
    crop = crop_to_body(volume, [1, 2])
    rows, columns = np.nonzero(volume.canonical_slices().hu[2] > 0)
    assert crop.top <= rows.min() and rows.max() < crop.bottom and crop.left <= columns.min()
    assert columns.max() < crop.right and crop.bottom - crop.top < 200 and crop.right - crop.left < 240


def test_the_curve_has_gaps_where_there_is_no_score():
    """A line drawn across refused slices would invent scores."""
    volume = make_volume((8, 20, 24))
    scores = [None, 1.0, 2.0, None, None, 3.5, 0.5, None]
    figure = draw_page(volume, make_assessment(volume, scores))
    curve = figure.axes[0]
    drawn = next(line for line in curve.lines if len(line.get_ydata()) == 8).get_ydata()
    np.testing.assert_array_equal(drawn, [np.nan if s is None else s for s in scores])
    hatched = sorted(tuple(np.round([p.get_x(), p.get_x() + p.get_width()], 6)) for p in curve.patches if p.get_hatch())
    assert hatched == [(-0.5, 0.5), (2.5, 4.5), (6.5, 7.5)]


def test_the_page_says_what_its_scores_are_worth():
    """Whoever prints the page must also print that the labels were simulated and that this is no medical device."""
    volume = make_volume()
    assessment = make_assessment(volume, attention=[make_attention(volume, t) for t in ("scan", "focus")])
    said = texts(draw_page(volume, assessment)).replace("\n", " ")
    assert assessment.model.statement in said and "not a medical device" in said and "not where a defect is" in said
    assert "worst slice" in said and "best slice" in said and assessment.model.sha256[:12] in said
    assert "PARTIAL" not in said
    assert "PARTIAL" in texts(draw_page(volume, replace(assessment, partial=True)))


@pytest.mark.parametrize("slices", [1, 2, 6])
@pytest.mark.parametrize("scored", [True, False])
def test_small_and_unscored_volumes_get_a_page_too(slices, scored, tmp_path):
    """A single key image and a volume without a patient are real inputs; both must end in a page, not in a crash."""
    volume = make_volume((slices, 20, 24))
    write_figures(tmp_path / "p.png", volume, make_assessment(volume, [2.5 if scored else None] * slices))
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    said = texts(draw_page(volume, make_assessment(volume, [2.5 if scored else None] * slices)))
    assert ("No score" in said) is not scored


def test_equal_results_give_equal_files(tmp_path):
    """A changed file then means a changed result, and no date slips into the image."""
    volume = make_volume()
    for name in ("a", "b"):
        write_figures(tmp_path / name, volume, make_assessment(volume, attention=[make_attention(volume)]))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_head_is_up_in_the_cut_however_the_slices_are_stored():
    """A reader sees the patient upright, and the marked slice at its own height, in both storage orders."""
    for flip in ((1, 1, 1), (1, 1, -1)):
        volume = Volume(make_volume().hu, affine(flip=flip))
        figure = draw_page(volume, make_assessment(volume))
        cut = figure.axes[1]
        bottom, top = cut.get_ylim()
        centres = [volume.slice_centre_ras(n)[2] for n in (0, volume.slice_count - 1)]
        highest = int(np.argmax(centres)) * (volume.slice_count - 1)
        assert abs(top - highest) < abs(bottom - highest)
