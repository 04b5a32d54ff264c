"""Broken and hostile inputs: if these fail, one file of a department's ten thousand ends the run, or the computer.

A few of the cases of ``python -m Testing.hardness.headers`` and ``.volumes``; see README.md beside this file.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import pytest
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.reading.bounded import BoundedFile
from CTQualityAssessmentLib.reading.errors import DataElsewhereError, NotEnoughMemoryError, ReadingError
from hypothesis import given, settings
from hypothesis import strategies as st

from Testing.hardness.bases import BASES, base_files
from Testing.hardness.cases import look_at, write_case
from Testing.hardness.defects import archive_defect
from Testing.hardness.formats import broken_image, hostile_zip
from Testing.hardness.headers import broken_header
from Testing.hardness.inputs import QUICK, gzip_bomb, nrrd_of_a_secret
from Testing.hardness.mutations import MUTATIONS, deflate_bomb, huge_matrix, with_value
from Testing.hardness.pool import DEFECTS, run_cases
from Testing.hardness.volumes import strange_input
from Testing.hardness.voxels import strange_voxels

#: Cases that were defects once, beside the first ones.
FOUND_ONCE = (88, 122, 384, 956)
CASES = (*range(150), *FOUND_ONCE)
PARTS = 3


@pytest.mark.skipif(os.name != "posix", reason="bounds of memory need a POSIX system")
@pytest.mark.parametrize("part", range(PARTS))
def test_a_broken_file_is_read_or_refused(part):
    """No traceback, no hang, no crash, no flood of memory, and nothing printed."""
    outcomes = list(run_cases(broken_header, CASES[part::PARTS]))
    assert len(outcomes) == len(CASES[part::PARTS])
    assert [one for one in outcomes if one.kind in DEFECTS] == []
    assert {"volume", "refused"} <= {one.kind for one in outcomes}


@pytest.mark.skipif(os.name != "posix", reason="bounds of memory need a POSIX system")
def test_a_strange_input_is_read_or_refused():
    outcomes = list(run_cases(strange_input, range(len(QUICK))))
    assert [one.seed for one in outcomes] == list(range(len(QUICK)))
    assert [one for one in outcomes if one.kind in DEFECTS] == []


_FAMILIES = (broken_image, broken_image, hostile_zip, archive_defect, archive_defect, strange_voxels)


def _of_every_family(seed: int, folder: Path) -> tuple[str, str, str]:
    return _FAMILIES[seed % len(_FAMILIES)](seed // len(_FAMILIES), folder)


@pytest.mark.skipif(os.name != "posix", reason="bounds of memory need a POSIX system")
def test_a_broken_image_a_hostile_zip_and_a_defect_of_an_archive_are_read_or_refused():
    """Some of the cases of ``make hardness``, in a process with bounds."""
    outcomes = list(run_cases(_of_every_family, range(10 * len(_FAMILIES))))
    assert [one for one in outcomes if one.kind in DEFECTS] == []
    assert {"volume", "refused"} <= {one.kind for one in outcomes} and len(outcomes) == 10 * len(_FAMILIES)


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(
    st.sampled_from((b"", bytes(128) + b"DICM", b"\x08\x00\x05\x00CS")),
    st.lists(
        st.tuples(
            st.sampled_from([(0x0008, 0x0060), (0x0028, 0x0010), (0x0028, 0x1053), (0x0020, 0x0032), (0x7FE0, 0x0010)])
            | st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)),
            st.sampled_from([b"CS", b"US", b"DS", b"OW", b"SQ", b"UN", b"ZZ", b"PN"]),
            st.integers(0, 0xFFFF) | st.none(),
            st.binary(max_size=40),
        ),
        max_size=12,
    ),
    st.binary(max_size=60),
)
def test_bytes_that_hypothesis_makes_up_are_refused(start, elements, end):
    """Elements of any tag, VR, length and content, in any order: never a traceback."""
    content = start
    for (group, number), vr, length, value in elements:
        told = len(value) if length is None else length
        content += group.to_bytes(2, "little") + number.to_bytes(2, "little") + vr
        content += bytes(2) + told.to_bytes(4, "little") if vr in (b"OW", b"SQ", b"UN") else told.to_bytes(2, "little")
        content += value
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.dcm", "b.nii", "c.mha"):
            (Path(folder) / name).write_bytes(content + end)
        for path in (Path(folder) / "a.dcm", Path(folder) / "b.nii", Path(folder) / "c.mha", Path(folder)):
            kind, detail = look_at(path)
            assert kind == "refused", detail


def test_every_way_of_breaking_is_tried(tmp_path):
    """Guards the two above: cases that all break alike would find nothing."""
    tried = []
    for seed in range(400):
        folder = tmp_path / str(seed)
        folder.mkdir()
        tried.append(write_case(seed, folder))
    assert {one.partition(":")[0] for one in tried} == set(BASES)
    names = {name for one in tried for name in one.partition(": ")[2].split()}
    assert {mutate.__name__ for mutate in MUTATIONS} - names <= {"deflate_bomb"}
    again = tmp_path / "again"
    again.mkdir()
    write_case(7, again)
    assert all((again / f.name).read_bytes() == f.read_bytes() for f in (tmp_path / "7").iterdir())


@pytest.mark.parametrize("base", BASES)
def test_what_the_mutations_start_from_is_sound(tmp_path, base):
    for n, content in enumerate(base_files(base)):
        (tmp_path / f"{n}.dcm").write_bytes(content)
    assert look_at(tmp_path) == ("volume", "measured")


def _die(seed: int, folder: Path) -> tuple[str, str, str]:
    if seed == 1:
        os._exit(9)
    if seed == 2:
        return "memory", "volume", str(len(bytearray(8 * 1024**3)))
    return "nothing", "volume", "measured"


def _hold(seed: int, folder: Path) -> tuple[str, str, str]:
    time.sleep(60)
    return "nothing", "volume", "measured"


@pytest.mark.skipif(os.name != "posix", reason="bounds of memory need a POSIX system")
def test_the_pool_tells_crashes_and_hangs_and_goes_on(monkeypatch):
    """Guards all of the above: a pool that hides what breaks its processes would pass everything."""
    kinds = {one.seed: (one.kind, one.detail) for one in run_cases(_die, range(4))}
    assert kinds[1] == ("crash", "exit code 9") and kinds[2][0] == "crash"
    assert kinds[0] == kinds[3] == ("volume", "measured")
    monkeypatch.setattr("Testing.hardness.pool.CLOCK_SECONDS", 1.5)
    assert [one.kind for one in run_cases(_hold, [0])] == ["hang"]


def test_a_data_file_outside_the_folder_is_not_read(tmp_path):
    """An uploaded header must not fetch a file of the system into a picture."""
    with pytest.raises(DataElsewhereError):
        read_volume(nrrd_of_a_secret(tmp_path))
    header = tmp_path / "a.mhd"
    header.write_text("NDims = 3\nDimSize = 8 8 8\nElementType = MET_UCHAR\nElementDataFile = /etc/passwd\n")
    with pytest.raises(DataElsewhereError):
        read_volume(header)


def test_a_file_gives_no_more_than_it_has(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    with BoundedFile(tmp_path / "a") as file:
        assert (file.read(4), file.read(2**40), file.read(5)) == (b"0123", b"456789", b"")
        file.seek(8)
        assert file.read() == b"89"


def test_a_deflated_bomb_is_refused_before_it_is_unpacked(tmp_path):
    from random import Random

    packed = deflate_bomb(Random(1), base_files("deflated")[0])
    assert len(packed) < 10 * 1024**2
    (tmp_path / "bomb.dcm").write_bytes(packed)
    with pytest.raises(ReadingError):
        read_volume(tmp_path)


def test_a_matrix_that_the_file_cannot_hold_costs_no_memory(tmp_path, monkeypatch):
    """Four gigabytes must not be asked for because a header of a few bytes says so."""
    from random import Random

    import numpy as np

    asked = []
    monkeypatch.setattr(
        "CTQualityAssessmentLib.reading.pixels.np.empty", lambda shape, dtype: asked.append(shape) or np.zeros((1,))
    )
    for base in ("explicit", "deflated", "rle", "jpeg-ls", "jpeg-2000", "jpeg-lossless"):
        for n, content in enumerate(base_files(base)):
            (tmp_path / f"{n}.dcm").write_bytes(huge_matrix(Random(5), content))
        with pytest.raises(ReadingError):
            read_volume(tmp_path)
    assert asked == []


@pytest.mark.parametrize(
    ("keyword", "value", "outcome"),
    [
        ("RescaleSlope", b"1e30", ("refused", "NotHounsfieldError")),
        ("RescaleSlope", b"3000000000", ("refused", "NotHounsfieldError")),
        ("RescaleIntercept", b"-1e18", ("refused", "NotHounsfieldError")),
        ("PixelSpacing", b"999\\999", ("volume", "measured")),
    ],
)
def test_numbers_that_no_scanner_writes(tmp_path, keyword, value, outcome):
    """Each ended the run with a traceback once."""
    for n, content in enumerate(base_files("explicit")):
        (tmp_path / f"{n}.dcm").write_bytes(with_value(content, keyword, value))
    assert look_at(tmp_path) == outcome


def test_too_little_memory_is_said_in_a_sentence(tmp_path, monkeypatch):
    def none_left(*arguments):
        raise MemoryError

    for n, content in enumerate(base_files("explicit")):
        (tmp_path / f"{n}.dcm").write_bytes(content)
    monkeypatch.setattr("CTQualityAssessmentLib.reading.reader.read_hu", none_left)
    with pytest.raises(NotEnoughMemoryError, match="not enough memory"):
        read_volume(tmp_path)


def test_a_gzip_bomb_costs_no_memory(tmp_path):
    """Only as much is unpacked as the header has voxels."""
    assert read_volume(gzip_bomb(tmp_path)).hu.shape == (4, 64, 64)
