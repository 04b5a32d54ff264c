"""Nothing that identifies a patient is in anything that is written, printed or logged, unless it was asked for.

Every identifying element of the input, private ones too, and every file and folder name holds a word of its own, and
every byte that leaves is searched for all of them.
"""

from __future__ import annotations

import logging
import zipfile

import pytest
from CTQualityAssessmentLib import cli
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, DEFAULT_DENOISER
from pydicom import dcmread
from pydicom.datadict import keyword_for_tag
from typer.testing import CliRunner

from Testing.bundle_factory import write_bundle
from Testing.denoiser_factory import write_denoiser
from Testing.dicom_factory import body
from Testing.sentinels import PRIVATE, TEXTS, UIDS, leaks, plant_series, secrets_of, written_in


@pytest.fixture
def planted(tmp_path):
    return plant_series(tmp_path)


@pytest.fixture(autouse=True)
def _untrained_model(tmp_path_factory, monkeypatch):
    models = tmp_path_factory.mktemp("models")
    write_bundle(models / DEFAULT_BUNDLE)
    write_denoiser(models / DEFAULT_DENOISER)
    monkeypatch.setenv("CTQA_MODELS", str(models))


def test_words_are_where_they_are_looked_for(planted, tmp_path):
    """Guards the tests below: a search for words that are not in the input would find nothing for ever."""
    (path, *_) = sorted(planted.rglob("*.dcm"))
    held = {keyword_for_tag(element.tag): element.value for element in dcmread(path).iterall()}
    assert sum(str(value).startswith("Sentinel") for value in held.values()) > 55
    assert len(secrets_of(planted, tmp_path)) > 15
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("a", b"Sentinel" * 9)
    assert leaks({"x": archive.read_bytes()}, {b"Sentinel"}) == [("x/a", b"Sentinel")]


def test_nothing_planted_leaves_any_command(planted, tmp_path, caplog):
    """A colleague may be sent every file and every line of output."""
    caplog.set_level(logging.DEBUG)
    out = tmp_path.parent / "results-of-the-test"
    commands = {
        "info": ["info", planted],
        "assess": ["assess", planted, "--out", out / "assess"],
        "assess --json": ["assess", planted, "--json"],
        "measure": ["measure", planted, "--out", out / "measure"],
        "measure --json": ["measure", planted, "--json"],
        "denoise": ["denoise", planted, "--out", out / "denoise", "--residual", "--scores", "--findings"],
        "denoise --json": ["denoise", planted, "--out", out / "nrrd", "--format", "nrrd", "--json"],
        "assess --denoised": ["assess", planted, "--out", out / "both", "--denoised", out / "denoise", "--no-scene"],
    }
    everything = {}
    for name, arguments in commands.items():
        result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
        assert result.exit_code == 0, result.output
        everything |= {f"{name} stdout": result.stdout.encode(), f"{name} stderr": result.stderr.encode()}
    files = written_in(out)
    assert {"assess/scene.mrb", "assess/figures.png", "assess/index.html", "measure/measures.csv"} <= set(files)
    assert {"denoise/index.html", "denoise/denoised.nii.gz", "nrrd/denoised.nrrd", "both/index.html"} <= set(files)
    assert b'id="denoising"' in files["both/index.html"]
    everything |= files | {"log": caplog.text.encode()}
    assert leaks(everything, secrets_of(planted, tmp_path)) == []


def test_nothing_planted_is_in_an_error(planted, tmp_path, caplog):
    """An error is what users paste into a mail first."""
    caplog.set_level(logging.DEBUG)
    secrets = secrets_of(planted, tmp_path)
    everything = {}
    for number, path in enumerate(sorted(planted.rglob("*.dcm"))):
        content = path.read_bytes()
        path.write_bytes(content[: (-900, len(content) // 2, 700, 300)[number % 4]])
    out = tmp_path / "out"
    for name, arguments in {
        "info": ["info", planted],
        "assess": ["assess", planted, "--out", out],
        "assess --dicom": ["assess", planted, "--out", out, "--dicom"],
        "measure": ["measure", planted, "--out", out, "--json"],
        "denoise": ["denoise", planted, "--out", out],
        "absent": ["assess", planted / "Sentinel-absent"],
        "in the way": ["assess", planted, "--out", sorted(planted.rglob("*.dcm"))[0] / "x"],
    }.items():
        result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
        assert result.exit_code not in (0, 2) and result.stderr.startswith("Error: "), (name, result.output)
        everything |= {f"{name} stdout": result.stdout.encode(), f"{name} stderr": result.stderr.encode()}
    assert not out.exists()
    assert leaks(everything | {"log": caplog.text.encode()}, secrets) == []


def test_dicom_files_alone_name_the_patient(planted, tmp_path):
    """Asked for, the two kinds of DICOM files can be filed; nothing else that is written changes by that."""
    pytest.importorskip("highdicom", reason="highdicom is not installed (extra 'reporting')")
    out = tmp_path / "out"
    arguments = ["assess", planted, "--out", out, "--dicom", "--no-scene", "--no-figures", "--attention-stage", "2"]
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    files = written_in(out)
    dicom = {name for name in files if name.endswith(".dcm")}
    assert dicom == {"report.dcm", *(f"attention-{name}-stage2.dcm" for name in ("scan", "read", "focus"))}
    for name in dicom:
        filed = dcmread(out / name)
        assert filed.PatientID == f"Sentinel{TEXTS.index('PatientID'):03d}"
        assert filed.StudyInstanceUID == f"1.2.826.77{UIDS.index('StudyInstanceUID')}.1"
        assert PRIVATE.encode() not in files[name] and b"Sentinelf" not in files[name]
        for keyword in ("PatientComments", "InstitutionName", "PatientAddress", "OperatorsName", "StudyDescription"):
            assert keyword not in filed
    rest = {name: content for name, content in files.items() if name not in dicom}
    rest |= {"stdout": result.stdout.encode(), "stderr": result.stderr.encode()}
    assert leaks(rest, secrets_of(planted, tmp_path)) == []


def test_dicom_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    """Minutes of scoring must not end in an error that was known from the first second."""
    import numpy as np
    import SimpleITK
    from CTQualityAssessmentLib import assessment

    monkeypatch.setattr(assessment, "assess_volume", None)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(body(3, 64, 64).astype(np.int16)), tmp_path / "ct.nii.gz")
    arguments = ["assess", str(tmp_path / "ct.nii.gz"), "--dicom"]
    assert CliRunner().invoke(cli.app, arguments).exit_code == 2
    result = CliRunner().invoke(cli.app, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 1 and result.stderr.startswith("Error: The input is no DICOM series")
    assert not (tmp_path / "out").exists()
