"""The module opens, closes and gives back what it took."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pydicom
import pytest
import qt
import slicer
import vtk
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume

from Testing.assessment_factory import affine, make_volume


def test_the_panel_opens_with_its_sections_in_the_order_of_work(window):
    titles = [
        window.ui.__dict__[f"{name}Button"].text
        for name in ("volume", "assessSection", "results", "overlays", "compare", "report", "models")
    ]
    assert titles == ["Volume", "Assess", "Results", "Overlays", "Denoise and compare", "Report", "Models"]


def test_without_a_volume_the_button_says_what_is_missing(window):
    """A grey button without a reason leaves a user guessing."""
    assert not window.ui.assessButton.enabled
    assert window.ui.assessButton.toolTip == "Choose a CT volume first."
    window.add_volume(make_volume())
    assert window.ui.assessButton.enabled


def test_without_a_model_the_button_says_so(window, monkeypatch, tmp_path):
    monkeypatch.setattr("CTQualityAssessmentLib.models.bundles.bundle_folders", lambda: (tmp_path,))
    window.add_volume(make_volume())
    window.ui.verifyModelsButton.click()
    assert not window.ui.assessButton.enabled
    assert "No model is installed" in window.ui.assessButton.toolTip


def test_facts_and_warnings_need_no_package_and_follow_the_choice(window):
    window.add_volume(make_volume((6, 20, 24)))
    assert "24 × 20 × 6 voxels of 1.5 × 1.5 × 4 mm" in window.ui.factsLabel.text
    assert window.ui.volumeWarningLabel.isHidden()
    window.add_volume(make_volume((6, 20, 24), affine(rotation_deg=(90.0, 0.0, 0.0))), "coronal")
    assert "not axial" in window.ui.volumeWarningLabel.text
    assert not window.ui.volumeWarningLabel.isHidden()


def test_a_volume_that_cannot_be_assessed_says_why(window):
    node = window.add_volume(make_volume())
    bent = window.scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    grid = vtk.vtkBSplineTransform()
    coefficients = vtk.vtkImageData()
    coefficients.SetDimensions(4, 4, 4)
    coefficients.AllocateScalars(vtk.VTK_DOUBLE, 3)
    grid.SetCoefficientData(coefficients)
    bent.SetAndObserveTransformFromParent(grid)
    node.SetAndObserveTransformNodeID(bent.GetID())
    window.ui.inputSelector.setCurrentNode(None)
    window.ui.inputSelector.setCurrentNode(node)
    assert "non-linear transform" in window.ui.volumeWarningLabel.text
    assert not window.ui.assessButton.enabled


def test_leaving_gives_observers_and_shortcuts_back(window):
    """What stays behind would answer keys and slice moves in other modules, and crash after a reload."""
    red = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    assert red.HasObserver(vtk.vtkCommand.ModifiedEvent)
    keys = {key.key.toString() for key in window.main_window.findChildren(qt.QShortcut)}
    assert keys == {"Ctrl+Shift+J", "Ctrl+Shift+K", "Ctrl+Shift+L"}
    panel, parameters = window.panel, window.panel.parameters.parameterNode
    choose_a_sequence(window)
    assert {one[0].GetClassName() for one in panel.watching.Observations} == {
        "vtkMRMLSliceNode",
        "vtkMRMLSliceCompositeNode",
        "vtkMRMLSequenceBrowserNode",
    }
    assert parameters in [one[0] for one in panel.Observations]
    window.widget.exit()
    assert panel.watching.Observations == []
    assert parameters not in [one[0] for one in panel.Observations]
    qt.QCoreApplication.sendPostedEvents(None, qt.QEvent.DeferredDelete)
    assert window.main_window.findChildren(qt.QShortcut) == []
    window.widget.enter()
    assert len(panel.watching.Observations) == 7  # views, what they show, browser
    window.close()
    assert panel.Observations == [] and panel.watching.Observations == []


def choose_a_sequence(window):
    """A volume that shows one of two time points, chosen."""
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(window.scene)
    node = window.add_volume(make_volume(), "4D")
    times = window.scene.AddNewNodeByClass("vtkMRMLSequenceNode", "S")
    for n in range(2):
        times.SetDataNodeAtValue(node, str(n))
    window.scene.RemoveNode(node)
    browser = window.scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "B")
    browser.AddSynchronizedSequenceNode(times)
    browser.SetSelectedItemNumber(0)
    logic.UpdateProxyNodesFromSequences(browser)
    window.ui.inputSelector.setCurrentNode(browser.GetProxyNode(times))
    window.logic = logic


def test_widgets_of_a_module_that_was_left_change_nothing(window):
    """connectGui of the real wrapper returns no tag to cut its ties by: each visit would leave another set of them."""
    node = window.panel.parameters.parameterNode
    opacity = window.panel.parameters.opacity
    window.widget.exit()
    window.ui.opacitySlider.value = 0.9
    window.widget.enter()
    assert window.panel.parameters.opacity == opacity == window.ui.opacitySlider.value
    window.ui.opacitySlider.value = 0.7
    assert float(node.GetParameter("opacity")) == 0.7


def test_reload_brings_up_a_working_panel_without_enter(window, module):
    """Slicer's Reload button calls cleanup and setup, but not enter."""
    window.widget.cleanup()
    window.container.isEntered = True
    window.widget = module.CTQualityAssessmentWidget(window.container)
    window.widget.setup()
    window.add_volume(make_volume())
    assert window.ui.assessButton.enabled


@pytest.fixture
def database(window, monkeypatch, tmp_path):
    """Slicer's DICOM database with one header, which a test may change; returns the chosen volume's panel texts."""
    (first, *_) = sorted((Path(__file__).resolve().parents[2] / "Resources" / "SampleData").rglob("*.dcm"))

    def describe(**changes):
        header = pydicom.dcmread(first)
        for keyword, value in changes.items():
            setattr(header, keyword, value)
        header.save_as(tmp_path / "header.dcm")
        database = SimpleNamespace(fileForInstance=lambda uid: str(tmp_path / "header.dcm"))
        monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
        node = add_volume(window.scene, make_volume())
        node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
        window.ui.inputSelector.setCurrentNode(node)
        return window.ui.factsLabel.text, window.ui.volumeWarningLabel.text

    return describe


def test_headers_of_the_dicom_database_give_facts_and_warnings(database):
    facts, warnings = database()
    assert "Tube voltage" in facts and warnings == ""
    assert "MR, not CT" in database(Modality="MR")[1]
    assert "scout" in database(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[1]
    assert "reformat" in database(ImageType=["DERIVED", "SECONDARY", "REFORMATTED"])[1]
