"""Two volumes beside each other: if these fail, the reader compares two different places, or reads a wrong colour."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
from CTQualityAssessmentLib.assessment.difference import NOT_COVERED, VolumeDifference
from CTQualityAssessmentLib.calls import finished
from CTQualityAssessmentLib.colours import DIFFERENCE
from CTQualityAssessmentLib.mrml.difference import add_difference, find_differences, half_width, set_half_width
from CTQualityAssessmentLib.mrml.linked_views import LinkedViews, SteadyView
from CTQualityAssessmentLib.mrml.overlays import (
    add_attention_overlay,
    add_quality_overlay,
    map_image,
    set_overlay_threshold,
)
from CTQualityAssessmentLib.mrml.quality_image import quality_image
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
from vtk.util.numpy_support import vtk_to_numpy

from Testing.assessment_factory import make_assessment, make_attention, make_volume


def shown(node) -> np.ndarray:
    """RGBA that the slice views draw for each voxel, ``[k, j, i, 4]``."""
    display = node.GetDisplayNode()
    display.SetInputImageDataConnection(node.GetImageDataConnection())
    producer = display.GetOutputImageDataConnection().GetProducer()
    producer.Update()
    image = producer.GetOutputDataObject(0)
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(*reversed(image.GetDimensions()), -1).astype(int)


def test_equal_is_dark_and_the_signs_have_the_ends_of_the_map(scene):
    first, second = (add_volume(scene, make_volume()) for _ in range(2))
    hu = np.array([-4000, -100, 0, 100, 4000, NOT_COVERED], dtype=np.int16).reshape(1, 1, 6)
    difference = VolumeDifference(hu, False, 5 / 6, None, None, ())
    add_difference(scene, first, second, difference)
    node = add_difference(scene, first, second, difference, half_width_hu=100)
    assert find_differences(scene, first) == [node]  # replaced, not piled up
    low, high = 255 * DIFFERENCE.rgb(2)
    middle = 255 * DIFFERENCE.rgb(3)[1]
    *pixels, beyond = shown(node)[0, 0]
    for pixel, wanted in zip(pixels, (low, low, middle, high, high), strict=True):
        np.testing.assert_allclose(pixel[:3], wanted, atol=5)
        assert pixel[3] == 255
    assert beyond[3] == 0  # nothing was compared there, which is not the same as no difference
    set_half_width(node, 1e-3)
    assert half_width(node) == 2.0 and node.GetDisplayNode().GetLevel() == 0.0


@pytest.fixture
def views(scene):
    made = []
    for n in range(3):
        view = slicer.vtkMRMLSliceNode()
        view.SetLayoutName(f"View{n}")
        view = scene.AddNode(view)  # the one of the test before, if there was one: views are singletons
        view.GetSliceToRAS().Identity()
        view.SetXYZOrigin(0, 0, 0)
        view.SetDimensions(400, 300, 1)
        view.SetFieldOfView(400.0, 300.0, 1.0)
        made.append(view)
    return made


def place(view) -> tuple:
    return (*slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS()).ravel().round(6), *view.GetFieldOfView()[:2])


@pytest.fixture
def links(views):
    made = LinkedViews(views)
    yield made
    made.release()


def test_linked_views_go_where_any_of_them_goes(views, links):
    views[0].JumpSliceByOffsetting(0, 0, 40)
    assert place(views[1]) != place(views[0])
    links.active = True
    assert place(views[0]) == place(views[1]) == place(views[2])
    views[2].SetFieldOfView(200.0, 150.0, 1.0)
    views[1].JumpSliceByOffsetting(0, 0, -12)
    views[1].SetXYZOrigin(20, 10, 0)
    assert place(views[0]) == place(views[1]) == place(views[2])
    assert views[0].GetFieldOfView()[0] == 200.0 and views[0].GetXYZOrigin()[:2] == (20, 10)
    links.active = False
    views[0].JumpSliceByOffsetting(0, 0, 99)
    assert place(views[1]) != place(views[0])


def test_a_window_that_changes_its_size_moves_none_of_the_others(views, links):
    """The page tells sizes one after the other: the last one must not win over where the reader was."""
    links.active = True
    views[1].SetFieldOfView(100.0, 75.0, 1.0)
    changing = views[2].StartModify()
    views[2].SetDimensions(800, 300, 1)
    views[2].SetFieldOfView(900.0, 337.5, 1.0)  # whatever MRML makes of it
    views[2].EndModify(changing)
    assert views[0].GetFieldOfView()[:2] == views[1].GetFieldOfView()[:2] == (100.0, 75.0)
    np.testing.assert_allclose(views[2].GetFieldOfView()[:2], (200.0, 75.0))


def test_linked_views_keep_their_scale_through_other_sizes(views, links):
    """A page on another screen, a comparison opened and closed: else each time the patient becomes smaller."""
    steady = [SteadyView(view) for view in views]

    def resize(n, size):
        changing = views[n].StartModify()
        views[n].SetDimensions(*size, 1)
        views[n].SetFieldOfView(123.0, 456.0, 1.0)  # whatever MRML makes of it
        views[n].EndModify(changing)
        with links.still():
            steady[n].resized()

    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        resize(0, (900, 800))  # three views: the first is large, the others are not shown
        links.active = True
        for n in order:
            resize(n, (1576, 992))
        assert place(views[0]) == place(views[1]) == place(views[2])
        assert views[0].GetFieldOfView()[1] == pytest.approx(300.0)
        for n in order:
            resize(n, (643, 405))  # fewer pixels while something moves
        links.active = False
    resize(0, (400, 300))
    assert views[0].GetFieldOfView()[:2] == pytest.approx((400.0, 300.0))
    for one in steady:
        one.release()


def test_going_through_other_sizes_comes_back_to_the_same_scale(views):
    """Hidden, large and again small: MRML alone would zoom in a little each time."""
    view = views[0]
    steady = SteadyView(view)
    for size in ((10, 10), (900, 300), (300, 900), (400, 300)):
        changing = view.StartModify()
        view.SetDimensions(*size, 1)
        view.SetFieldOfView(123.0, 45.0, 1.0)
        view.EndModify(changing)
        steady.resized()
    assert view.GetFieldOfView()[:2] == (400.0, 300.0)
    drawn = [view.GetXYToSlice().GetElement(n, n) * view.GetDimensions()[n] for n in (0, 1)]
    np.testing.assert_allclose(drawn, (400.0, 300.0))  # what is drawn is what the node says
    view.SetFieldOfView(200.0, 150.0, 1.0)  # a zoom is kept
    changing = view.StartModify()
    view.SetDimensions(800, 600, 1)
    view.EndModify(changing)
    steady.resized()
    assert view.GetFieldOfView()[:2] == (200.0, 150.0)
    steady.release()


def test_the_threshold_hides_good_slices_and_low_attention(scene):
    volume = make_volume()
    node = add_volume(scene, volume)
    scores = [0.5 + 3.5 * n / (volume.slice_count - 1) for n in range(volume.slice_count)]
    assessment = make_assessment(volume, scores)
    everywhere = np.ones(volume.canonical_slices().hu.shape, bool)
    quality = add_quality_overlay(scene, node, assessment, quality_image(assessment, everywhere))
    seen = [bool(one[..., 3].any()) for one in shown(quality)]
    assert all(seen)
    set_overlay_threshold(quality, 2.0, quality=True)
    assert [bool(one[..., 3].any()) for one in shown(quality)] == [score <= 2.0 for score in scores]
    set_overlay_threshold(quality, 4.0, quality=True)
    assert all(one[..., 3].any() for one in shown(quality))
    focus = make_attention(volume, "focus")
    attention = add_attention_overlay(scene, node, assessment, focus, 3.0, finished(map_image(focus.values)))
    values = slicer.util.arrayFromVolume(attention)
    set_overlay_threshold(attention, 1.5, quality=False)
    assert np.array_equal(shown(attention)[..., 3] > 0, values >= 1.5) and (values >= 1.5).any()
