"""``ctqa assess`` with a network that reads whole volumes, CT and MR."""

from __future__ import annotations

import json

import jsonschema
import nibabel
import numpy as np
import pytest
from CTQualityAssessmentLib import cli
from CTQualityAssessmentLib.reporting.json_file import assessment_schema, read_json
from typer.testing import CliRunner

from Testing.bundle_factory import STATEMENT, write_bundle
from Testing.dicom_factory import body, write_series

NAME = "tiny-cmmiqa"


@pytest.fixture(autouse=True)
def _models(tmp_path_factory, monkeypatch):
    models = tmp_path_factory.mktemp("models")
    write_bundle(models / NAME, "cmmiqa")
    write_bundle(models / "tiny")
    monkeypatch.setenv("CTQA_MODELS", str(models))


@pytest.fixture
def mr(tmp_path):
    """A NIfTI file of MR, which does not say so."""
    path = tmp_path / "mr.nii.gz"
    signal = (body(12, 48, 56) + 1000).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(signal.T, np.diag([-1.0, -1.0, 3.0, 1.0])), path)
    return path


def ctqa(*arguments, code=0):
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def test_mr_is_assessed_when_it_is_called_mr(mr, tmp_path):
    """The promise of the README: a volume score, the profile, two maps, and what the network was told."""
    pytest.importorskip("slicer")
    from CTQualityAssessmentLib.mrml.assessment_nodes import assessment_from_scene, find_assessments
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene
    from CTQualityAssessmentLib.mrml.scene_file import load_scene

    out = tmp_path / "out"
    result = ctqa("assess", mr, "--out", out, "--model", NAME, "--modality", "mr", "--organ", "Brain")
    assert "MR (from the user), brain (from the user)" in " ".join(result.stdout.split())
    assert STATEMENT in " ".join(result.stdout.split())
    document = json.loads((out / "assessment.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(assessment_schema()).validate(document)
    assert 0 <= document["volume_score"] <= 4 and document["facts"]["modality"] == "MR"
    assert f"{document['volume_score']:.1f} of 4" in result.stdout
    maps = [nibabel.load(out / f"{name}-map.nii.gz") for name in ("score", "weight")]
    assert maps[0].shape == maps[1].shape == (4, 3, 2)
    np.testing.assert_allclose(maps[0].affine @ [2, 1, 1, 1], np.diag([-1, -1, 3, 1]) @ [32, 16, 8, 1], atol=1e-4)
    bare = create_bare_scene()
    load_scene(bare.scene, out / "scene.mrb")
    node = bare.scene.GetFirstNodeByName("MR")
    assert assessment_from_scene(bare.scene, node) == read_json(out / "assessment.json")
    (nodes,) = find_assessments(bare.scene, node)
    assert [one.GetName() for one in nodes.volume_maps] == ["Score map", "Weights of the score"]
    assert [one.GetName() for one in nodes.attention] == ["Weight map"]


def test_a_file_that_does_not_say_what_it_is_gets_a_way_out(mr, tmp_path):
    """MR taken for HU would be scored through a window of HU; half a folder must not be left."""
    result = ctqa("assess", mr, "--out", tmp_path / "out", "--model", NAME, code=3)
    assert "--modality MR" in result.output and not (tmp_path / "out").exists()
    result = ctqa("assess", mr, "--out", tmp_path / "out", "--model", "tiny", code=3)
    assert "Hounsfield" in result.output and not (tmp_path / "out").exists()


def test_words_that_no_network_knows_are_refused(mr, tmp_path):
    for option, word in (("--modality", "ultrasound"), ("--organ", "tail")):
        result = ctqa("assess", mr, "--model", NAME, option, word, code=1)
        assert "Choose one of unknown" in " ".join(result.output.split())


def test_ct_with_tags_needs_no_word_and_the_files_of_another_run_go(tmp_path):
    """The tags of a DICOM series are the prompt; maps of an earlier run must not lie beside other results."""
    write_series(tmp_path / "ct", body(10, 64, 64))
    out = tmp_path / "out"
    result = ctqa("assess", tmp_path / "ct", "--out", out, "--model", NAME, "--no-scene", "--no-figures")
    assert "CT (from Modality), abdomen (from BodyPartExamined)" in " ".join(result.stdout.split())
    assert (out / "weight-map.nii.gz").exists()
    ctqa("assess", tmp_path / "ct", "--out", out, "--model", "tiny", "--no-scene", "--no-figures")
    assert not list(out.glob("*-map.nii.gz"))
    assert json.loads((out / "assessment.json").read_text())["volume_score"] is None


def test_unknown_may_be_said(tmp_path):
    write_series(tmp_path / "ct", body(10, 64, 64))
    result = ctqa("assess", tmp_path / "ct", "--model", NAME, "--modality", "unknown", "--organ", "unknown", "--json")
    prompt = json.loads(result.stdout)["prompt"]
    assert prompt == {
        "modality": "unknown",
        "organ": "unknown",
        "modality_from": "the user",
        "organ_from": "the user",
    }
