"""Compare: two volumes linked side by side, their difference, and the way back."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import slicer
import vtk
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment
from CTQualityAssessmentLib.mrml.compare_layout import SIDE_BY_SIDE, WITH_DIFFERENCE
from CTQualityAssessmentLib.mrml.difference import find_differences
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.slice_positions import jump_to_slice, slice_in_view

from Testing.assessment_factory import make_assessment, make_body, make_volume


def noisy(ijk_to_ras=None, seed=0, shift=0):
    volume = make_volume((6, 40, 48), ijk_to_ras)
    volume.hu[:] += np.random.default_rng(seed).integers(-20, 21, volume.hu.shape).astype(np.int16) + shift
    return volume


@pytest.fixture
def pair(window):
    first = window.add_volume(noisy(), "CT")
    second = window.add_volume(noisy(seed=1, shift=10), "other kernel")
    window.ui.inputSelector.setCurrentNode(first)
    window.ui.compareSelector.setCurrentNode(second)
    return first, second


def compare_views():
    manager = slicer.app.layoutManager()
    return {name: manager.sliceWidget(name) for name in manager.sliceViewNames() if name.startswith("CTQA")}


def subtract(window):
    window.ui.differenceButton.click()
    assert window.panel.compare.run.busy, window.ui.compareLabel.text
    window.wait(lambda: not window.panel.compare.run.busy)


def test_buttons_say_what_is_missing(window, pair):
    first, _ = pair
    assert window.ui.sideBySideButton.enabled and window.ui.differenceButton.enabled
    window.ui.compareSelector.setCurrentNode(first)
    assert not window.ui.sideBySideButton.enabled
    assert "another volume" in window.ui.sideBySideButton.toolTip
    window.ui.compareSelector.setCurrentNode(None)
    assert "second volume" in window.ui.differenceButton.toolTip
    assert not window.ui.usualLayoutButton.enabled
    assert window.ui.usualLayoutButton.toolTip == "No comparison is on the screen."


def test_side_by_side_is_linked_in_the_same_window_and_place_and_goes_back(window, pair):
    first, second = pair
    first.GetDisplayNode().SetWindowLevel(1500, -600)
    manager = slicer.app.layoutManager()
    window.ui.sideBySideButton.click()
    assert manager.layout == SIDE_BY_SIDE
    shown = compare_views()
    composites = {name: widget.mrmlSliceCompositeNode() for name, widget in shown.items()}
    assert composites["CTQAInput"].GetBackgroundVolumeID() == first.GetID()
    assert composites["CTQACompared"].GetBackgroundVolumeID() == second.GetID()
    assert all(c.GetLinkedControl() and c.GetHotLinkedControl() for c in composites.values())
    assert len({widget.mrmlSliceNode().GetViewGroup() for widget in shown.values()}) == 1
    assert second.GetDisplayNode().GetWindow() == 1500 and second.GetDisplayNode().GetLevel() == -600
    matrices = [slicer.util.arrayFromVTKMatrix(w.mrmlSliceNode().GetSliceToRAS()) for w in shown.values()]
    assert np.allclose(matrices[0], matrices[1])
    assert window.ui.usualLayoutButton.enabled
    window.ui.usualLayoutButton.click()
    assert manager.layout == 3


def test_a_jump_moves_both_images(window, pair):
    """Linked views do not follow a move that a program makes: the wrong slice beside the right one misleads."""
    first, _ = pair
    volume = noisy()
    scores = [3.0, 1.2, 2.4, 0.6, 3.1, 1.8]
    add_assessment(window.scene, first, make_assessment(volume, scores), make_body(volume))
    window.panel.refresh()
    subtract(window)
    window.ui.worstButton.click()
    indices = {slice_in_view(w.mrmlSliceNode(), first, 2) for w in compare_views().values()}
    assert indices == {3}
    assert window.panel.jumps.current_slice() == 3


def test_the_score_in_a_view_of_the_comparison_follows_the_wheel(window, pair):
    """Its view is made after the module was opened; the score of another slice beside an image would be a lie."""
    first, _ = pair
    volume = noisy()
    add_assessment(window.scene, first, make_assessment(volume, [3.0, 1.2, 2.4, 0.6, 3.1, 1.8]), make_body(volume))
    window.ui.sideBySideButton.click()
    view = slicer.app.layoutManager().sliceWidget("CTQAInput")
    for index, told in ((2, "Slice 2: 2.4"), (4, "Slice 4: 3.1")):
        jump_to_slice(view.mrmlSliceNode(), first, 2, index)
        text = view.sliceView().cornerAnnotation().GetText(vtk.vtkCornerAnnotation.UpperEdge)
        assert text.startswith(told)


def test_the_difference_is_exact_stands_beside_and_goes_with_the_results(window, pair):
    first, second = pair
    before = len(nodes_of_class(window.scene, "vtkMRMLScalarVolumeNode"))
    subtract(window)
    assert slicer.app.layoutManager().layout == WITH_DIFFERENCE
    (node,) = find_differences(window.scene, first)
    arrays = [slicer.util.arrayFromVolume(one).astype(int) for one in (first, second)]
    assert np.array_equal(slicer.util.arrayFromVolume(node), arrays[1] - arrays[0])
    assert "10." in window.ui.compareLabel.text or "9." in window.ui.compareLabel.text
    assert compare_views()["CTQADifference"].mrmlSliceCompositeNode().GetBackgroundVolumeID() == node.GetID()
    subtract(window)  # again: replaced, not piled up
    (node,) = find_differences(window.scene, first)
    window.ui.inputSelector.setCurrentNode(node)
    assert not window.ui.assessButton.enabled
    assert "not a CT" in window.ui.volumeWarningLabel.text
    window.ui.inputSelector.setCurrentNode(first)
    assert window.ui.removeResultsButton.enabled
    window.ui.removeResultsButton.click()
    assert len(nodes_of_class(window.scene, "vtkMRMLScalarVolumeNode")) == before
    assert compare_views()["CTQADifference"].mrmlSliceCompositeNode().GetBackgroundVolumeID() is None


def test_volumes_apart_are_told(window, pair):
    _, second = pair
    far = window.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    move = vtk.vtkTransform()
    move.Translate(0, 0, 5000)
    far.SetMatrixTransformToParent(move.GetMatrix())
    second.SetAndObserveTransformNodeID(far.GetID())
    subtract(window)
    assert "no part of the patient in common" in window.ui.compareLabel.text
    assert slicer.app.layoutManager().layout == 3


def test_layouts_are_known_from_the_start(module, window):
    """A scene that was saved in such a layout would open with empty views."""
    module.CTQualityAssessment(type("Parent", (), {})())
    (slot,) = slicer.app.connected["startupCompleted()"]
    node = slicer.vtkMRMLLayoutNode()
    slicer.app.layoutManager()._layout_node = node
    slot()
    assert node.IsLayoutDescription(SIDE_BY_SIDE) and node.IsLayoutDescription(WITH_DIFFERENCE)


def test_a_difference_that_is_cancelled_or_killed_leaves_nothing_and_says_so(window, pair):
    """Also the process must go: it holds both volumes."""
    before = len(nodes_of_class(window.scene, "vtkMRMLNode"))
    run = window.panel.compare.run
    window.ui.differenceButton.click()
    assert not window.ui.differenceCancelButton.isHidden()
    window.ui.differenceCancelButton.click()
    assert not run.busy and "Cancelled" in window.ui.compareLabel.text
    assert window.ui.differenceCancelButton.isHidden()
    window.ui.differenceButton.click()
    os.kill(run.worker.process_id, signal.SIGKILL)
    window.wait(lambda: not run.busy, seconds=60)
    assert "ended unexpectedly" in window.ui.compareLabel.text
    assert len(nodes_of_class(window.scene, "vtkMRMLNode")) == before
    assert slicer.app.layoutManager().layout == 3


def test_a_volume_that_goes_or_changes_meanwhile_gets_no_difference(window, pair):
    first, second = pair
    run = window.panel.compare.run
    window.ui.differenceButton.click()
    slicer.util.updateVolumeFromArray(second, slicer.util.arrayFromVolume(second) + 5)
    window.wait(lambda: not run.busy)
    assert "changed meanwhile" in window.ui.compareLabel.text
    window.ui.differenceButton.click()
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 4.0)
    second.ApplyTransformMatrix(matrix)  # one slice further: what is subtracted lies elsewhere by now
    window.wait(lambda: not run.busy)
    assert "changed meanwhile" in window.ui.compareLabel.text
    window.ui.differenceButton.click()
    window.scene.RemoveNode(second)
    assert not run.busy
    assert find_differences(window.scene, first) == []


def test_closing_the_scene_ends_a_difference_and_its_bar(window, pair):
    """A bar and a Cancel of nothing would stay until Slicer is closed."""
    window.ui.differenceButton.click()
    assert not window.ui.differenceProgressBar.isHidden()
    window.scene.Clear(False)
    assert not window.panel.compare.run.busy
    assert window.ui.differenceProgressBar.isHidden() and window.ui.differenceCancelButton.isHidden()


def test_reading_a_result_never_holds_the_window(tmp_path, module):
    """Each step runs between two events; a long one is a window that does not answer."""
    from CTQualityAssessmentLib.mrml.volume_nodes import voxels_in
    from CTQualityAssessmentLib.panel.voxel_transfer import VoxelArrival
    from CTQualityAssessmentLib.worker.exchange import ExchangeError

    hu = np.arange(64 * 512 * 512, dtype=np.int32).astype(np.int16).reshape(64, 512, 512)
    np.save(tmp_path / "hu.npy", hu)
    arrival, steps = VoxelArrival(tmp_path / "hu.npy", hu.shape), 1
    while not arrival.step():
        steps += 1
    assert steps >= 8
    assert np.array_equal(voxels_in(arrival.image), hu)
    with pytest.raises(ExchangeError):
        VoxelArrival(tmp_path / "hu.npy", (1, 2, 3))


def test_flicker_shows_both_by_turns_and_puts_the_first_back(window, pair):
    """What stays behind would be the wrong image under the right name."""
    first, second = pair
    slicer.util.setSliceViewerLayers(background=first)
    first.GetDisplayNode().SetWindowLevel(1500, -600)
    manager, flicker = slicer.app.layoutManager(), window.panel.compare.flicker
    red = manager.sliceWidget("Red")
    composite = red.mrmlSliceCompositeNode()

    def text():
        return red.sliceView().cornerAnnotation().GetText(vtk.vtkCornerAnnotation.LowerEdge)

    window.ui.flickerButton.click()
    assert composite.GetBackgroundVolumeID() == second.GetID() and text() == "second volume"
    assert second.GetDisplayNode().GetWindow() == 1500
    flicker.turn()
    assert composite.GetBackgroundVolumeID() == first.GetID() and text() == "first volume"
    flicker.turn()
    window.ui.flickerButton.click()
    assert composite.GetBackgroundVolumeID() == first.GetID() and not text()
    for end in ("leave", "choose", "remove"):
        window.ui.flickerButton.click()
        assert flicker.running and composite.GetBackgroundVolumeID() == second.GetID()
        if end == "leave":
            window.widget.exit()
            window.widget.enter()
        elif end == "choose":
            window.ui.compareSelector.setCurrentNode(None)
            window.ui.compareSelector.setCurrentNode(second)
        else:
            window.scene.RemoveNode(second)
        assert not flicker.running and not window.ui.flickerButton.checked
        assert composite.GetBackgroundVolumeID() == first.GetID()
