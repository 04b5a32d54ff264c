"""Finding every series in a tree of folders."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
from CTQualityAssessmentLib.reading import find_inputs, read_volume
from CTQualityAssessmentLib.reading.detached import data_files
from CTQualityAssessmentLib.reading.errors import PathNotFoundError
from pydicom.uid import generate_uid

from Testing.dicom_factory import body, write_series


def names(found):
    return [(one.where, one.label.split(",")[0], bool(one.skipped), bool(one.damaged)) for one in found]


def test_every_kind_of_input_is_found_where_it_lies(tmp_path):
    """What is not found is never assessed, and nobody notices."""
    write_series(tmp_path / "a" / "deep" / "er", body(3))
    write_series(tmp_path / "b", body(4), ConvolutionKernel="B70f", prefix="s")
    write_series(tmp_path / "b", body(5), prefix="t")
    sitk.WriteImage(sitk.GetImageFromArray(body(3)), tmp_path / "c.nii.gz")
    shutil.make_archive(str(tmp_path / "d"), "zip", write_series(tmp_path / "z" / "x", body(2))[0].parent)
    shutil.rmtree(tmp_path / "z")
    (tmp_path / "notes.txt").write_text("nothing")
    found = find_inputs(tmp_path)
    assert [one.where for one in found] == ["a/deep/er", "b", "b", "c.nii.gz", "d.zip"]
    assert [read_volume(one.files, series=one.series).slice_count for one in found] == [3, 4, 5, 3, 2]
    assert len({one.identity for one in found}) == 5


def test_stacks_of_one_series_are_read_apart(tmp_path):
    """A series with a scout and two kernels is two rows and a reason, each read with its own number."""
    uid = generate_uid()
    write_series(tmp_path, body(4), series_uid=uid, prefix="a")
    write_series(tmp_path, body(3), series_uid=uid, prefix="b", ConvolutionKernel="B70f")
    write_series(tmp_path, body(1), series_uid=uid, prefix="c", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    found = find_inputs(tmp_path)
    assert [bool(one.skipped) for one in found] == [False, False, True]
    volumes = [read_volume(one.files, series=one.series) for one in found[:2]]
    assert [(v.slice_count, v.facts.kernel) for v in volumes] == [(4, "B30f"), (3, "B70f")]


def test_a_series_over_several_folders_is_one(tmp_path):
    """Some archives write each slice into a folder of its own."""
    for k, file in enumerate(write_series(tmp_path / "all", body(6))):
        (tmp_path / str(k)).mkdir()
        shutil.move(file, tmp_path / str(k) / "IM")
    (one,) = find_inputs(tmp_path)
    assert one.where == "." and read_volume(one.files, series=one.series).slice_count == 6


def test_a_copy_is_named_and_a_changed_file_is_noticed(tmp_path):
    """The same scan twice would count double; a scan that was repaired must be done again."""
    files = write_series(tmp_path / "a", body(3))
    shutil.make_archive(str(tmp_path / "b"), "zip", tmp_path / "a")
    first, copy = find_inputs(tmp_path)
    assert not first.skipped and "copy" in copy.skipped and first.identity == copy.identity
    os.utime(files[0], ns=(1, 1))
    again = find_inputs(tmp_path)[0]
    assert again.identity == first.identity and again.state != first.state


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_changed_voxels_beside_an_old_header_are_noticed(tmp_path, suffix):
    """Whoever replaces the data file of a header would go on reading the scores of the old image."""
    sitk.WriteImage(sitk.GetImageFromArray(body(3)), tmp_path / f"ct{suffix}")
    (data,) = set(tmp_path.iterdir()) - {tmp_path / f"ct{suffix}"}
    (before,) = find_inputs(tmp_path)
    os.utime(data, ns=(1, 1))
    (after,) = find_inputs(tmp_path)
    assert after.identity == before.identity and after.state != before.state
    assert before.files == after.files == (tmp_path / f"ct{suffix}",)
    assert read_volume(after.files, series=1).slice_count == 3


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("a.mhd", "NDims = 3\nElementDataFile = a.raw\n", ["a.raw"]),
        ("a.mhd", "ElementDataFile = schädel 1.raw\n", ["schädel 1.raw"]),
        ("a.mhd", "ElementDataFile = s%03d.raw 2 6 2\n", ["s002.raw", "s004.raw", "s006.raw"]),
        ("a.mhd", "ElementDataFile = LIST\nb.raw\nc d.raw\n", ["b.raw", "c d.raw"]),
        ("a.mha", "ElementDataFile = LOCAL\nb.raw\n", []),
        ("a.mhd", "ElementDataFile = s%03d.raw 1 2 0\n", []),
        ("a.mhd", "ElementDataFile =\n", []),
        ("a.nhdr", "NRRD0004\n# data file: no\ndata file: sub/a.raw.gz\n", ["sub/a.raw.gz"]),
        ("a.nhdr", "NRRD0004\ndatafile: s%d.raw 10 9 -1 2\n", ["s10.raw", "s9.raw"]),
        ("a.nhdr", "NRRD0004\ndata file: LIST 2\nb.raw\nc.raw\n", ["b.raw", "c.raw"]),
        ("a.nrrd", "NRRD0004\ntype: short\n\ndata file: x\n", []),
        ("a.nii", "ElementDataFile = a.raw\n", []),
    ],
)
def test_every_way_to_name_data_files_is_known(tmp_path, name, text, data):
    """A data file that is overlooked can change without anybody noticing."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert data_files(tmp_path / name) == tuple(tmp_path / one for one in data)


def test_series_whose_slices_share_a_uid_stay_apart(tmp_path):
    """Some de-identification gives all slices of all patients one UID: none of them is a copy of another."""
    for patient in "ab":
        write_series(tmp_path / patient, body(3), SOPInstanceUID="1.2.3", SeriesInstanceUID=f"1.2.{ord(patient)}")
        write_series(tmp_path / f"{patient}1", body(1), SOPInstanceUID="1.2.3", prefix=patient)
    found = find_inputs(tmp_path)
    assert [one.skipped for one in found] == 4 * [None] and len({one.identity for one in found}) == 4
    assert [read_volume(one.files, series=one.series).slice_count for one in found] == [3, 1, 3, 1]


def test_what_cannot_be_read_is_told(tmp_path):
    """Studies must not vanish because their headers are damaged or an archive is."""
    for file in write_series(tmp_path / "a", body(2)):
        os.truncate(file, 180)
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and then nothing")
    write_series(tmp_path / "c", body(2), Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    found = find_inputs(tmp_path)
    assert [(one.where, bool(one.skipped), bool(one.damaged)) for one in found] == [
        ("a", False, True),
        ("b.zip", False, True),
        ("c", True, False),
    ]
    assert found[0].label == "2 file(s) or folder(s)" and "MR" in found[2].skipped


def test_looking_into_zips_writes_nothing_anywhere(tmp_path, monkeypatch):
    """The look for series may meet a thousand zips of patients: none may end in the computer's temporary folder."""
    shutil.make_archive(str(tmp_path / "d"), "zip", write_series(tmp_path / "z" / "x", body(3))[0].parent)
    expected = find_inputs(tmp_path / "z")
    shutil.rmtree(tmp_path / "z")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there is no such folder"))
    (found,) = find_inputs(tmp_path)
    assert (found.label, found.identity, found.damaged) == (expected[0].label, expected[0].identity, None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda zipped: zipped.writestr("../evil.dcm", b"x"), "leads out"),
        (lambda zipped: [zipped.writestr(f"{n}.dcm", bytes(64 * 1024**2)) for n in range(5)], "hundredfold"),
        (lambda zipped: [zipped.writestr(f"{n}", b"") for n in range(20_001)], "limit of 20000 files"),
        (lambda zipped: zipped.writestr("a.dcm", b"x", zipfile.ZIP_LZMA), "unusual way"),
        (lambda zipped: None, "no file in it"),
    ],
    ids=["path", "bomb", "many", "lzma", "empty"],
)
def test_a_hostile_zip_is_a_row_with_its_reason(tmp_path, content, words):
    """One bad archive must not end the batch, fill the disk or the memory."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        content(zipped)
    (found,) = find_inputs(tmp_path)
    assert words in found.damaged


def test_results_inside_the_input_are_passed_over(tmp_path):
    """`ctqa batch . --out ./out` must not read its own results at the second run."""
    write_series(tmp_path / "in", body(2))
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((3, 9, 9), np.int16)), tmp_path / "x.nii.gz")
    (tmp_path / "out").mkdir()
    shutil.move(tmp_path / "x.nii.gz", tmp_path / "out" / "x.nii.gz")
    assert len(find_inputs(tmp_path)) == 2 and len(find_inputs(tmp_path, leave_out=tmp_path / "out")) == 1
    with pytest.raises(PathNotFoundError):
        find_inputs(tmp_path / "nowhere")


def test_a_zip_beside_its_folder_is_the_copy(tmp_path):
    """Whoever zips a study that was done must not make it be done again."""
    write_series(tmp_path / "b", body(3))
    shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "b")
    archive, folder = find_inputs(tmp_path)
    assert archive.skipped and not folder.skipped
