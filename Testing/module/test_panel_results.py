"""From a result to the slice it speaks of: table, curve, ranking, corner text, overlays, report, removal, restore."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import qt
import slicer
import vtk
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment, find_assessments
from CTQualityAssessmentLib.mrml.layers import show_overlay
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import load_scene, save_scene
from CTQualityAssessmentLib.mrml.volume_nodes import ijk_to_world
from CTQualityAssessmentLib.results import MAP_KINDS

from Testing.assessment_factory import affine, make_assessment, make_attention, make_body, make_volume

#: Slice 3 is the worst, then 1, 5 and 2; slice 0 is refused.
SCORES = [None, 1.2, 2.4, 0.6, 3.1, 1.8]
OBLIQUE = affine(rotation_deg=(12.0, -7.0, 20.0))
GRIDS = {
    "axial": (make_volume, {}),
    "oblique": (make_volume, {"ijk_to_ras": OBLIQUE}),
    "flipped": (make_volume, {"ijk_to_ras": affine(flip=(1, -1, -1))}),
    "sagittal": (
        make_volume,
        {
            "shape_kji": (24, 20, 6),
            "ijk_to_ras": affine(permutation=(2, 1, 0), spacing=(4.0, 1.5, 1.5)),
            "acquisition_axis": 0,
        },
    ),
}


def census(scene):
    return Counter((node.GetClassName(), node.GetName()) for node in nodes_of_class(scene, "vtkMRMLNode"))


@pytest.fixture
def show(window):
    """Add a volume with a result to the panel and return (node, nodes of the result)."""

    def show_(volume=None, name="CT", scores=SCORES, kind="attention"):
        volume = volume or make_volume()
        node = window.add_volume(volume, name)
        maps = [make_attention(volume, temperature, 3) for temperature in ("scan", "focus")]
        if kind == "grad-cam":
            maps = [make_attention(volume, does, None, kind=kind) for does in ("raises", "lowers")]
        nodes = add_assessment(window.scene, node, make_assessment(volume, scores, maps), make_body(volume))
        window.panel.refresh()
        return node, nodes

    return show_


def views():
    manager = slicer.app.layoutManager()
    return {name: manager.sliceWidget(name) for name in manager.sliceViewNames()}


def index_in_view(view, node, axis):
    """By the view's own centre, independent of the code under test."""
    centre = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())[:, 3]
    return (np.linalg.inv(ijk_to_world(node)) @ centre)[axis]


@pytest.mark.parametrize("kind", GRIDS)
def test_a_click_on_a_row_shows_exactly_that_slice(window, show, kind):
    make, arguments = GRIDS[kind]
    volume = make(**arguments)
    node, _ = show(volume)
    for index in (4, 0, 5):
        window.ui.tableView.clicked.emit(window.ui.tableView.model().index(index, 2))
        shown = [index_in_view(w.mrmlSliceNode(), node, volume.acquisition_axis) for w in views().values()]
        assert min(abs(np.array(shown) - index)) < 1e-6
        assert window.panel.jumps.current_slice() == index


def test_a_jump_goes_by_the_parent_transform(window, show):
    node, _ = show()
    moved = window.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    turn = vtk.vtkTransform()
    turn.Translate(10, -20, 77)
    turn.RotateX(15)
    moved.SetMatrixTransformToParent(turn.GetMatrix())
    node.SetAndObserveTransformNodeID(moved.GetID())
    window.panel.jumps.jump(4)
    assert window.panel.jumps.current_slice() == 4
    assert min(abs(index_in_view(w.mrmlSliceNode(), node, 2) - 4) for w in views().values()) < 1e-6


def test_buttons_and_keys_walk_from_worst_to_better_and_back(window, show):
    show()
    results, seen = window.panel.jumps, []
    keys = {key.key.toString(): key for key in window.main_window.findChildren(qt.QShortcut)}
    window.ui.worstButton.click()
    seen.append(results.current_slice())
    for press in (window.ui.nextWorstButton.click, keys["Ctrl+Shift+J"].activated.emit):
        press()
        seen.append(results.current_slice())
    for press in (
        window.ui.previousWorstButton.click,
        keys["Ctrl+Shift+K"].activated.emit,
        keys["Ctrl+Shift+K"].activated.emit,
    ):
        press()
        seen.append(results.current_slice())
    assert seen == [3, 1, 5, 1, 3, 3]
    assert window.ui.tableView.currentIndex().row() == 3


def test_a_click_on_a_point_of_the_curve_shows_its_slice(window, show):
    """The real view sends every click twice, first empty."""
    _, nodes = show()
    for rows in ([], [2]):
        names, picked, ids = vtk.vtkStringArray(), vtk.vtkCollection(), vtk.vtkIdTypeArray()
        for row in rows:
            names.InsertNextValue(nodes.score_series.GetID())
            ids.InsertNextValue(row)
            picked.AddItem(ids)
        window.ui.plotWidget.plotView().dataSelected.emit(names, picked)
    assert window.panel.jumps.current_slice() == 2


def test_the_view_along_the_slices_says_the_score_and_follows(window, show):
    show()

    def texts():
        return {
            name: w.cornerAnnotation().GetText(vtk.vtkCornerAnnotation.UpperEdge) or "" for name, w in views().items()
        }

    window.panel.jumps.jump(4)
    assert texts() == {"Red": "Slice 4: 3.1 of 4, Good", "Yellow": "", "Green": ""}
    red = views()["Red"].mrmlSliceNode()
    red.SetSliceOffset(red.GetSliceOffset() - 4.0)
    assert texts()["Red"] == "Slice 3: 0.6 of 4, Poor"
    window.panel.jumps.jump(0)
    assert texts()["Red"] == "Slice 0: not scored"
    window.widget.exit()
    assert set(texts().values()) == {""}


def test_each_volume_shows_its_own_result(window, show):
    first, _ = show()
    second, _ = show(name="second", scores=[3.0] * 6)
    assert window.ui.verdictLabel.text == "3.0 of 4: Good"
    window.ui.inputSelector.setCurrentNode(first)
    assert window.ui.verdictLabel.text == "1.8 of 4: Fair"
    third = window.add_volume(make_volume(), "third")
    assert window.ui.verdictLabel.text == ""
    assert "No result" in window.ui.verdictDetailLabel.text
    assert not window.ui.worstButton.enabled
    assert third is not second
    assert not any(w.mrmlSliceCompositeNode().GetForegroundVolumeID() for w in views().values())


def test_quality_comes_by_itself_and_goes_with_one_click(window, show):
    node, nodes = show()
    red = views()["Red"].mrmlSliceCompositeNode()
    assert red.GetForegroundVolumeID() == nodes.quality.GetID()
    assert red.GetForegroundOpacity() == pytest.approx(0.4)
    window.ui.opacitySlider.value = 0.75
    assert red.GetForegroundOpacity() == pytest.approx(0.75)
    window.ui.plainButton.click()
    assert not red.GetForegroundVolumeID()
    assert red.GetBackgroundVolumeID() == node.GetID()
    assert window.ui.overlayCombo.currentText == "None (plain image)"
    (key,) = [k for k in window.main_window.findChildren(qt.QShortcut) if k.key.toString() == "Ctrl+Shift+L"]
    key.activated.emit()
    assert red.GetForegroundVolumeID() == nodes.quality.GetID()


def test_attention_is_chosen_with_its_legend_and_its_warning(window, show):
    _, nodes = show()
    assert window.ui.attentionNoteLabel.isHidden()
    window.ui.overlayCombo.currentIndex = window.ui.overlayCombo.findText("Attention focus stage 3")
    red = views()["Red"].mrmlSliceCompositeNode()
    focus = next(node for node in nodes.attention if "focus" in node.GetName())
    assert red.GetForegroundVolumeID() == focus.GetID()
    assert not window.ui.attentionNoteLabel.isHidden()
    legends = {n.GetID(): n.GetNthDisplayNode(1).GetVisibility() for n in (nodes.quality, *nodes.attention)}
    assert [id_ for id_, visible in legends.items() if visible] == [focus.GetID()]
    window.ui.legendCheck.click()
    assert not focus.GetNthDisplayNode(1).GetVisibility()


def test_grad_cam_is_chosen_under_its_own_name_with_its_own_warning(window, show):
    """A user must not take what moved a score for attention."""
    _, nodes = show(kind="grad-cam")
    window.panel.overlays.choose("Grad-CAM lowers")
    assert window.panel.overlays.current() is nodes.attention[1]
    assert window.ui.thresholdLabel.text == "Grad-CAM from"
    assert window.ui.attentionNoteLabel.text == MAP_KINDS["grad-cam"].note


def test_the_threshold_keeps_bad_slices_and_strong_attention(window, show):
    _, nodes = show()
    assert window.ui.thresholdLabel.text == "Scores up to"
    window.ui.thresholdSlider.value = 2.0
    display = nodes.quality.GetDisplayNode()
    assert display.GetLowerThreshold() < 0 and display.GetUpperThreshold() == pytest.approx(2.0)
    window.ui.thresholdSlider.value = 4.0
    assert display.GetUpperThreshold() > 1e30
    window.panel.overlays.choose("Attention focus stage 3")
    assert window.ui.thresholdLabel.text == "Attention from"
    window.ui.thresholdSlider.value = 1.5
    focus = next(node for node in nodes.attention if "focus" in node.GetName())
    assert focus.GetDisplayNode().GetLowerThreshold() == pytest.approx(1.5)
    assert nodes.quality.GetDisplayNode().GetLowerThreshold() < 0


def test_a_foreground_of_the_user_stays(window, show):
    """A fused PET must not vanish because someone looked at a score."""
    node, _ = show()
    other = window.add_volume(make_volume(), "fused")
    window.ui.inputSelector.setCurrentNode(node)
    slicer.util.setSliceViewerLayers(background=node)
    window.panel.overlays.choose("plain")
    show_overlay(window.scene, node, other, 0.5)
    window.panel.overlays.choose("quality")
    window.panel.overlays.choose("plain")
    assert not views()["Red"].mrmlSliceCompositeNode().GetForegroundVolumeID()
    show_overlay(window.scene, node, other, 0.5)
    window.ui.removeResultsButton.click()
    assert views()["Red"].mrmlSliceCompositeNode().GetForegroundVolumeID() == other.GetID()


def test_remove_takes_away_what_the_module_made_and_nothing_else(window, show):
    first, _ = show()
    volume = make_volume()
    window.add_volume(volume, "second")
    before = census(window.scene)
    node = window.ui.inputSelector.currentNode()
    add_assessment(window.scene, node, make_assessment(volume, SCORES), make_body(volume))
    window.panel.refresh()
    window.ui.removeResultsButton.click()
    assert census(window.scene) == before
    assert window.ui.tableView.mrmlTableNode() is None
    assert window.ui.verdictLabel.text == ""
    assert not window.ui.removeResultsButton.enabled
    assert len(find_assessments(window.scene, first)) == 1


def test_a_saved_scene_comes_back_with_input_result_and_settings(window, show, tmp_path):
    """Also while the module is open, where Slicer's parameter wrapper alone would forget the input."""
    show()
    window.ui.opacitySlider.value = 0.65
    window.panel.overlays.choose("Attention focus stage 3")
    verdict = window.ui.verdictLabel.text
    save_scene(window.scene, tmp_path / "saved.mrb")
    window.scene.Clear(False)
    assert window.ui.inputSelector.currentNode() is None
    assert window.ui.verdictLabel.text == ""
    load_scene(window.scene, tmp_path / "saved.mrb")
    assert window.ui.inputSelector.currentNode().GetName() == "CT"
    assert window.ui.verdictLabel.text == verdict
    assert window.ui.opacitySlider.value == pytest.approx(0.65)
    assert window.panel.overlays.current().GetName() == "Attention focus stage 3"
    assert window.panel.results.nodes.parameters.GetParameter("model.name")


def test_the_report_is_written_where_the_user_wants_it(window, show, tmp_path, monkeypatch):
    assert not window.ui.exportButton.enabled
    show()
    chosen = "CTQualityAssessmentLib.panel.report_section.ask_for_folder"
    monkeypatch.setattr(chosen, lambda parent: str(tmp_path / "report"))
    window.ui.exportButton.click()
    files = {file.name for file in (tmp_path / "report").iterdir()}
    assert files == {"assessment.json", "index.html", "slices.csv"}
    assert json.loads((tmp_path / "report" / "assessment.json").read_text())["summary"]["scored"] == 5
    assert all(name in window.ui.reportStatusLabel.text for name in files)


def test_a_result_of_another_version_is_told_and_does_not_break_the_panel(window, show):
    _, nodes = show()
    content = json.loads(nodes.result.GetText())
    nodes.result.SetText(json.dumps({**content, "schema_version": "9.0"}))
    window.ui.inputSelector.setCurrentNode(None)
    window.ui.inputSelector.setCurrentNode(nodes.parameters.GetNodeReference("CTQA.volume"))
    assert "another version" in window.ui.verdictDetailLabel.text
    window.ui.removeResultsButton.click()
    assert find_assessments(window.scene, window.ui.inputSelector.currentNode()) == []
