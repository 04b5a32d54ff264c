"""``ctqa``: the commands, their exit codes, and what they leave behind."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk
from CTQualityAssessmentLib import assessment as assessment_package
from CTQualityAssessmentLib import cli, result_files
from CTQualityAssessmentLib.cli import terminal
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, installed_bundles
from CTQualityAssessmentLib.reporting.json_file import assessment_schema, read_json
from CTQualityAssessmentLib.reporting.measures_file import measures_schema
from scipy.stats import spearmanr
from typer.testing import CliRunner

from Testing.bundle_factory import STATEMENT, write_bundle
from Testing.dicom_factory import PATIENT, body, write_series

EVERYTHING = {
    "assessment.json",
    "slices.csv",
    "measures.json",
    "measures.csv",
    "figures.png",
    "index.html",
    "scene.mrb",
}
SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "CTQA-phantom"


@pytest.fixture(autouse=True)
def _untrained_model(tmp_path_factory, monkeypatch):
    """The default model is an untrained small one, so that the commands run for real in a second."""
    models = tmp_path_factory.mktemp("models")
    write_bundle(models / DEFAULT_BUNDLE)
    monkeypatch.setenv("CTQA_MODELS", str(models))


@pytest.fixture
def dicom(tmp_path):
    """A series whose names, dates and UIDs are known, in a folder named after the patient."""
    folder = tmp_path / "Zweistein-folder"
    write_series(folder, body(5, 64, 64))
    return folder


def ctqa(*arguments, code=0):
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def test_assess_writes_every_result_and_they_agree(dicom, tmp_path):
    """The promise of the README: one command, seven files, one set of numbers, and the verdict in the terminal."""
    result = ctqa("assess", dicom, "--out", tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == EVERYTHING
    document = json.loads((tmp_path / "out" / "assessment.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(assessment_schema()).validate(document)
    with (tmp_path / "out" / "slices.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    scores = [one["score"] for one in document["slices"]]
    assert len(scores) == 5 and None not in scores
    assert [float(row["score"]) for row in rows] == pytest.approx(scores, rel=1e-5)
    assert f"{document['summary']['mean']:.1f} of 4" in result.stdout and STATEMENT in result.stdout
    assert document["timings_s"]["read"] > 0 and document["facts"]["kernel"] == "B30f"


def test_scene_holds_the_same_assessment(dicom, tmp_path):
    """Who opens scene.mrb in Slicer sees what the JSON says, on the volume that was assessed."""
    pytest.importorskip("slicer")
    from CTQualityAssessmentLib.mrml.assessment_nodes import assessment_from_scene
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene, nodes_of_class
    from CTQualityAssessmentLib.mrml.scene_file import load_scene

    ctqa("assess", dicom, "--out", tmp_path / "out", "--no-figures", "--attention-stage", 2, "--attention-stage", 4)
    bare = create_bare_scene()
    load_scene(bare.scene, tmp_path / "out" / "scene.mrb")
    volumes = nodes_of_class(bare.scene, "vtkMRMLScalarVolumeNode")
    node = next(volume for volume in volumes if volume.GetName() == "CT")
    assert assessment_from_scene(bare.scene, node) == read_json(tmp_path / "out" / "assessment.json")
    assert len(volumes) == 1 + 1 + 2 * 3 and not (tmp_path / "out" / "figures.png").exists()


def test_a_network_without_attention_goes_the_same_way(dicom, tmp_path):
    """TFKT gives a score alone and Grad-CAM: report, scene and DICOM must hold those, under their own names."""
    pytest.importorskip("slicer")
    from CTQualityAssessmentLib.mrml.assessment_nodes import assessment_from_scene, find_assessments
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene
    from CTQualityAssessmentLib.mrml.scene_file import load_scene

    write_bundle(Path(os.environ["CTQA_MODELS"]) / "tiny-tfkt", "tfkt")
    result = ctqa("assess", dicom, "--out", tmp_path / "out", "--model", "tiny-tfkt", "--dicom")
    dicom_files = {"report.dcm", "grad-cam-raises.dcm", "grad-cam-lowers.dcm"}
    assert {p.name for p in (tmp_path / "out").iterdir()} == EVERYTHING | dicom_files and STATEMENT in result.stdout
    bare = create_bare_scene()
    load_scene(bare.scene, tmp_path / "out" / "scene.mrb")
    node = bare.scene.GetFirstNodeByName("CT")
    assert assessment_from_scene(bare.scene, node) == read_json(tmp_path / "out" / "assessment.json")
    (nodes,) = find_assessments(bare.scene, node)
    assert [one.GetName() for one in nodes.attention] == ["Grad-CAM raises", "Grad-CAM lowers"]
    assert all(one.GetNthDisplayNode(1).GetTitleText() == "Grad-CAM" for one in nodes.attention)
    ctqa("assess", dicom, "--out", tmp_path / "out", "--no-attention")  # another model's files are not left behind
    assert not list((tmp_path / "out").glob("grad-cam-*"))


def test_nothing_identifying_leaves(dicom, tmp_path):
    """A colleague can be sent any of the results: no name, number, date, UID or folder of the patient is in them."""
    result = ctqa("assess", dicom, "--out", tmp_path / "out")
    shown = ctqa("info", dicom)
    import pydicom

    uids = {
        str(element.value)
        for path in dicom.iterdir()
        for element in pydicom.dcmread(path)
        if element.VR == "UI" and element.keyword != "SOPClassUID"
    }
    secrets = [*(str(v) for v in PATIENT.values()), "Zweistein", str(tmp_path), *uids]
    everything = {"stdout": result.stdout.encode(), "stderr": result.stderr.encode(), "info": shown.output.encode()}
    for path in (tmp_path / "out").iterdir():
        everything[path.name] = path.read_bytes()
    with zipfile.ZipFile(tmp_path / "out" / "scene.mrb") as bundle:
        everything |= {name: name.encode() + bundle.read(name) for name in bundle.namelist()}
    assert len(uids) > 3 and len(everything) > 10
    leaks = [(name, secret) for name, content in everything.items() for secret in secrets if secret.encode() in content]
    assert not leaks


def test_json_goes_to_standard_output_alone(dicom):
    """`ctqa assess ... --json | jq` must not stumble over a progress bar or a summary."""
    result = ctqa("assess", dicom, "--json")
    jsonschema.Draft202012Validator(assessment_schema()).validate(json.loads(result.stdout))


def test_same_input_gives_the_same_numbers(dicom):
    """Two runs that differ would make every comparison of scanners or doses meaningless; so would the batch size."""
    documents = [json.loads(ctqa("assess", dicom, "--json", "--batch", n).stdout) for n in (1, 4, 4)]
    one, four, again = ([s["score"] for s in d["slices"]] for d in documents)
    assert four == again
    assert one == pytest.approx(four, abs=1e-4)


def test_ctrl_c_keeps_what_was_scored(dicom, tmp_path, monkeypatch):
    """Cancelling a long run must not lose an hour of scores, nor pass them off as complete."""
    whole_run = assessment_package.assess_volume

    def interrupted(*arguments, progress, **keywords):
        def press_ctrl_c(done, total, message):
            progress(done, total, message)
            if done == 2:
                signal.raise_signal(signal.SIGINT)

        return whole_run(*arguments, progress=press_ctrl_c, **keywords)

    monkeypatch.setattr(assessment_package, "assess_volume", interrupted)
    before = signal.getsignal(signal.SIGINT)
    result = ctqa("assess", dicom, "--out", tmp_path / "out", "--batch", 1, code=terminal.EXIT_CANCELLED)
    assert signal.getsignal(signal.SIGINT) is before
    assert {p.name for p in (tmp_path / "out").iterdir()} == EVERYTHING
    kept = read_json(tmp_path / "out" / "assessment.json")
    assert kept.partial and [s.refusal.code if s.refusal else None for s in kept.slices] == [None] * 2 + ["not-run"] * 3
    assert "PARTIAL" in result.stdout


def test_ctrl_c_before_the_first_score_writes_nothing(dicom, tmp_path, monkeypatch):
    """An empty result would overwrite a good one of yesterday."""

    def interrupted(*arguments, cancelled, **keywords):
        signal.raise_signal(signal.SIGINT)
        return assess(*arguments, cancelled=cancelled, **keywords)

    assess = assessment_package.assess_volume
    monkeypatch.setattr(assessment_package, "assess_volume", interrupted)
    ctqa("assess", dicom, "--out", tmp_path / "out", code=terminal.EXIT_CANCELLED)
    assert not (tmp_path / "out").exists()


def test_second_ctrl_c_stops_at_once(dicom, tmp_path, monkeypatch):
    """A user who presses it twice does not want to wait for the figures, and no half-written file may stay."""

    def stuck(*arguments, **keywords):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(result_files, "_write_scene", stuck)
    result = ctqa("assess", dicom, "--out", tmp_path / "out", code=terminal.EXIT_CANCELLED)
    assert not (tmp_path / "out").exists() and "Traceback" not in result.output
    assert [p.name for p in tmp_path.iterdir()] == [dicom.name]


def test_a_full_disk_takes_the_files_and_not_the_scores(dicom, tmp_path, monkeypatch):
    """The network's work is in the terminal before the first byte is written, and the error says what to do."""

    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(result_files, "_write_scene", full)
    result = ctqa("assess", dicom, "--out", tmp_path / "out", code=terminal.EXIT_FAULT)
    assert "of 4" in result.stdout and "No space left on device" in result.stderr
    assert str(tmp_path) not in result.output and [p.name for p in tmp_path.iterdir()] == [dicom.name]


def test_attention_can_be_left_out(dicom, tmp_path):
    """Who wants numbers alone, for a thousand slices, does not pay for maps in memory; the scores stay the same."""
    with_maps, without = (
        json.loads(ctqa("assess", dicom, "--json", *more).stdout) for more in ((), ("--no-attention",))
    )
    assert [s["score"] for s in with_maps["slices"]] == [s["score"] for s in without["slices"]]
    ctqa("assess", dicom, "--out", tmp_path / "out", "--no-attention")
    assert {p.name for p in (tmp_path / "out").iterdir()} == EVERYTHING
    with zipfile.ZipFile(tmp_path / "out" / "scene.mrb") as bundle:
        assert not [name for name in bundle.namelist() if "attention" in name.lower()]


def test_volume_without_a_patient_ends_with_its_own_code(tmp_path):
    """A script that files results by score must notice that there is none; the reasons are in the results."""
    sitk.WriteImage(sitk.GetImageFromArray(np.full((3, 64, 64), -1000, np.int16)), tmp_path / "air.nii.gz")
    result = ctqa("assess", tmp_path / "air.nii.gz", "--out", tmp_path / "out", code=terminal.EXIT_NOTHING_SCORED)
    assert "No score" in result.stdout and read_json(tmp_path / "out" / "assessment.json").summary.refused == 3


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("assess", "{tmp}/Zweistein-missing"), 3),
        (("info", "{tmp}"), 3),
        (("assess", "{dicom}", "--model", "no-such-model"), 1),
        (("assess", "{dicom}", "--device", "abacus"), 1),
        (("assess", "{dicom}", "--out", "{tmp}/file/out"), 1),
        (("assess", "{dicom}", "--batch", "0"), 2),
        (("assess", "{dicom}", "--attention-stage", "5"), 2),
        (("assess",), 2),
    ],
)
def test_errors_are_one_plain_line_with_their_exit_code(arguments, code, dicom, tmp_path):
    """A script can tell the cases apart, and a person reads what to do instead of a traceback with a path in it."""
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "other").mkdir()
    tmp = tmp_path / "other" if arguments[0] == "info" else tmp_path
    result = ctqa(*(a.format(tmp=tmp, dicom=dicom) for a in arguments), code=code)
    assert result.stdout == "" and "Traceback" not in result.stderr
    if code != 2:
        assert re.fullmatch(r"Error: [^\n]+\. [^\n]+\.\n", result.stderr)
        assert str(tmp_path) not in result.stderr and "Zweistein" not in result.stderr


def test_a_fault_of_ours_is_one_line_too(dicom, monkeypatch):
    """A traceback can quote a path or a header; who looks for the cause asks for it."""

    def broken(*arguments, **keywords):
        raise ZeroDivisionError("Zweistein")

    monkeypatch.setattr(assessment_package, "assess_volume", broken)
    result = ctqa("assess", dicom, code=1)
    assert "ZeroDivisionError" in result.stderr and "Zweistein" not in result.stderr
    monkeypatch.setenv("CTQA_TRACEBACK", "1")
    assert isinstance(CliRunner().invoke(cli.app, ["assess", str(dicom)]).exception, ZeroDivisionError)


def test_a_missing_package_is_named(dicom, monkeypatch):
    """On a half-finished installation the user learns what to install, not that something is wrong."""
    monkeypatch.setitem(sys.modules, "CTQualityAssessmentLib.models", None)
    assert "'CTQualityAssessmentLib.models' is needed" in ctqa("assess", dicom, code=1).stderr


def test_info_shows_series_geometry_and_facts(dicom):
    """What a user checks before trusting a score, without opening a viewer."""
    shown = ctqa("info", dicom).stdout
    for expected in ("Series 1: CT, 5 slices", "0.7 x 0.8 x 2.5 mm", "5 along k", "B30f", "120 kV", "7.5 mGy"):
        assert expected in shown


def test_models_are_listed_and_verified(tmp_path, monkeypatch):
    """Weights that were changed or cut short must show before they score anything."""
    assert f"{DEFAULT_BUNDLE} 0.0.1 (default): weights verified" in ctqa("models").stdout
    damaged = write_bundle(tmp_path / "models" / "damaged")
    with (damaged / "models" / "model.safetensors").open("ab") as file:
        file.write(b"x")
    monkeypatch.setenv("CTQA_MODELS", str(tmp_path / "models"))
    shown = ctqa("models", code=1).stdout
    assert "damaged: UNUSABLE" in shown


def test_info_and_models_speak_json(dicom):
    """A script that plans a night of work reads slices, spacing and checksums without parsing a table for people."""
    told = json.loads(ctqa("info", dicom, "--json").stdout)
    assert told["shape_ijk"] == [64, 64, 5] and told["acquisition_axis"] == "k" and told["facts"]["kernel"] == "B30f"
    assert told["series"][0]["number"] == 1 and "Zweistein" not in json.dumps(told)
    told = {model["name"]: model for model in json.loads(ctqa("models", "--json").stdout)}
    assert told[DEFAULT_BUNDLE]["verified"] and len(told[DEFAULT_BUNDLE]["sha256"]) == 64


def test_help_names_every_exit_code():
    """Scripts are written against these numbers."""
    text = " ".join(re.sub(r"[│╭╰─╮╯]", " ", ctqa("assess", "--help").stdout).split())
    for code, meaning in ((0, "done"), (1, "error"), (2, "wrong usage"), (3, "no score"), (130, "cancelled")):
        assert f"{code} {meaning}" in text


def test_shipped_model_on_the_shipped_sample(tmp_path, monkeypatch):
    """What `make run` does on a fresh computer: the trained weights score the sample that comes with them."""
    monkeypatch.delenv("CTQA_MODELS")
    if DEFAULT_BUNDLE not in installed_bundles():
        pytest.skip("no bundle in the tree")
    if not SAMPLE.is_dir():
        pytest.skip("no sample in the tree")
    ctqa("assess", SAMPLE, "--out", tmp_path / "out", "--no-scene")
    found = read_json(tmp_path / "out" / "assessment.json")
    assert found.summary.scored >= 0.9 * found.summary.slices and not found.partial
    assert found.model.simulated_labels
    with (SAMPLE / "truth.csv").open(encoding="utf-8", newline="") as file:
        truth = [float(row["fidelity"]) for row in csv.DictReader(file)]
    # A score that rises with the noise, or slices counted from the other end, must not pass.
    assert spearmanr(found.scores(), truth).statistic > 0.9


def test_measure_needs_no_torch(dicom, tmp_path):
    """A department without torch, or a Slicer before any install, still gets the physics."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'monai', 'matplotlib', 'jinja2', 'slicer']))\n"
        "from CTQualityAssessmentLib.cli import main\n"
        f"sys.argv = ['ctqa', 'measure', {str(dicom)!r}, '--out', {str(tmp_path / 'out')!r}, '--json']\n"
        "main()"
    )
    library = Path(cli.__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=library, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"measures.json", "measures.csv"}
    document = json.loads(done.stdout)
    jsonschema.Draft202012Validator(measures_schema()).validate(document)
    assert document == json.loads((tmp_path / "out" / "measures.json").read_text(encoding="utf-8"))
    assert len(document["slices"]) == 5 and document["volume"]["tissues"]


def test_measure_of_air_ends_with_its_own_code(tmp_path):
    """A script must notice that nothing could be measured."""
    sitk.WriteImage(sitk.GetImageFromArray(np.full((3, 64, 64), -1000, np.int16)), tmp_path / "air.nii.gz")
    result = ctqa("measure", tmp_path / "air.nii.gz", code=terminal.EXIT_NOTHING_SCORED)
    assert "Global noise level: n/a (There is no patient" in result.stdout
