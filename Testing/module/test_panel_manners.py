"""The panel for people: tooltips, keyboard, screen texts; and for scripts: the example of the README runs."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import slicer
import slicer.util
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment, find_assessments, remove_assessment
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume

from Testing.assessment_factory import make_assessment, make_body, make_volume

ROOT = Path(__file__).resolve().parents[2]
UI = ElementTree.parse(ROOT / "CTQualityAssessment" / "Resources" / "UI" / "CTQualityAssessment.ui")
CONTROLS = {
    "QPushButton",
    "QComboBox",
    "QCheckBox",
    "QDoubleSpinBox",
    "QListWidget",
    "QPlainTextEdit",
    "ctkSliderWidget",
    "qMRMLNodeComboBox",
    "qMRMLTableView",
    "qMRMLPlotWidget",
}


def controls():
    return [w.get("name") for w in UI.iter("widget") if w.get("class") in CONTROLS]


def test_every_control_has_a_tooltip(window):
    """Also the buttons that are off: there the tooltip is the reason."""
    bare = [name for name in controls() if not getattr(window.ui, name).toolTip]
    assert bare == []


def test_what_is_off_says_why(window):
    """As the README promises; and on again, it says what it is for."""
    ui = window.ui
    off = [name for name in controls() if not getattr(ui, name).enabled]
    uses = {w.get("name"): w.findtext("property[@name='toolTip']/string") for w in UI.iter("widget")}
    assert {"worstButton", "removeResultsButton", "opacitySlider", "usualLayoutButton"} <= set(off)
    assert [name for name in off if getattr(ui, name).toolTip == uses[name]] == []
    volume = make_volume()
    node = window.add_volume(volume)
    add_assessment(window.scene, node, make_assessment(volume), make_body(volume))
    window.panel.refresh()
    for name in ("worstButton", "nextWorstButton", "removeResultsButton", "opacitySlider", "legendCheck"):
        assert getattr(ui, name).enabled and getattr(ui, name).toolTip == uses[name], name


def test_the_tab_key_goes_through_all_controls_in_the_order_of_work():
    """A control that is missing here is reached last, by somebody who cannot use a mouse."""
    stops = [one.text for one in UI.iter("tabstop")]
    assert set(stops) == set(controls()) - {"plotWidget"}  # its keys belong to the plot
    assert len(stops) == len(set(stops))
    sections = {}
    for section in UI.iter("widget"):
        if section.get("class") == "ctkCollapsibleButton":
            for inner in section.iter("widget"):
                sections[inner.get("name")] = section.get("name")
    order = [sections[name] for name in stops]
    assert order == sorted(order, key=list(dict.fromkeys(order)).index)
    assert list(dict.fromkeys(order)) == list(dict.fromkeys(sections.values()))


def test_no_row_of_buttons_holds_a_row_of_the_form():
    """Qt loads it without a word, and the controls lie between buttons that they have nothing to do with."""
    for layout in UI.iter("layout"):
        in_grid = [item.get("row") is not None for item in layout.findall("item")]
        assert all(in_grid) if layout.get("class") == "QFormLayout" else not any(in_grid), layout.get("name")
        places = [(item.get("row"), item.get("column")) for item in layout.findall("item") if item.get("row")]
        assert len(places) == len(set(places)), layout.get("name")


def test_no_control_speaks_of_a_parameter_that_is_not_there(module):
    """An unknown name stops the panel from opening."""
    from CTQualityAssessmentLib.panel.parameters import PanelParameters

    names = {p.find("string").text for p in UI.iter("property") if p.get("name") == "SlicerParameterName"}
    assert names <= set(PanelParameters._members)
    assert {"inputVolume", "compareVolume", "lineScore", "allTimePoints", "overTime"} <= names


def test_names_in_the_ui_file_are_not_offered_to_translators():
    """A translated name of a parameter or of a node class stops the panel from opening."""
    for one in UI.iter("property"):
        if one.get("name") in ("SlicerParameterName", "nodeTypes"):
            assert one[0].get("notr") == "true", one.get("name")


def test_the_line_of_the_curve_goes_where_the_user_wants_it(window):
    volume = make_volume()
    node = window.add_volume(volume)
    nodes = add_assessment(
        window.scene, node, make_assessment(volume, [None, 1.2, 2.4, 0.6, 3.1, 1.8]), make_body(volume)
    )
    window.panel.refresh()
    assert window.ui.belowLineLabel.text == "3 of 5 scored slices lie under it."
    window.ui.lineSpin.value = 3.0
    column = nodes.threshold_table.GetTable().GetColumnByName("score")
    assert [column.GetValue(row) for row in range(2)] == [3.0, 3.0]
    assert nodes.threshold_series.GetName() == "Score 3.0"
    assert window.ui.belowLineLabel.text == "4 of 5 scored slices lie under it."
    window.ui.lineSpin.value = 2.0
    assert nodes.threshold_series.GetName() == "Fair"


def test_parts_of_a_result_that_a_user_deletes_by_hand_are_noticed(window):
    """In Slicer's Data module anybody can; a panel that holds what is gone fails at the next click."""
    volume = make_volume()
    node = window.add_volume(volume)
    nodes = add_assessment(window.scene, node, make_assessment(volume), make_body(volume))
    window.panel.refresh()
    window.scene.RemoveNode(nodes.quality)
    assert window.ui.overlayCombo.findData("quality") == -1
    window.scene.RemoveNode(nodes.slice_table)
    assert window.ui.tableView.mrmlTableNode() is None
    window.ui.worstButton.click()
    assert window.panel.jumps.current_slice() == 1
    window.ui.removeResultsButton.click()
    assert find_assessments(window.scene, node) == []


def test_undo_takes_back_what_the_user_did_and_not_half_a_result(window):
    """Slicer's undo keeps nodes that allow it; ours do not take part, so that none of them goes alone."""
    window.scene.SetUndoOn()
    volume = make_volume()
    node = window.add_volume(volume)
    mark = window.scene.AddNewNodeByClass("vtkMRMLTextNode", "note")
    mark.SetUndoEnabled(True)
    window.scene.SaveStateForUndo()
    mark.SetText("later")
    nodes = add_assessment(window.scene, node, make_assessment(volume), make_body(volume))
    window.panel.refresh()
    verdict = window.ui.verdictLabel.text
    window.scene.Undo()
    assert not any(one.GetUndoEnabled() for one in nodes.made())
    assert all(one.GetScene() is window.scene for one in nodes.made())
    window.panel.refresh()
    assert window.ui.verdictLabel.text == verdict
    window.scene.Redo()
    window.ui.removeResultsButton.click()
    assert find_assessments(window.scene, node) == []


def test_results_stand_beside_their_volume_in_the_hierarchy(window):
    """Results at the far end of a long tree are not found again."""
    hierarchy = window.scene.AddNewNodeByClass("vtkMRMLSubjectHierarchyNode")
    study = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), "Study")
    volume = make_volume()
    node = window.add_volume(volume)
    item = hierarchy.CreateItem(study, node)
    nodes = add_assessment(window.scene, node, make_assessment(volume), make_body(volume))
    for one in nodes.made():  # the application makes the items by itself
        if not hierarchy.GetItemByDataNode(one):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), one)
    from CTQualityAssessmentLib.mrml.subject_hierarchy import place_beside

    place_beside(window.scene, node, nodes.made())
    assert {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(one)) for one in nodes.made()} == {study}
    assert hierarchy.GetItemParent(item) == study
    remove_assessment(window.scene, node)


def example():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "import slicer" in block)


def test_the_example_for_scripts_runs_without_a_window(module, window, monkeypatch, tmp_path):
    """As with Slicer --no-main-window --python-script: there is an application, but nothing to look at."""
    monkeypatch.setattr(slicer.app, "layoutManager", lambda: None)
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
    volume = make_volume((6, 64, 64))
    volume.hu[:, 12:43, 12:43] = 40
    monkeypatch.setattr(slicer.util, "loadVolume", lambda path: add_volume(window.scene, volume))
    saved = []
    monkeypatch.setattr(slicer.util, "saveScene", saved.append)
    monkeypatch.chdir(tmp_path)
    window.widget.exit()
    exec(example(), {})
    assert {file.name for file in (tmp_path / "report").iterdir()} >= {"assessment.json", "slices.csv"}
    assert saved == ["ct-quality.mrb"]
    assert [n.GetName() for n in nodes_of_class(window.scene, "vtkMRMLScalarVolumeNode")].count("Quality") == 1
