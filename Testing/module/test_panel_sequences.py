"""Sequences: score each time point, chart score against time, and never show one time point's result over another."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment, find_assessments
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import load_scene, save_scene
from CTQualityAssessmentLib.mrml.time_series import (
    add_time_series,
    find_time_series,
    sequence_of,
    time_series_from_scene,
)
from CTQualityAssessmentLib.panel.results_section import TIME_POINT

from Testing.assessment_factory import make_assessment, make_body, make_volume


@pytest.fixture
def sequence(window):
    """A browser over four volumes, 0.5 s apart; its proxy is chosen and shown."""
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(window.scene)

    def make(volumes):
        node = window.add_volume(volumes[0], "4D")
        times = window.scene.AddNewNodeByClass("vtkMRMLSequenceNode", "S")
        times.SetIndexName("time")
        times.SetIndexUnit("s")
        for n, volume in enumerate(volumes):
            slicer.util.updateVolumeFromArray(node, volume.hu)
            times.SetDataNodeAtValue(node, str(n * 0.5))
        window.scene.RemoveNode(node)
        browser = window.scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "B")
        browser.AddSynchronizedSequenceNode(times)
        browser.SetSelectedItemNumber(0)
        logic.UpdateProxyNodesFromSequences(browser)
        proxy = browser.GetProxyNode(times)
        slicer.util.setSliceViewerLayers(background=proxy, fit=True)
        window.ui.inputSelector.setCurrentNode(proxy)
        window.logic = logic
        return proxy, browser

    return make


def bodies(count=3, slices=4):
    made = []
    for n in range(count):
        volume = make_volume((slices, 64, 64))
        volume.hu[:, 12:43, 12:43] = 40 + n
        made.append(volume)
    return made


def go_to(window, browser, item):
    browser.SetSelectedItemNumber(item)
    window.logic.UpdateProxyNodesFromSequences(browser)


def scores_over_time(window, proxy, means):
    volume = make_volume()
    found = {n: make_assessment(volume, [mean] * 6) for n, mean in enumerate(means)}
    nodes = add_time_series(window.scene, proxy, sequence_of(window.scene, proxy), found)
    window.ui.overTimeCheck.checked = True
    window.panel.refresh()
    return nodes, found


def test_only_a_sequence_offers_its_time_points(window, sequence):
    window.add_volume(make_volume())
    assert window.ui.allTimePointsCheck.isHidden()
    sequence([make_volume() for _ in range(3)])
    assert not window.ui.allTimePointsCheck.isHidden()


def test_a_run_scores_every_time_point_and_charts_them(window, sequence):
    proxy, browser = sequence(bodies())
    go_to(window, browser, 1)
    shown = slicer.util.arrayFromVolume(proxy).copy()
    window.ui.allTimePointsCheck.checked = True
    window.ui.overTimeCheck.checked = True
    window.ui.assessButton.click()
    window.wait(lambda: "Time point 2 of 3" in window.ui.statusLabel.text)
    window.wait(lambda: not window.panel.assess.run.busy)
    assert "3 of 3 time points" in window.ui.statusLabel.text
    found = time_series_from_scene(window.scene, proxy)
    assert sorted(found) == [0, 1, 2] and all(one.summary.scored == 4 for one in found.values())
    assert len({one.summary.mean for one in found.values()}) == 3  # each from its own voxels
    assert np.array_equal(slicer.util.arrayFromVolume(proxy), shown)  # the browser did not move
    nodes = find_time_series(window.scene, proxy)
    assert window.ui.tableView.mrmlTableNode() is nodes.table
    assert window.ui.plotWidget.mrmlPlotViewNode().GetPlotChartNodeID() == nodes.chart.GetID()
    assert find_assessments(window.scene, proxy) == []


def test_cancel_keeps_the_time_points_that_are_complete(window, sequence):
    proxy, _ = sequence(bodies(2, 4) + bodies(1, 4))
    window.ui.allTimePointsCheck.checked = True
    window.ui.assessButton.click()
    window.wait(lambda: "Time point 2 of 3" in window.ui.statusLabel.text)
    window.ui.cancelButton.click()
    window.wait(lambda: not window.panel.assess.run.busy, seconds=60)
    assert 1 <= len(time_series_from_scene(window.scene, proxy)) < 3
    assert "of 3 time points" in window.ui.statusLabel.text


def test_removing_the_volume_stops_and_keeps_nothing(window, sequence):
    proxy, _ = sequence(bodies())
    window.ui.allTimePointsCheck.checked = True
    window.ui.assessButton.click()
    window.wait(lambda: "Time point 2 of 3" in window.ui.statusLabel.text)
    window.scene.RemoveNode(proxy)
    assert not window.panel.assess.run.busy
    assert nodes_of_class(window.scene, "vtkMRMLPlotChartNode") == []
    assert "removed" in window.ui.statusLabel.text


def test_removing_the_sequence_stops_and_keeps_nothing(window, sequence):
    """The volume that showed its time points stays, and is none of them: it must not be scored in their place."""
    proxy, browser = sequence(bodies())
    window.ui.allTimePointsCheck.checked = True
    window.ui.assessButton.click()
    window.wait(lambda: "Time point 2 of 3" in window.ui.statusLabel.text)
    window.scene.RemoveNode(browser.GetSequenceNode(proxy))
    window.wait(lambda: not window.panel.assess.run.busy)
    assert "sequence was removed" in window.ui.statusLabel.text
    assert time_series_from_scene(window.scene, proxy) == {} and find_assessments(window.scene, proxy) == []


def test_a_click_on_the_curve_over_time_shows_that_time_point(window, sequence):
    proxy, browser = sequence([make_volume() for _ in range(4)])
    nodes, _ = scores_over_time(window, proxy, [3.0, 2.0, 1.0, 2.5])
    window.ui.tableView.clicked.emit(window.ui.tableView.model().index(2, 0))
    assert browser.GetSelectedItemNumber() == 2
    names, picked, ids = vtk.vtkStringArray(), vtk.vtkCollection(), vtk.vtkIdTypeArray()
    names.InsertNextValue(nodes.series[0].GetID())
    ids.InsertNextValue(3)
    picked.AddItem(ids)
    window.ui.plotWidget.plotView().dataSelected.emit(names, picked)
    assert browser.GetSelectedItemNumber() == 3


def test_the_axis_is_the_time_of_the_sequence(window, sequence):
    proxy, _ = sequence([make_volume() for _ in range(4)])
    nodes, _ = scores_over_time(window, proxy, [3.0, 2.0, 1.0, 2.5])
    column = nodes.table.GetTable().GetColumnByName("time")
    assert [column.GetValue(n) for n in range(4)] == [0.0, 0.5, 1.0, 1.5]
    assert nodes.chart.GetXAxisTitle() == "time (s)"


def test_a_result_is_not_shown_over_another_time_point(window, sequence):
    """Score and colours beside an image that they were not made from would be a lie."""
    volumes = [make_volume() for _ in range(3)]
    proxy, browser = sequence(volumes)
    go_to(window, browser, 1)
    nodes = add_assessment(window.scene, proxy, make_assessment(volumes[1]), make_body(volumes[1]))
    nodes.parameters.SetAttribute(TIME_POINT, "1")
    window.panel.refresh()
    red = slicer.app.layoutManager().sliceWidget("Red")
    assert red.mrmlSliceCompositeNode().GetForegroundVolumeID() == nodes.quality.GetID()
    window.panel.jumps.jump(2)
    assert red.cornerAnnotation().GetText(vtk.vtkCornerAnnotation.UpperEdge)
    go_to(window, browser, 2)
    assert not red.mrmlSliceCompositeNode().GetForegroundVolumeID()
    assert not red.cornerAnnotation().GetText(vtk.vtkCornerAnnotation.UpperEdge)
    assert "time point 1; another one is in view" in window.ui.verdictDetailLabel.text
    go_to(window, browser, 1)
    assert red.mrmlSliceCompositeNode().GetForegroundVolumeID() == nodes.quality.GetID()


def test_scores_over_time_are_saved_and_removed_without_a_trace(window, sequence, tmp_path):
    proxy, _ = sequence([make_volume() for _ in range(3)])
    _, found = scores_over_time(window, proxy, [3.0, 2.0, 1.0])
    save_scene(window.scene, tmp_path / "saved.mrb")
    window.ui.removeResultsButton.click()
    assert find_time_series(window.scene, proxy) is None
    assert not [n for n in nodes_of_class(window.scene, "vtkMRMLTableNode") if n.GetName().startswith("Quality")]
    assert nodes_of_class(window.scene, "vtkMRMLPlotSeriesNode") == []
    window.scene.Clear(False)
    load_scene(window.scene, tmp_path / "saved.mrb")
    loaded = window.ui.inputSelector.currentNode()
    assert sequence_of(window.scene, loaded).count == 3
    assert time_series_from_scene(window.scene, loaded) == found
    assert find_time_series(window.scene, loaded).made()
