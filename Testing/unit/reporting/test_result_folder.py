"""Results appear whole or not at all, and nothing of the user's is touched."""

from __future__ import annotations

import pytest
from CTQualityAssessmentLib.reporting.folder import OutputFolderError, result_folder


def test_files_move_in_and_foreign_files_stay(tmp_path):
    """An output folder that also holds the user's notes keeps them; our older files are replaced."""
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    (out / "notes.txt").write_text("mine")
    (out / "slices.csv").write_text("old")
    with result_folder(out) as folder:
        (folder / "slices.csv").write_text("new")
        assert (out / "slices.csv").read_text() == "old"
    assert {p.name: p.read_text() for p in out.iterdir()} == {"notes.txt": "mine", "slices.csv": "new"}
    assert list(out.parent.iterdir()) == [out]


def test_a_failure_leaves_the_folder_as_it_was(tmp_path):
    """A crash in the middle must not leave a new table beside an old figure, nor scratch files beside the folder."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "slices.csv").write_text("old")
    with pytest.raises(RuntimeError), result_folder(tmp_path / "out") as folder:
        (folder / "slices.csv").write_text("new")
        raise RuntimeError
    assert (tmp_path / "out" / "slices.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_unwritable_destination_is_a_plain_error_without_the_path(tmp_path, name):
    """The user reads what to do, and a log that quotes the error does not quote a folder named after a patient."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputFolderError) as caught, result_folder(tmp_path / name):
        pytest.fail("an hour of work is done before the folder is found to be unwritable")
    assert str(tmp_path) not in str(caught.value) and "--out" in caught.value.advice
    assert (tmp_path / "file").read_text() == "in the way"


def test_an_optional_file_of_an_earlier_run_goes_and_the_users_own_stay(tmp_path):
    """Otherwise the report of one patient lies beside the scores of another."""
    out = tmp_path / "out"
    for number, names in enumerate((("report.dcm", "scene.mrb", "scores.csv"), ("scene.mrb",))):
        with result_folder(out, optional=("report.dcm", "scene.mrb")) as folder:
            for name in names:
                (folder / name).write_text(str(number))
        (out / "notes.txt").write_text("mine")
    assert {file.name for file in out.iterdir()} == {"scene.mrb", "scores.csv", "notes.txt"}
    assert (out / "scene.mrb").read_text() == "1"
