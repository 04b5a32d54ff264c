"""Report and maps as DICOM: what an archive files, and what a viewer lays over the images."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from CTQualityAssessmentLib.measures import PhysicalMeasures, VolumeMeasures
from CTQualityAssessmentLib.reading import read_with_source
from CTQualityAssessmentLib.reading.errors import IncompleteHeadersError, NotDicomError
from CTQualityAssessmentLib.results import Refusal, SliceAssessment

from Testing.assessment_factory import MODEL, make_assessment, make_attention
from Testing.dicom_factory import AXIAL, PATIENT, body, enhanced_dataset, save, write_series

highdicom = pytest.importorskip("highdicom", reason="highdicom is not installed (extra 'reporting')")

from CTQualityAssessmentLib.reporting.dicom.files import write_dicom  # noqa: E402
from highdicom.sr import srread  # noqa: E402
from pydicom import dcmread  # noqa: E402

GRID = (5, 6)
_C, _S = np.cos(np.radians(25)), np.sin(np.radians(25))
#: Orientation and step of geometries in which a map is easily put in the wrong place.
GEOMETRIES = {
    "axial": (AXIAL, (0, 0, 2.5)),
    "feet first": (AXIAL, (0, 0, -2.5)),
    "flipped rows": ((1, 0, 0, 0, -1, 0), (0, 0, 2.5)),
    "prone": ((-1, 0, 0, 0, -1, 0), (0, 0, 2.5)),
    "turned": ((0, 1, 0, 1, 0, 0), (0, 0, 2.5)),
    "coronal": ((1, 0, 0, 0, 0, -1), (0, 3, 0)),
    "sagittal": ((0, 1, 0, 0, 0, -1), (-3, 0, 0)),
    "oblique": ((_C, _S, 0, -_S * _C, _C * _C, _S), (2.5 * _S * _S, -2.5 * _C * _S, 2.5 * _C)),
    "tilted gantry": ((1, 0, 0, 0, _C, _S), (0, 0, 5)),
}


def written(folder, path, scores=None, measures=None, **changes):
    """The series at the path with an assessment, and its DICOM files by name."""
    volume, source = read_with_source(path)
    maps = [make_attention(volume, name, grid=GRID) for name in ("scan", "focus")]
    assessment = replace(make_assessment(volume, scores, attention=maps), **changes)
    folder.mkdir()
    names = write_dicom(folder, assessment, source, measures)
    assert names == ("report.dcm", "attention-scan-stage3.dcm", "attention-focus-stage3.dcm")
    return volume, source, assessment, {name: folder / name for name in names}


def test_grad_cam_is_filed_under_its_own_name(tmp_path):
    """An archive must not keep what moved the score as attention."""
    write_series(tmp_path / "ct", body(3))
    volume, source = read_with_source(tmp_path / "ct")
    maps = [make_attention(volume, name, None, grid=GRID, kind="grad-cam") for name in ("raises", "lowers")]
    (tmp_path / "out").mkdir()
    names = write_dicom(tmp_path / "out", make_assessment(volume, attention=maps), source)
    assert names[1:] == ("grad-cam-raises.dcm", "grad-cam-lowers.dcm")
    found = dcmread(tmp_path / "out" / "grad-cam-lowers.dcm")
    assert found.ContentLabel == "GRAD_CAM" and "Grad-CAM" in found.SeriesDescription


def slice_of(volume, pixels):
    """Which slice of the volume has these HU, so that nothing is asked of the code under test."""
    (found,) = (k for k in range(len(volume.hu)) if np.array_equal(volume.hu[k], pixels))
    return found


def hu_by_uid(folder):
    found = {}
    for path in folder.iterdir():
        dataset = dcmread(path)
        found[dataset.SOPInstanceUID] = dataset, dataset.pixel_array.astype(int) + int(dataset.RescaleIntercept)
    return found


def world(frame, shared, row, column):
    """LPS of a pixel after PS3.3 C.7.6.2.1.1."""
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows_apart, columns_apart = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    corner = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
    return corner + cosines[:3] * columns_apart * column + cosines[3:] * rows_apart * row


@pytest.mark.parametrize("case", GEOMETRIES)
def test_every_frame_lies_on_its_image_and_refers_to_it(tmp_path, case):
    """A map on the wrong slice, mirrored or shifted points a reader at the wrong place."""
    orientation, step = GEOMETRIES[case]
    write_series(tmp_path / "ct", body(), orientation=orientation, step=step)
    volume, _, assessment, files = written(tmp_path / "out", tmp_path / "ct")
    sources = hu_by_uid(tmp_path / "ct")
    attention = assessment.attention[1]
    found = dcmread(files["attention-focus-stage3.dcm"])
    values = np.frombuffer(found.FloatPixelData, "<f4").reshape(-1, *GRID)
    shared = found.SharedFunctionalGroupsSequence[0]
    assert len(values) == 6 and found.FrameOfReferenceUID == next(iter(sources.values()))[0].FrameOfReferenceUID
    seen = set()
    for frame, pixels in zip(found.PerFrameFunctionalGroupsSequence, values, strict=True):
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0]
        image, hu = sources[reference.ReferencedSOPInstanceUID]
        k = slice_of(volume, hu)
        seen.add(k)
        if k == 0:  # refused
            assert (pixels == found.FloatPixelPaddingValue).all()
        else:
            np.testing.assert_array_equal(pixels, attention.values[k])
        normal = np.cross(*np.reshape(np.array(image.ImageOrientationPatient, float), (2, 3)))
        for row, column in ((0, 0), (4, 0), (0, 5), (4, 5)):
            expected = (attention.ijk_to_ras @ (column, row, k, 1))[:3] * (-1, -1, 1)
            point = world(frame, shared, row, column)
            np.testing.assert_allclose(point, expected, atol=1e-6)
            assert abs((point - np.array(image.ImagePositionPatient, float)) @ normal) < 1e-6
    assert seen == set(range(6))


def test_uneven_slices_carry_their_maps_in_their_own_planes(tmp_path):
    """Headers round positions; the volume is shown on an even grid, but viewers show images where headers are."""
    positions = [(0, 0, z) for z in (0, 2.45, 5.02, 7.5, 10.03, 12.5)]
    write_series(tmp_path / "ct", body(), positions=positions)
    *_, files = written(tmp_path / "out", tmp_path / "ct")
    sources = hu_by_uid(tmp_path / "ct")
    for frame in dcmread(files["attention-scan-stage3.dcm"]).PerFrameFunctionalGroupsSequence:
        image = sources[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID][0]
        assert float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) == float(image.ImagePositionPatient[2])


def groups_of(path):
    """The measurement groups of the report: the one of the series, and the others by tracking identifier."""
    groups = srread(path).content.get_image_measurement_groups()
    return groups[0], {group.tracking_identifier: group for group in groups[1:]}


def test_each_group_refers_to_the_image_of_its_slice_also_across_a_gap(tmp_path):
    """A score filed under the neighbouring image is wrong for both."""
    hu = body(12)
    write_series(tmp_path / "ct", hu)
    for path, dataset in [(p, dcmread(p)) for p in (tmp_path / "ct").iterdir()]:
        if dataset.InstanceNumber == 6:
            path.unlink()
    volume, source, _, files = written(tmp_path / "out", tmp_path / "ct")
    sources = hu_by_uid(tmp_path / "ct")
    assert volume.slice_count == 12 and source.slices[5] is None
    series, slices = groups_of(files["report.dcm"])
    assert series.tracking_identifier == "Series" and series.source_images == []
    assert set(slices) == {f"Slice {k}, counted from 0" for k in range(12) if k != 5}
    for k in (k for k in range(12) if k != 5):
        (image,) = slices[f"Slice {k}, counted from 0"].source_images
        assert slice_of(volume, sources[image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID][1]) == k
    assert dcmread(files["attention-scan-stage3.dcm"]).NumberOfFrames == 11
    evidence = dcmread(files["report.dcm"]).CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert {item.ReferencedSOPInstanceUID for item in evidence.ReferencedSOPSequence} == set(sources)


def test_enhanced_images_are_referred_to_by_frame(tmp_path):
    """Two passes in one object at the same places: the frames of the pass that was read, and no other."""
    dataset = enhanced_dataset(body(12), order=[3, 0, 5, 1, 4, 2, 9, 6, 11, 7, 10, 8])
    per_frame = dataset.PerFrameFunctionalGroupsSequence
    for first, second in zip(per_frame[:6], per_frame[6:], strict=True):
        second.PlanePositionSequence[0].ImagePositionPatient = first.PlanePositionSequence[0].ImagePositionPatient
        first.FrameContentSequence[0].TemporalPositionIndex = 1
        second.FrameContentSequence[0].TemporalPositionIndex = 2
    save(dataset, tmp_path / "ct" / "enhanced.dcm")
    volume, _, assessment, files = written(tmp_path / "out", tmp_path / "ct")
    stored = dataset.pixel_array.astype(int) - 1024
    _, slices = groups_of(files["report.dcm"])
    numbers = {}
    for k in range(6):
        (image,) = slices[f"Slice {k}, counted from 0"].source_images
        numbers[k] = int(image.ReferencedSOPSequence[0].ReferencedFrameNumber)
        np.testing.assert_array_equal(stored[numbers[k] - 1], volume.hu[k])
    found = dcmread(files["attention-scan-stage3.dcm"])
    assert len(found.SourceImageSequence) == 1
    values = np.frombuffer(found.FloatPixelData, "<f4").reshape(-1, *GRID)
    frame_numbers = set()
    for frame, pixels in zip(found.PerFrameFunctionalGroupsSequence, values, strict=True):
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        number = int(reference.ReferencedFrameNumber)
        frame_numbers.add(number)
        position = per_frame[number - 1].PlanePositionSequence[0].ImagePositionPatient
        assert float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) == float(position[2])
        k = next(k for k, n in numbers.items() if n == number)
        if k:
            np.testing.assert_array_equal(pixels, assessment.attention[0].values[k])
    assert frame_numbers == set(numbers.values())


def items(group, value_type):
    return [item for item in group[0].ContentSequence if item.ValueType == value_type]


def numbers_of(group):
    """Value by (code, derivation code)."""
    found = {}
    for item in items(group, "NUM"):
        modifiers = item.get("ContentSequence", [])
        derivation = modifiers[0].ConceptCodeSequence[0].CodeValue if modifiers else None
        code = item.ConceptNameCodeSequence[0]
        unit = item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
        found[code.CodeValue, derivation] = float(item.MeasuredValueSequence[0].NumericValue), unit
    return found


def test_report_says_what_the_assessment_says(tmp_path):
    """The archive and the JSON must not tell two stories; a refused slice has a reason and no number."""
    write_series(tmp_path / "ct", body())
    _, _, assessment, files = written(tmp_path / "out", tmp_path / "ct")
    series, slices = groups_of(files["report.dcm"])
    summary = assessment.summary
    of_series = numbers_of(series)
    assert of_series["111029", "373098007"] == (pytest.approx(25 * summary.mean), "{0:100}")
    assert of_series["score", "373098007"] == (pytest.approx(summary.mean), "{0:4}")
    assert of_series["score", "255605001"][0] == pytest.approx(summary.minimum)
    assert of_series["slices-scored", None][0] == summary.scored
    sentences = [item.TextValue for item in items(series, "TEXT")]
    assert MODEL.statement in sentences and set(assessment.warnings) <= set(sentences)
    assert f"SHA-256 of the weights: {MODEL.sha256}" in sentences and "Labels of the training: simulated" in sentences
    words = {"Poor": "122742", "Good": "122741", "Excellent": "122740", "Bad": "bad", "Fair": "fair"}
    for one in assessment.slices:
        group = slices[f"Slice {one.index}, counted from 0"]
        (quality,) = [
            i for i in items(group, "CODE") if i.ConceptNameCodeSequence[0].CodeValue in ("111101", "no-score")
        ]
        if one.score is None:
            assert quality.ConceptCodeSequence[0].CodeValue == "114006" and numbers_of(group) == {}
            assert one.refusal.reason in [item.TextValue for item in items(group, "TEXT")]
        else:
            assert quality.ConceptCodeSequence[0].CodeValue == words[one.grade]
            found = numbers_of(group)
            assert found["111029", None] == (pytest.approx(25 * one.score), "{0:100}")
            assert found["score", None] == (pytest.approx(one.score), "{0:4}")
            assert found["score", "386136009"][0] == pytest.approx(one.sd)


def test_cancelled_and_wholly_refused_runs_are_told_apart_from_complete_ones(tmp_path):
    """An archive must not hold half a run as the whole, nor a run without a score as a bad score."""
    write_series(tmp_path / "ct", body())
    *_, files = written(tmp_path / "refused", tmp_path / "ct", scores=[None] * 6)
    series, slices = groups_of(files["report.dcm"])
    assert numbers_of(series) == {("slices-scored", None): (0.0, "1"), ("slices-refused", None): (6.0, "1")}
    assert len(slices) == 6 and not items(series, "CODE")
    assert dcmread(files["report.dcm"]).CompletionFlag == "COMPLETE"

    volume, _ = read_with_source(tmp_path / "ct")
    not_run = Refusal("not-run", "The run was cancelled before this slice.")
    done = make_assessment(volume).slices
    stopped = (*done[:5], SliceAssessment(5, done[5].centre_ras, 0.0, refusal=not_run))
    *_, files = written(tmp_path / "stopped", tmp_path / "ct", partial=True, slices=stopped)
    assert dcmread(files["report.dcm"]).CompletionFlag == "PARTIAL"
    last = groups_of(files["report.dcm"])[1]["Slice 5, counted from 0"]
    assert items(last, "CODE")[0].ConceptCodeSequence[0].CodeValue == "114007"


def test_physical_measures_stand_in_the_group_of_the_series(tmp_path):
    """A physicist finds noise and dose under the standard's names and units; what was not measured is left out."""
    write_series(tmp_path / "ct", body())
    of_volume = VolumeMeasures(noise_hu=12.5, water_equivalent_diameter_mm=271.0, ssde_mgy=9.25)
    *_, files = written(tmp_path / "out", tmp_path / "ct", measures=PhysicalMeasures(of_volume, (), {}))
    found = numbers_of(groups_of(files["report.dcm"])[0])
    assert found["noise", None] == (12.5, "[hnsf'U]")
    assert found["113980", None] == (271.0, "mm") and found["113930", None] == (9.25, "mGy")
    assert ("113060", None) not in found and ("cnr", None) not in found


def test_objects_are_filed_with_the_patient_and_carry_no_more(tmp_path):
    """An archive files by these; comments, history and descriptions would travel where nobody expects them."""
    more = {"PatientComments": "Zwei-comment", "PatientAddress": "Zwei-street", "AdditionalPatientHistory": "Zwei-hist"}
    more |= {"StudyDescription": "Zwei-study", "InstitutionName": "Zwei-house", "OtherPatientIDs": "Zwei-other"}
    name = "Яма^Таро=山田^太郎"
    more |= {"SpecificCharacterSet": "ISO_IR 192", "PatientName": name, "PatientSex": "F", "StudyTime": "101112"}
    write_series(tmp_path / "ct", body(), **more)
    *_, files = written(tmp_path / "out", tmp_path / "ct")
    for path in files.values():
        dataset = dcmread(path)
        assert dataset.SpecificCharacterSet == "ISO_IR 192" and str(dataset.PatientName) == name
        for keyword in ("PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber"):
            assert dataset[keyword].value == PATIENT[keyword]
        assert (dataset.PatientSex, dataset.StudyTime) == ("F", "101112")
        assert b"Zwei" not in path.read_bytes()


def test_impossible_header_values_neither_stop_the_report_nor_are_printed(tmp_path, capfd, caplog):
    """One odd date in a header must not cost the report, and no library may print the name it stumbled over."""
    from pydicom.dataelem import DataElement

    def spoil(k, dataset):
        dataset.add(DataElement(0x00100030, "DA", "19991399"))
        dataset.add(DataElement(0x00100040, "CS", "ADA"))
        dataset.PatientName = "Zweistein Ada without carets"
        dataset.PatientID = "Zweistein-" + 70 * "9"

    write_series(tmp_path / "ct", body(), change=spoil)
    *_, files = written(tmp_path / "out", tmp_path / "ct")
    capfd.readouterr()
    report = dcmread(files["report.dcm"])
    assert report.PatientBirthDate == "" and report.PatientSex == "" and report.PatientID == "Zweistein-" + 70 * "9"
    captured = capfd.readouterr()
    assert "Zweistein" not in captured.out + captured.err + caplog.text


def test_what_cannot_be_referred_to_is_refused(tmp_path):
    """A report that refers to nothing cannot be filed; the user learns what the headers lack."""
    write_series(
        tmp_path / "emptied", body(), series_uid="1.2.3", change=lambda k, ds: setattr(ds, "SOPInstanceUID", "")
    )
    with pytest.raises(IncompleteHeadersError, match="the headers lack SOP Instance UID"):
        read_with_source(tmp_path / "emptied")
    write_series(tmp_path / "frames", body(), FrameOfReferenceUID=None)
    with pytest.raises(IncompleteHeadersError, match="Frame of Reference UID"):
        read_with_source(tmp_path / "frames")
    write_series(tmp_path / "long", body(1), SOPInstanceUID="1." + 70 * "2")
    with pytest.raises(IncompleteHeadersError, match="SOP Instance UID"):
        read_with_source(tmp_path / "long")
    write_series(tmp_path / "zeros", body(1), SOPInstanceUID="1.2.003.4")
    assert read_with_source(tmp_path / "zeros")[1].slices[0].sop_instance_uid == "1.2.003.4"
    (tmp_path / "image.nii").write_bytes(bytes(400))
    with pytest.raises(NotDicomError):
        read_with_source(tmp_path / "image.nii")


def test_source_shows_nothing_of_itself(tmp_path):
    """It holds the name; whoever prints or logs it by mistake must not print that."""
    write_series(tmp_path / "ct", body())
    _, source = read_with_source(tmp_path / "ct")
    assert "Zweistein" in source.header["PatientName"]
    assert all(secret not in repr(source) + str(source.slices[0]) for secret in ("Zweistein", "4711", "1.2."))


#: What dciodvfy says about valid objects, and why it is left: see "DICOM" in the README.
EXPECTED = (
    "Warning - Unrecognized defined term <99CTQA> for value 1 of attribute <Coding Scheme Designator>",
    "Warning - Unrecognized defined term <QUANTITY> for value 4 of attribute <Image Type>",
    "Warning - Unrecognized defined term <QUANTITY> for value 4 of attribute <Frame Type>",
    "Warning - is only permitted to be empty when actually unknown; should be absent (not empty) if an unpaired body "
    "part, and have a value if a paired body part - attribute <Laterality>",
)


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_dciodvfy_finds_no_fault(tmp_path, kind):
    """An archive that checks what it is given would refuse the objects."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    if kind == "classic":
        write_series(tmp_path / "ct", body(), StudyTime="101112", StudyID="1")
    else:
        save(enhanced_dataset(body()), tmp_path / "ct" / "enhanced.dcm")
    *_, files = written(tmp_path / "out", tmp_path / "ct")
    for path in files.values():
        done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        said = Counter(line for line in done.stderr.splitlines() if line.startswith(("Error", "Warning")))
        odd = [line for line in said if line not in EXPECTED and "DICOMDIR" not in line]
        assert odd == [], path.name
        assert ("Comprehensive3DSR" if path.name == "report.dcm" else "ParametricMap") in done.stderr
