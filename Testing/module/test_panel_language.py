"""If these fail, part of the panel or of the scene stays English, or stops working in another language."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import qt
import slicer
import slicer.util
import vtk
from CTQualityAssessmentLib.assessment.prompting import Told, prompt_of
from CTQualityAssessmentLib.denoising import (
    SCORER_WARNING,
    BeforeAfter,
    DenoisingReport,
    Finding,
    Findings,
    Retention,
    Strength,
    TissueBias,
)
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, add_bundle, installed_bundles, load_bundle, read_bundle
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment, find_assessments
from CTQualityAssessmentLib.mrml.denoised_nodes import keep_examination, put_denoised
from CTQualityAssessmentLib.mrml.difference import find_differences
from CTQualityAssessmentLib.mrml.results_of_volume import has_results
from CTQualityAssessmentLib.mrml.scene import nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import load_scene, save_scene
from CTQualityAssessmentLib.mrml.volume_nodes import image_of, node_warnings
from CTQualityAssessmentLib.panel.before_after import before_after_rows
from CTQualityAssessmentLib.panel.language import speak_application_language
from CTQualityAssessmentLib.prompts import ORGANS
from CTQualityAssessmentLib.reporting.folder import result_folder
from CTQualityAssessmentLib.results import Refusal
from CTQualityAssessmentLib.translation import said, told
from CTQualityAssessmentLib.volume import AcquisitionFacts

from Testing.assessment_factory import MODEL, make_assessment, make_attention, make_body, make_volume

SCORES = [None, 1.2, 2.4, 0.6, 3.1, 1.8]
#: What stays as it is: units, file formats, keys of the keyboard, names of techniques and of products.
NEUTRAL = set(
    "HU mm kV mA mAs mGy cm min bit HTML CSV JSON SHA Ctrl Shift CUDA CPU PyTorch SNR CNR NPS SSDE AAPM".split()
)
_KEPT = re.compile(r"\{[^{}]*\}|<[^<>]*>|&\w+;")


def foreign(text):
    """The text in letters that no English word has; placeholders and mark-up stay."""

    def wide(plain):
        return re.sub("[A-Za-z]", lambda letter: chr(ord(letter[0]) + 0xFEE0), plain)

    parts, end = [], 0
    for kept in _KEPT.finditer(text):
        parts += [wide(text[end : kept.start()]), kept[0]]
        end = kept.end()
    return "".join(parts) + wide(text[end:])


class Foreign(qt.QTranslator):
    def isEmpty(self):
        return False

    def translate(self, context, text, disambiguation=None, n=-1):
        return foreign(text)


@pytest.fixture
def abroad(application):
    """An application in another language, from before the window is made."""
    translator = Foreign()
    qt.QCoreApplication.installTranslator(translator)
    speak_application_language()
    yield
    qt.QCoreApplication.removeTranslator(translator)
    speak_application_language()


def english(texts, data):
    """The texts in which an English word is left, once what is no text of ours is taken out."""
    found = []
    for text in texts:
        left = html.unescape(re.sub("<[^<>]*>", " ", text))
        for one in sorted(data, key=len, reverse=True):
            left = left.replace(one, " ")
        words = {word for word in re.findall("[A-Za-z]{2,}", left) if word not in NEUTRAL}
        if words:
            found.append((text, words))
    return found


def widget_texts(ui):
    for widget in vars(ui).values():
        for name in ("text", "title", "toolTip", "plainText", "placeholderText", "windowTitle"):
            value = widget.property(name)
            if isinstance(value, str) and value:
                yield value
        if isinstance(widget, qt.QComboBox) and not widget.objectName.endswith("Selector"):  # Slicer's own texts
            yield from (widget.itemText(n) for n in range(widget.count))
        if isinstance(widget, qt.QListWidget):
            yield from (widget.item(n).text() for n in range(widget.count))


def scene_texts(scene, known):
    for node in nodes_of_class(scene, "vtkMRMLNode"):
        if node.GetID() in known or node.IsA("vtkMRMLStorageNode"):
            continue
        if node.IsA("vtkMRMLColorLegendDisplayNode"):
            yield node.GetTitleText()
        if node.IsA("vtkMRMLDisplayNode") or node.IsA("vtkMRMLTransformNode") or node.GetSingletonTag():
            continue
        yield node.GetName()
        if node.IsA("vtkMRMLPlotChartNode"):
            yield from (node.GetTitle(), node.GetXAxisTitle(), node.GetYAxisTitle())
        if node.IsA("vtkMRMLTableNode"):
            for n in range(node.GetNumberOfColumns()):
                yield node.GetColumnTitle(node.GetColumnName(n))
                column = node.GetTable().GetColumn(n)
                if column.IsA("vtkStringArray"):
                    yield from (column.GetValue(row) for row in range(column.GetNumberOfValues()))


def view_texts():
    manager = slicer.app.layoutManager()
    for name in manager.sliceViewNames():
        annotation = manager.sliceWidget(name).cornerAnnotation()
        for corner in (vtk.vtkCornerAnnotation.UpperEdge, vtk.vtkCornerAnnotation.LowerEdge):
            yield annotation.GetText(corner) or ""


def data_of():
    """What the models say of themselves: their own words, in their own language."""
    found = [MODEL.statement, MODEL.name, "CT", "other", "A sentence of a later version."]
    for folder in installed_bundles().values():
        info = read_bundle(folder)
        limits = info.metadata["ctqa"].get("limits", [])
        whole = [info.statement, info.description, info.name, *limits]
        found += whole + [str(info.metadata.get(key, "")) for key in ("intended_use", "data_source", "copyright")]
        found.append(f"SHA-256 {info.sha256[:16]}")
    return {one for one in found if one}


def denoised(window, node, volume):
    """A result as a run would have put it there, with all that can be looked at."""
    report = DenoisingReport(MODEL, Strength(bone=0.5), 6, 6, False, "cpu", 1.0, {}, warnings=(SCORER_WARNING,))
    put_denoised(window.scene, node, image_of((volume.hu - 3).astype(np.int16)), volume.acquisition_axis, report)
    box = Finding(1, 2, 2.0, 3.0, 6.0, 7.0, 0.62)
    seen = replace(
        report,
        retention=(
            Retention(8, 10, "soft tissue", 48, 8, 0.97, (0.95, 0.99), 0.9),
            Retention(4, 20, "soft tissue", 48, 8, 0.731, (0.7, 0.76), 0.6),
            Retention(4, 150, "lung"),
        ),
        measures={"noise_hu": BeforeAfter(18.42, 9.71)},
        bias={"soft tissue": TissueBias(0.3, 10.0)},
        scores=BeforeAfter(2.1, 3.4),
        findings=Findings((box,), (box,)),
    )
    keep_examination(window.scene, node, seen, before_after_rows(seen), volume)
    window.panel.refresh()


def test_nothing_that_a_user_reads_stays_english(abroad, window, models, tmp_path, monkeypatch):
    """Panel, tooltips, tables, curves, legends, boxes, views; and what stays in the files is English as ever."""
    known = {node.GetID() for node in nodes_of_class(window.scene, "vtkMRMLNode")}
    data, ui = data_of(), window.ui
    volume = make_volume()
    other = window.add_volume(make_volume(), "other")
    node = window.add_volume(volume, "CT")
    known |= {node.GetID(), other.GetID()}

    def left():
        return english([*widget_texts(ui), *scene_texts(window.scene, known), *view_texts()], data)

    assert left() == []
    maps = [make_attention(volume, temperature, 3) for temperature in ("scan", "focus")]
    told = (
        "The slices are not axial; the model was trained on axial slices.",
        "Voxels without a value were taken for air.",
    )
    assessment = replace(make_assessment(volume, SCORES, maps), warnings=told, partial=True)
    empty = replace(assessment.slices[0], refusal=Refusal("no-body", "The slice is empty."))
    assessment = replace(assessment, slices=(empty, *assessment.slices[1:]))
    nodes = add_assessment(window.scene, node, assessment, make_body(volume))
    window.panel.refresh()
    window.panel.jumps.jump(4)
    window.panel.overlays.choose("Attention focus stage 3")
    assert left() == []
    window.panel.jumps.jump(0)  # not scored
    ui.lineSpin.value = 3.0
    denoised(window, node, volume)
    ui.verifyModelsButton.click()
    assert left() == []
    assert foreign("Good") in "".join(
        nodes.slice_table.GetTable().GetColumnByName("grade").GetValue(n) for n in range(6)
    )
    assert window.panel.texts is not None and any(foreign("not scored") in text for text in view_texts())
    # What is kept and what leaves is the same in every language.
    assert json.loads(nodes.result.GetText())["slices"][4]["grade"] == "Good"
    chosen = "CTQualityAssessmentLib.panel.report_section.ask_for_folder"
    monkeypatch.setattr(chosen, lambda parent: str(tmp_path / "report"))
    ui.exportButton.click()
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Mean over the scored slices" in page and foreign("Good") not in page
    data |= {file.name for file in (tmp_path / "report").iterdir()}
    assert left() == []


def test_clicks_restore_and_removal_work_in_another_language(abroad, window, tmp_path):
    """Everything is found by what it is, and not by what it is called."""
    volume = make_volume()
    node = window.add_volume(volume, "CT")
    maps = [make_attention(volume, temperature, 3) for temperature in ("scan", "focus")]
    nodes = add_assessment(window.scene, node, make_assessment(volume, SCORES, maps), make_body(volume))
    denoised(window, node, volume)
    ui, panel = window.ui, window.panel
    ui.tableView.clicked.emit(ui.tableView.model().index(4, 2))
    assert panel.jumps.current_slice() == 4
    ui.worstButton.click()
    assert panel.jumps.current_slice() == 3
    ui.overlayCombo.currentIndex = ui.overlayCombo.findText(foreign("Attention focus stage 3"))
    assert panel.overlays.current() is nodes.attention[1]
    assert ui.thresholdLabel.text == foreign("Attention from")
    assert str(panel.parameters.overlay) == "Attention focus stage 3"
    save_scene(window.scene, tmp_path / "saved.mrb")
    window.scene.Clear(False)
    load_scene(window.scene, tmp_path / "saved.mrb")
    assert ui.verdictLabel.text == foreign("{0} of 4: Fair").format("1.8")
    assert panel.overlays.current().GetName() == foreign("Attention focus stage 3")
    assert len(panel.denoise.nodes.boxes) == 2
    ui.removeResultsButton.click()
    volumes = [one.GetName() for one in nodes_of_class(window.scene, "vtkMRMLScalarVolumeNode")]
    assert volumes == ["CT"] and not has_results(window.scene, panel.results.input)


def test_a_scene_of_an_earlier_version_has_its_maps_by_name(abroad, window):
    """Those scenes say in the name alone, in English, what a map is."""
    volume = make_volume()
    node = window.add_volume(volume, "CT")
    maps = [make_attention(volume, temperature, 3) for temperature in ("scan", "focus")]
    nodes = add_assessment(window.scene, node, make_assessment(volume, SCORES, maps), make_body(volume))
    for one, map_ in zip(nodes.attention, maps, strict=True):
        one.RemoveAttribute("CTQA.overlay")
        one.SetName(map_.title)
    window.panel.refresh()
    window.panel.overlays.choose("Attention focus stage 3")
    assert window.panel.overlays.current() is nodes.attention[1]
    assert window.ui.overlayCombo.currentText == foreign("Attention focus stage 3")


def test_what_a_worker_tells_is_translated_where_it_arrives(abroad, window, module):
    """It comes as it is written, with its figures in it."""
    assert said("Denoising slices") == foreign("Denoising slices")
    told = "The memory was short, so 4 slice(s) at a time were assessed."
    assert said(told) == foreign("The memory was short, so {n} slice(s) at a time were assessed.").format(n=4)
    kept = Retention(4, 20, "soft tissue", 48, 8, 0.731, (0.7, 0.76), 0.6)
    assert english([said(kept.sentence())], set()) == []
    assert said("a sentence of a stranger") == "a sentence of a stranger"


@pytest.mark.parametrize(
    "settings", [{"language": "en-US"}, {"language": "fr", "Internationalization/Enabled": "false"}]
)
def test_in_english_nothing_is_read_before_a_text_is_shown(window, monkeypatch, settings):
    """The window would wait for the sources of the library each time the application opens the panel."""
    read = []
    monkeypatch.setattr("CTQualityAssessmentLib.translation.marked_in", lambda source: read.append(source) or [])
    monkeypatch.setattr("CTQualityAssessmentLib.translation._unread", [__file__])
    slicer.app.settings.update(settings)
    speak_application_language()
    try:
        assert said("Denoising slices") == "Denoising slices" and read == []
        slicer.app.settings.update({"language": "fr", "Internationalization/Enabled": "true"})
        speak_application_language()
        assert said("a sentence of a stranger") == "a sentence of a stranger" and len(read) == 1
    finally:
        slicer.app.settings.clear()
        speak_application_language()


def test_reasons_and_prompts_are_translated_where_they_are_shown(abroad, window, models, tmp_path):
    """They are filled into other texts, in which they would stay English."""
    untagged = replace(make_volume(), facts=AcquisitionFacts())
    described = replace(untagged, facts=AcquisitionFacts(described_organ="chest"))
    prompts = [prompt_of(untagged), prompt_of(described), prompt_of(untagged, Told("MR", "brain"))]
    assert english([said(one.text) for one in prompts], {"CT", "MR"}) == []
    refused = _raised(lambda: Told("MR", "nose"))
    assert english([told(refused)], {"modality", "organ", *ORGANS}) == []
    (tmp_path / "file").write_text("no folder")
    assert english([told(_raised(lambda: enter(result_folder(tmp_path / "file"))))], {"--out"}) == []
    name = next(iter(installed_bundles()))
    assert english([told(_raised(lambda: add_bundle(installed_bundles()[name])))], {name}) == []
    units = slicer.vtkCodedEntry()
    units.SetValueSchemeMeaning("1", "UCUM", "no units")
    node = window.add_volume(make_volume())
    node.SetVoxelValueUnits(units)
    assert english(map(said, node_warnings(node)), set()) == [] and len(node_warnings(node)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"input_size": 1},
        {"input_size": "large"},
        {"picture": "none"},
        {"statement": 3},
        {"network_config": {"depth": 10**9}},
        {"network_config": {"names": ["x"] * 1000}},
    ],
)
def test_whatever_is_wrong_with_a_model_is_told_in_the_language(abroad, window, models, tmp_path, change):
    """The list of models fills the reason into its own text."""
    folder = tmp_path / "broken"
    shutil.copytree(models / DEFAULT_BUNDLE, folder)
    file = folder / "configs" / "metadata.json"
    metadata = json.loads(file.read_text(encoding="utf-8"))
    metadata["ctqa"] |= change
    file.write_text(json.dumps(metadata), encoding="utf-8")
    error = _raised(lambda: load_bundle(folder))
    assert english([told(error)], {DEFAULT_BUNDLE, "broken"}) == []


def enter(context):
    with context:
        pass


def _raised(action):
    with pytest.raises(CTQAError) as caught:
        action()
    return caught.value


def test_a_translation_without_a_placeholder_is_not_taken(window):
    """It would stop the panel where the value is filled in."""
    from CTQualityAssessmentLib.translation import texts_of, use_translator

    use_translator(lambda file, text: text.replace("{count}", "{nombre}"))
    try:
        assert texts_of("some file")("{count} files").format(count=3) == "3 files"
    finally:
        speak_application_language()
    assert find_assessments(window.scene, None) == [] and find_differences(window.scene, None) == []
