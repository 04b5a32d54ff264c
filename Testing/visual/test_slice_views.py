"""What a user sees in the slice views, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.colours import QUALITY
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment
from CTQualityAssessmentLib.mrml.scene import create_bare_scene, nodes_of_class
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
from CTQualityAssessmentLib.results import MAX_SCORE

from Testing.assessment_factory import affine, make_assessment, make_body, make_volume
from Testing.visual.render_views import render_slice_views

SIZE = 160


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """Four slabs of 10 mm, the second from below refused, the overlay opaque."""
    host = create_bare_scene()
    volume = make_volume((40, 40, 40), affine((1.0, 1.0, 1.0), (20.0, 20.0, -20.0)))
    volume.hu[:, 8:32, 8:32] = 40
    scores = np.repeat([0.0, np.nan, 2.0, 4.0], 10)
    node = add_volume(host.scene, volume)
    assessment = make_assessment(volume, [None if np.isnan(s) else s for s in scores])
    nodes = add_assessment(host.scene, node, assessment, make_body(volume))
    before = sorted(n.GetID() for n in nodes_of_class(host.scene, "vtkMRMLNode"))
    path = tmp_path_factory.mktemp("views") / "views.png"
    pixels = render_slice_views(host.scene, node, nodes.quality, path, opacity=1.0, size=SIZE)
    assert path.stat().st_size > 0
    assert sorted(n.GetID() for n in nodes_of_class(host.scene, "vtkMRMLNode")) == before
    return pixels


@pytest.mark.parametrize("view", [1, 2], ids=["coronal", "sagittal"])
def test_scores_are_a_band_of_colour_down_the_patient(picture, view):
    """Superior is up: 4 on top, then 2, then the refused slab as it was, then 0."""
    column = picture[:, view * SIZE + SIZE // 2].astype(int)
    height = np.flatnonzero(picture[:, view * SIZE + 60 : view * SIZE + 100].any(axis=(1, 2)))
    top, bottom = height[0], height[-1]
    quarter = (bottom - top) / 4
    for position, score in ((0.5, 4.0), (1.5, 2.0), (3.5, 0.0)):
        expected = 255 * QUALITY.rgb(41)[round(score / MAX_SCORE * 40)]
        np.testing.assert_allclose(column[round(top + position * quarter)], expected, atol=4)
    refused = column[round(top + 2.5 * quarter)]
    assert refused.max() - refused.min() <= 2, "the refused slab is not grey"


def test_the_legend_is_drawn(picture):
    """Its yellow upper end is at the right edge of the axial view, where there is no patient."""
    edge = picture[:, SIZE - 8 : SIZE - 2].reshape(-1, 3).astype(int)
    yellow = 255 * QUALITY.rgb(2)[1]
    assert (np.abs(edge - yellow).max(axis=1) < 12).any()


def test_nothing_is_painted_outside_the_patient(picture):
    """The corners of the volume are air."""
    corner = picture[SIZE // 2 - 60, SIZE // 2 - 60].astype(int)
    assert corner.max() - corner.min() <= 2
