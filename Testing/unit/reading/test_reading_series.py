"""What folders hold besides one clean series, and that nothing is mixed, lost or guessed silently."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from CTQualityAssessmentLib.reading import find_inputs, list_series, read_volume, read_with_source
from CTQualityAssessmentLib.reading.errors import (
    DuplicatePositionsError,
    EmptyFolderError,
    IncompleteHeadersError,
    NoSuchSeriesError,
    NotAnImageError,
    NotReadableError,
    PathNotFoundError,
    ReadingCancelledError,
    ScoutOnlyError,
    SecondaryCaptureError,
    UnevenSpacingError,
    WrongModalityError,
)

from Testing.dicom_factory import AXIAL, body, put, write_series

SC = "1.2.840.10008.5.1.4.1.1.7"
MR = "1.2.840.10008.5.1.4.1.1.4"
LOCALIZER = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
CORONAL = (1, 0, 0, 0, 0, -1)


def _warned(volume, word: str) -> bool:
    return any(word in warning for warning in volume.warnings)


def test_the_largest_ct_series_is_read_and_the_others_are_named(tmp_path):
    write_series(tmp_path / "a", body(4), ConvolutionKernel="B70f", SliceThickness=1)
    write_series(tmp_path / "b" / "deep", body(7) + 3, series_uid="1.2.3.4")
    write_series(tmp_path / "c", body(9), Modality="MR", SOPClassUID=MR)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, body(7) + 3)
    (named,) = volume.warnings
    assert "2: CT, 4 slices, 32 x 40, B70f, 1 mm" in named
    assert "3: MR, 9 slices" in named


def test_a_series_is_chosen_by_number_text_or_uid(tmp_path):
    write_series(tmp_path / "a", body(4) + 1, series_uid="1.2.3.5")
    write_series(tmp_path / "b", body(7), series_uid="1.2.3.4")
    infos = list_series(tmp_path)
    assert [(info.number, info.slice_count) for info in infos] == [(1, 7), (2, 4)]
    for choice in (2, "2", "1.2.3.5"):
        np.testing.assert_array_equal(read_volume(tmp_path, series=choice).hu, body(4) + 1)
    for choice in (0, 3, -1, "1.2.3", "soft"):
        with pytest.raises(NoSuchSeriesError):
            read_volume(tmp_path, series=choice)


def test_other_files_are_counted(tmp_path):
    write_series(tmp_path, body())
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "thumbs.db").write_bytes(bytes(range(256)))
    assert _warned(read_volume(tmp_path), "2 file(s)")


def test_descriptions_are_told_on_request_only(tmp_path):
    write_series(tmp_path, body())
    assert "Zweistein" not in repr(list_series(tmp_path))
    assert list_series(tmp_path, descriptions=True)[0].description == "Zweistein Ada follow-up"


def test_emptied_series_uids_keep_studies_apart(tmp_path):
    """De-identification may empty the series UID: slices of one series must hold together, others stay out."""
    write_series(tmp_path / "a", body(6), SeriesInstanceUID="", StudyInstanceUID="1.2.1", SOPInstanceUID="")
    write_series(tmp_path / "b", body(4), SeriesInstanceUID="", StudyInstanceUID="1.2.2", SOPInstanceUID="")
    assert [info.slice_count for info in list_series(tmp_path)] == [6, 4]


def test_without_any_uid_two_patients_in_two_folders_stay_two(tmp_path):
    """Otherwise the slices of two patients make one volume, and one score, without a word."""
    nothing = {"SeriesInstanceUID": "", "StudyInstanceUID": "", "SOPInstanceUID": ""}
    write_series(tmp_path / "a", body(6), **nothing)
    write_series(tmp_path / "b", body(4), **nothing)
    assert [info.slice_count for info in list_series(tmp_path)] == [6, 4]
    assert len(find_inputs(tmp_path)) == 2


def test_scouts_in_the_series_are_left_out(tmp_path):
    write_series(tmp_path, body(), series_uid="1.2.3")
    write_series(
        tmp_path, body(1, 64, 64), series_uid="1.2.3", prefix="scout", ImageType=LOCALIZER, orientation=CORONAL
    )
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, body())
    assert _warned(volume, "scout")


def test_scouts_alone_are_refused(tmp_path):
    write_series(tmp_path, body(2), ImageType=LOCALIZER)
    with pytest.raises(ScoutOnlyError):
        read_volume(tmp_path)


@pytest.mark.parametrize(("modality", "uid"), [("MR", MR), ("PT", "1.2.840.10008.5.1.4.1.1.128"), ("US", SC)])
def test_other_modalities_are_refused(tmp_path, modality, uid):
    write_series(tmp_path, body(), Modality=modality, SOPClassUID=uid)
    with pytest.raises(WrongModalityError, match=modality):
        read_volume(tmp_path)


def test_a_dose_report_is_refused(tmp_path):
    def strip(k, dataset):
        del dataset.PixelData, dataset.Rows, dataset.Columns

    write_series(tmp_path, body(1), Modality="SR", SOPClassUID="1.2.840.10008.5.1.4.1.1.88.67", change=strip)
    with pytest.raises(WrongModalityError, match="SR"):
        read_volume(tmp_path)


def test_dose_pages_stored_as_ct_are_refused(tmp_path):
    write_series(tmp_path, body(2), SOPClassUID=SC)
    with pytest.raises(SecondaryCaptureError):
        read_volume(tmp_path)


def test_a_series_of_another_modality_can_not_be_chosen(tmp_path):
    write_series(tmp_path / "ct", body(3))
    write_series(tmp_path / "mr", body(9), Modality="MR", SOPClassUID=MR)
    with pytest.raises(WrongModalityError):
        read_volume(tmp_path, series=2)


def test_mixed_orientations_are_set_apart(tmp_path):
    write_series(tmp_path, body(6), series_uid="1.2.3")
    write_series(
        tmp_path, body(3) + 2, series_uid="1.2.3", prefix="c", orientation=CORONAL, step=(0, 3, 0), AcquisitionNumber=2
    )
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, body(6))
    assert _warned(volume, "orientations")
    assert read_volume(tmp_path, series=2).spacing[2] == pytest.approx(3)


def test_an_orientation_that_turns_by_two_degrees_is_set_apart(tmp_path):
    turned = (1.0, 0.0, 0.0, 0.0, np.cos(np.radians(2)), np.sin(np.radians(2)))
    write_series(
        tmp_path, body(6), change=lambda k, ds: put(ds, ImageOrientationPatient=list(turned if k > 3 else AXIAL))
    )
    volume = read_volume(tmp_path)
    assert volume.slice_count == 4
    assert _warned(volume, "orientations")


def test_a_pixel_size_or_matrix_that_changes_is_set_apart(tmp_path):
    write_series(
        tmp_path / "a", body(6), change=lambda k, ds: put(ds, PixelSpacing=[0.9, 0.9] if k > 3 else [0.7, 0.7])
    )
    volume = read_volume(tmp_path / "a")
    assert volume.slice_count == 4
    assert _warned(volume, "pixel size")
    write_series(tmp_path / "b", body(6), series_uid="1.2.3")
    write_series(tmp_path / "b", body(3, 48, 48), series_uid="1.2.3", prefix="x", origin=(0, 0, 60))
    assert read_volume(tmp_path / "b").hu.shape == (6, 32, 40)


def test_kernels_are_never_mixed(tmp_path):
    """Two reconstructions interleaved at half the distance look like one even stack; a score of both means nothing."""
    write_series(tmp_path, body(6), series_uid="1.2.3", ConvolutionKernel="B30f")
    write_series(
        tmp_path, body(6) + 4, series_uid="1.2.3", prefix="s", ConvolutionKernel="B70f", origin=(-10, -20, 31.25)
    )
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, body(6))
    assert _warned(volume, "kernels")


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "TemporalPositionIdentifier", "TriggerTime", "KVP"])
def test_time_points_at_the_same_positions_are_set_apart(tmp_path, keyword):
    for point in (1, 2):
        write_series(tmp_path, body(5) + point, series_uid="1.2.3", prefix=f"t{point}", **{keyword: 10 * point})
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, body(5) + 1)
    assert _warned(volume, "passes")
    np.testing.assert_array_equal(read_volume(tmp_path, series=2).hu, body(5) + 2)


def test_passes_that_overlap_in_part_are_set_apart(tmp_path):
    write_series(tmp_path, body(8), series_uid="1.2.3", prefix="a", AcquisitionNumber=1)
    write_series(tmp_path, body(5), series_uid="1.2.3", prefix="b", AcquisitionNumber=2, origin=(-10, -20, 45))
    volume = read_volume(tmp_path)
    assert volume.slice_count == 8
    assert _warned(volume, "passes")


def test_step_and_shoot_acquisitions_stay_one_stack(tmp_path):
    """Each rotation of a sequential scan has its own acquisition number; the patient is one volume all the same."""
    write_series(tmp_path, body(8), change=lambda k, ds: put(ds, AcquisitionNumber=1 + k // 2))
    volume = read_volume(tmp_path)
    assert volume.slice_count == 8
    assert volume.warnings == ()


def test_duplicates_that_nothing_tells_apart_are_refused(tmp_path):
    write_series(tmp_path, body(5), series_uid="1.2.3")
    write_series(tmp_path, body(5) + 9, series_uid="1.2.3", prefix="again")
    with pytest.raises(DuplicatePositionsError, match="5 slices"):
        read_volume(tmp_path)


def test_a_leftover_does_not_stand_in_for_a_scan_that_cannot_be_read(tmp_path):
    write_series(tmp_path / "a", body(5), series_uid="1.2.3")
    write_series(tmp_path / "b", body(5) + 9, series_uid="1.2.3")
    write_series(tmp_path / "c", body(2))
    with pytest.raises(DuplicatePositionsError):
        read_volume(tmp_path)
    first, second = list_series(tmp_path)
    assert "5 slices" in first.problem
    assert second.problem is None
    assert read_volume(tmp_path, series=2).slice_count == 2


def test_copied_files_are_read_once(tmp_path):
    write_series(tmp_path / "a", body(5))
    shutil.copytree(tmp_path / "a", tmp_path / "copy of a")
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, body(5))
    assert _warned(volume, "copies")


def test_slices_that_share_one_uid_are_all_read(tmp_path):
    """De-identification that writes one constant UID would otherwise leave a single slice of the scan."""
    for spared in (0, 1):
        folder = tmp_path / str(spared)
        write_series(folder, body(5), change=lambda k, ds: k < spared or setattr(ds, "SOPInstanceUID", "1.2.3"))
        volume = read_volume(folder)
        np.testing.assert_array_equal(volume.hu, body(5))
        assert _warned(volume, "share one SOP Instance UID") and not _warned(volume, "copies")
    shutil.copytree(tmp_path / "0", tmp_path / "0" / "again")
    volume = read_volume(tmp_path / "0")
    np.testing.assert_array_equal(volume.hu, body(5))
    assert _warned(volume, "5 file(s) are copies")
    with pytest.raises(IncompleteHeadersError, match="a SOP Instance UID of its own for each slice"):
        read_with_source(tmp_path / "0")


def test_missing_slices_leave_air_in_their_places(tmp_path):
    """Without the empty places every slice beyond the gap would be shown where it is not."""
    hu = body(12)
    paths = write_series(tmp_path, hu)
    for k in (4, 8):
        paths[k].unlink()
    volume = read_volume(tmp_path)
    expected = hu.copy()
    expected[[4, 8]] = -1024
    np.testing.assert_array_equal(volume.hu, expected)
    assert volume.spacing[2] == pytest.approx(2.5)
    assert _warned(volume, "2 slice(s) are missing")


def test_a_slice_distance_that_changes_gives_the_largest_even_part(tmp_path):
    positions = [(0, 0, 4.0 * k) for k in range(10)] + [(0, 0, 36 + 8.0 * k) for k in range(1, 7)]
    write_series(tmp_path, body(16), positions=positions)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, body(16)[:10])
    assert volume.spacing[2] == pytest.approx(4)
    assert _warned(volume, "distance between slices changes")
    assert read_volume(tmp_path, series=2).spacing[2] == pytest.approx(8)


def test_interleaved_stacks_without_any_sign_are_set_apart(tmp_path):
    positions = [(0, 0, 5.0 * (k // 2) + 1.5 * (k % 2)) for k in range(12)]
    write_series(tmp_path, body(12), positions=positions)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, body(12)[::2])
    assert volume.spacing[2] == pytest.approx(5)
    assert _warned(volume, "interleaves")


def test_scattered_slices_are_refused(tmp_path):
    positions = [(0, 0, z) for z in (0, 3, 11, 12, 30, 47, 90, 91.5)]
    write_series(tmp_path, body(8), positions=positions)
    with pytest.raises(UnevenSpacingError):
        read_volume(tmp_path)


def test_nothing_there(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.dcm").write_text("not an image")
    (tmp_path / "zero.dcm").touch()
    with pytest.raises(PathNotFoundError):
        read_volume(tmp_path / "nowhere")
    with pytest.raises(EmptyFolderError):
        read_volume(tmp_path / "empty")
    for name in ("text.dcm", "zero.dcm", "."):
        with pytest.raises(NotAnImageError):
            read_volume(tmp_path / name)


def test_files_without_preamble_or_meta_header_are_read(tmp_path):
    """Old archives send bare datasets; a reader that insists on the preamble loses them."""
    paths = write_series(tmp_path, body(), syntax="1.2.840.10008.1.2")
    for path in paths:
        from pydicom import dcmread

        dataset = dcmread(path)
        del dataset.preamble
        dataset.file_meta.clear()
        dataset.save_as(path, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[128:132] != b"DICM"
    np.testing.assert_array_equal(read_volume(tmp_path).hu, body())


def test_cancel_stops_reading_and_progress_counts_slices(tmp_path):
    write_series(tmp_path, body(20))
    seen = []
    read_volume(tmp_path, progress=lambda done, total, message: seen.append((done, total, message)))
    assert seen[-1][:2] == (20, 20)
    assert [done for done, _, message in seen if message == "Reading slices"] == [0, 16, 20]
    with pytest.raises(ReadingCancelledError):
        read_volume(tmp_path, cancelled=lambda: True)


def test_a_file_that_may_not_be_opened_is_told(tmp_path):
    import os
    import tempfile
    from pathlib import Path

    if not hasattr(os, "geteuid"):
        pytest.skip("needs the rights of a POSIX system")
    write_series(tmp_path, body(1))
    read_volume(tmp_path)  # imports everything while that is allowed
    with tempfile.TemporaryDirectory() as name:  # pytest's own folder is closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        path = Path(shutil.copy(next(tmp_path.iterdir()), folder))
        path.chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            for place in (path, folder):
                with pytest.raises(NotReadableError):
                    read_volume(place)
        finally:
            os.seteuid(user)


def test_the_series_to_choose_from_are_told_also_where_the_chosen_one_cannot_be_read(tmp_path):
    """Without this the browser viewer could not offer another series, or would read all headers twice."""
    write_series(tmp_path / "a", body(4), ConvolutionKernel="B70f")
    write_series(tmp_path / "b", body(7), series_uid="1.2.3.4")
    told = []
    read_volume(tmp_path, on_series=told.extend)
    assert tuple(told) == list_series(tmp_path) and [one.slice_count for one in told] == [7, 4]
    with pytest.raises(NoSuchSeriesError):
        read_volume(tmp_path, series=9, on_series=told.extend)
    assert len(told) == 4
