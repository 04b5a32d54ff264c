"""If these fail, a denoised series is filed under another patient, passes for the original, or lies elsewhere."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess

import jsonschema
import numpy as np
import pytest
from CTQualityAssessmentLib.cli import app
from CTQualityAssessmentLib.denoising import BeforeAfter, DenoisingReport, Retention, Strength, TissueBias
from CTQualityAssessmentLib.reading import originals, read_volume
from CTQualityAssessmentLib.reading.errors import MultiFrameError, NotDicomError
from CTQualityAssessmentLib.reporting import volume_file
from CTQualityAssessmentLib.reporting.denoising_file import denoising_schema
from CTQualityAssessmentLib.reporting.denoising_words import report_lines
from CTQualityAssessmentLib.reporting.volume_file import ShearedGridError, check_format, write_volume
from CTQualityAssessmentLib.results import ModelIdentity
from CTQualityAssessmentLib.volume import Volume
from pydicom import dcmread
from typer.testing import CliRunner

from Testing.denoiser_factory import STATEMENT, noisy_patient, write_denoiser
from Testing.dicom_factory import PATIENT, enhanced_dataset, save, write_series

pytest.importorskip("highdicom", reason="highdicom is not installed (extra 'reporting')")

from CTQualityAssessmentLib.reporting.dicom.derived_series import derived_images

MODEL = ModelIdentity("tiny", "0.0.1", "ab" * 32, "full", "light-denoiser", True, STATEMENT)
REPORT = DenoisingReport(MODEL, Strength(), 4, 4, False, "cpu", 1.0, {})
#: Kept as it is in the copy, because a reader or a dose survey needs it.
CLINICAL = (
    "PatientName PatientID PatientBirthDate StudyInstanceUID StudyDate AccessionNumber FrameOfReferenceUID Modality "
    "KVP XRayTubeCurrent Exposure CTDIvol ConvolutionKernel SliceThickness BodyPartExamined Manufacturer "
    "ManufacturerModelName ImagePositionPatient ImageOrientationPatient PixelSpacing RescaleSlope RescaleIntercept "
    "RescaleType Rows Columns BitsStored PixelRepresentation WindowCenter WindowWidth ContrastBolusAgent"
).split()


@pytest.fixture(scope="module")
def hu():
    return noisy_patient(4, 64)


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("CTQA_MODELS", str(tmp_path / "models"))
    return write_denoiser(tmp_path / "models" / "tiny")


def spoil(k, dataset):
    """What real headers have and a copy must keep, or must not."""
    dataset.WindowCenter, dataset.WindowWidth, dataset.ContrastBolusAgent = 40, 400, "OMNI"
    dataset.SmallestImagePixelValue = 7
    dataset.add_new(0x00091010, "LO", "private Zweistein")
    dataset.add_new(0x60003000, "OW", b"\0" * 512)
    dataset.PixelPaddingValue = 63536 if dataset.PixelRepresentation == 0 else -2000


def derive(path, change):
    """Written images by the source image that they refer to, with HU of both, and the volume."""
    with originals(path) as files:
        found = {}
        for number, image in derived_images(files, change(files.volume.hu), REPORT):
            image.save_as(path.parent / f"d{number}.dcm", enforce_file_format=True)
            read = dcmread(path.parent / f"d{number}.dcm")
            found[read.SourceImageSequence[0].ReferencedSOPInstanceUID] = read
        return found, files.volume


def hu_of(dataset):
    return dataset.pixel_array.astype(int) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


@pytest.mark.parametrize(
    "coding",
    [
        {"slope": 1, "intercept": -1024},
        {"slope": 1, "intercept": 0, "signed": True},
        {"slope": 2, "intercept": -1024},
        {"slope": 1, "intercept": -1024, "bits_stored": 12, "syntax": "1.2.840.10008.1.2.4.90"},
    ],
)
def test_each_image_is_its_source_minus_what_was_taken_away(tmp_path, hu, coding):
    write_series(tmp_path / "ct", hu, change=spoil, **coding)
    step = int(coding["slope"]) * 5
    found, _ = derive(tmp_path / "ct", lambda values: np.where(values > -500, values - step, values).astype(np.int16))
    assert len(found) == 4 and len({one.SOPInstanceUID for one in found.values()}) == 4
    assert len({one.SeriesInstanceUID for one in found.values()}) == 1
    for path in (tmp_path / "ct").iterdir():
        source = dcmread(path)
        image = found[source.SOPInstanceUID]
        before, after = hu_of(source), hu_of(image)
        assert np.array_equal(after, np.where(before > -500, before - step, before))
        assert image.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_clinical_tags_stay_and_the_copy_says_what_it_is(tmp_path, hu):
    write_series(tmp_path / "ct", hu, change=spoil)
    found, _ = derive(tmp_path / "ct", lambda values: values)
    for path in (tmp_path / "ct").iterdir():
        source = dcmread(path)
        image = found[source.SOPInstanceUID]
        for keyword in CLINICAL:
            assert image.get(keyword) == source.get(keyword), keyword
        assert source.PatientName == PATIENT["PatientName"]
        assert list(image.ImageType) == ["DERIVED", "PRIMARY", "AXIAL"]
        assert image.SOPInstanceUID != source.SOPInstanceUID and image.SeriesInstanceUID != source.SeriesInstanceUID
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
        assert "tiny" in image.DerivationDescription and STATEMENT in image.DerivationDescription
        assert image.SourceImageSequence[0].ReferencedSOPClassUID == source.SOPClassUID
        assert image.ContributingEquipmentSequence[0].Manufacturer == "CTQualityAssessment"
        assert image.SeriesDescription.endswith("denoised")


def test_nothing_of_the_old_pixels_and_nothing_private_comes_along(tmp_path, hu):
    write_series(tmp_path / "ct", hu, change=spoil)
    found, _ = derive(tmp_path / "ct", lambda values: values)
    for image in found.values():
        assert not any(element.tag.is_private or element.tag.group == 0x6000 for element in image.iterall())
        assert "SmallestImagePixelValue" not in image


def test_padding_keeps_its_stored_value(tmp_path, hu):
    """The reader turns padding into air; the copy must hold what the scanner wrote."""

    def pad(k, dataset):
        stored = np.array(dataset.pixel_array)
        stored[hu[k] == -1024] = -2000
        dataset.PixelData = stored.tobytes()
        dataset.PixelPaddingValue = -2000

    write_series(tmp_path / "ct", hu, signed=True, intercept=0, change=pad)
    found, volume = derive(tmp_path / "ct", lambda values: (values - (values > -1024) * 3).astype(np.int16))
    assert volume.hu.min() == -1024
    for image in found.values():
        assert (image.pixel_array[0, 0], image.PixelPaddingValue) == (-2000, -2000)
        assert ((image.pixel_array == -2000).sum()) > 100


def test_a_missing_slice_stays_missing_and_an_enhanced_object_is_refused(tmp_path, hu):
    write_series(tmp_path / "ct", noisy_patient(8, 64))
    for path in (tmp_path / "ct").iterdir():
        if dcmread(path).InstanceNumber == 4:
            path.unlink()
    found, volume = derive(tmp_path / "ct", lambda values: values)
    assert len(found) == 7 and volume.slice_count == 8
    save(enhanced_dataset(hu), tmp_path / "enhanced" / "one.dcm")
    with pytest.raises(MultiFrameError, match="--dicom"), originals(tmp_path / "enhanced"):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "text.txt").write_text("nothing")
    with pytest.raises(NotDicomError), originals(tmp_path / "other"):
        pass


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dciodvfy is not installed (Debian: dicom3tools)")
def test_dciodvfy_finds_no_error_that_the_source_has_not(tmp_path, hu):
    write_series(tmp_path / "ct", hu, change=spoil)

    def errors(path):
        run = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60, check=False)
        return {line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")}

    known = errors(next((tmp_path / "ct").iterdir()))
    derive(tmp_path / "ct", lambda values: values)
    assert errors(tmp_path / "d1.dcm") <= known


def test_a_second_toolkit_reads_the_series_with_the_same_geometry(tmp_path, hu):
    import SimpleITK

    write_series(tmp_path / "ct", hu)
    _, volume = derive(tmp_path / "ct", lambda values: np.where(values > -500, values - 3, values).astype(np.int16))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    expected = np.where(volume.hu > -500, volume.hu - 3, volume.hu)
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), expected)
    for index in ((0, 0, 0), (5, 3, 2)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(lps * (-1, -1, 1), (volume.ijk_to_ras @ (*index, 1))[:3], atol=1e-4)


OBLIQUE = np.array([[0.7, -0.3, 0.2, 11.0], [0.25, 0.72, -0.3, -7.0], [-0.05, 0.3, 2.4, 30.0], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd"])
def test_a_written_volume_reads_back_voxel_by_voxel_and_in_its_place(tmp_path, hu, ending):
    rotation = np.linalg.qr(OBLIQUE[:3, :3])[0]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation * (0.7, 0.8, 2.5), OBLIQUE[:3, 3]
    write_volume(tmp_path / f"denoised{ending}", Volume(hu, matrix))
    found = read_volume(tmp_path / f"denoised{ending}")
    assert found.hu.dtype == np.int16 and np.array_equal(found.hu, hu)
    np.testing.assert_allclose(found.ijk_to_ras, matrix, atol=1e-5)


def test_a_tilted_gantry_is_written_as_nifti_and_refused_as_nrrd(tmp_path, hu):
    matrix = np.diag([0.7, 0.7, 2.5, 1.0])
    matrix[1, 2] = 0.9
    tilted = Volume(hu, matrix)
    with pytest.raises(ShearedGridError, match="--format nifti"):
        check_format(tilted, "nrrd")
    write_volume(tmp_path / "denoised.nii.gz", tilted)
    np.testing.assert_allclose(read_volume(tmp_path / "denoised.nii.gz").ijk_to_ras, matrix, atol=1e-5)


def run(*arguments):
    return CliRunner().invoke(app, ["denoise", *map(str, arguments)])


def test_the_command_writes_what_was_asked_for_and_names_nobody_outside_the_dicom_files(tmp_path, hu, bundle):
    write_series(tmp_path / "ct", hu, pixel_spacing=(3.0, 3.0))
    out = tmp_path / "out"
    result = run(tmp_path / "ct", "--out", out, "--model", "tiny", "--residual", "--dicom", "--lung", "0")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        "denoised.nii.gz",
        "denoising.json",
        "dicom",
        "index.html",
        "residual.nii.gz",
    ]
    found, taken = read_volume(out / "denoised.nii.gz").hu, read_volume_raw(out / "residual.nii.gz")
    original = read_volume(tmp_path / "ct").hu
    assert np.array_equal(found.astype(int) + taken, original) and taken.any()
    assert sorted(path.name for path in (out / "dicom").iterdir()) == [f"denoised-{n:04d}.dcm" for n in range(1, 5)]
    assert np.array_equal(read_volume(out / "dicom").hu, found)
    report = json.loads((out / "denoising.json").read_text())
    assert report["strength"] == {"lung": 0.0, "soft_tissue": 1.0, "bone": 1.0} and report["slices_denoised"] == 4
    assert report["model"]["name"] == "tiny" and len(report["retention"]) == 3
    jsonschema.Draft202012Validator(denoising_schema()).validate(report)
    said = result.output + (out / "denoising.json").read_text() + (out / "index.html").read_text(encoding="utf-8")
    assert STATEMENT in said and "Lesion signal" in said
    for secret in PATIENT.values():
        assert secret not in said
    run(tmp_path / "ct", "--out", out, "--model", "tiny", "--format", "nrrd", "--no-guard", "--no-measures")
    assert not (out / "dicom").exists(), "the series of an earlier run stayed"
    assert sorted(p.name for p in out.iterdir() if p.is_file()) == [
        "denoised.nrrd",
        "denoising.json",
        "index.html",
    ]


def read_volume_raw(path):
    import nibabel

    return np.asarray(nibabel.load(path).dataobj).T


def test_the_command_refuses_in_one_line_and_writes_nothing(tmp_path, hu, bundle):
    write_series(tmp_path / "mr", hu, Modality="MR")
    for arguments in (
        [tmp_path / "nowhere", "--model", "tiny"],
        [tmp_path / "mr", "--model", "tiny"],
        [tmp_path / "mr", "--model", "nonsense"],
    ):
        result = run(*arguments, "--out", tmp_path / "out")
        assert result.exit_code in (1, 3) and result.output.startswith("Error: ") and result.output.count("\n") == 1
        assert not (tmp_path / "out").exists()


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path, hu, bundle, monkeypatch):
    """What the network and the guard found is in the terminal all the same."""

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(volume_file, "write_volume", full)
    write_series(tmp_path / "ct", hu)
    result = run(tmp_path / "ct", "--out", tmp_path / "out", "--model", "tiny", "--no-guard", "--no-measures")
    assert result.exit_code == 1 and "No space left on device" in result.stderr and str(tmp_path) not in result.output
    assert "slices denoised" in result.stdout and [one.name for one in tmp_path.iterdir() if one.name != "models"] == [
        "ct"
    ]


def test_lines_for_people_hold_every_figure():
    report = DenoisingReport(
        MODEL,
        Strength(0.5, 1, 1),
        10,
        8,
        False,
        "cpu",
        2.0,
        {},
        retention=(
            Retention(4, 20, "soft tissue", 48, 8, 0.93, (0.92, 0.94), 0.88),
            Retention(8, 10, "lung", 9, 2, 0.5),
        ),
        measures={"noise_hu": BeforeAfter(20.0, 9.5), "snr": BeforeAfter(None, None)},
        bias={"fat": TissueBias(-0.4, 100.0)},
        scores=BeforeAfter(1.0, 3.0),
        warnings=("Something.",),
    )
    text = "\n".join(report_lines(report))
    assert "8 of 10 slices" in text and "Lesion signal kept 93 % (4 mm, 20 HU, soft tissue; 48 lesions)." in text
    assert "RED FLAG: Lesion signal kept 50 % (8 mm, 10 HU, lung; 9 lesions)" in text
    assert "Global noise level: 20.0 HU before, 9.5 HU after" in text and "fat -0.4" in text and "SNR" not in text
    assert "Warning: Something." in text and "Mean score: 1 before, 3 after" in text
    plain = report.to_dict()
    assert [one["flagged"] for one in plain["retention"]] == [False, True] and json.dumps(plain, allow_nan=False)
