"""Zips: the same voxels as the folder, and nothing written where it does not belong."""

from __future__ import annotations

import stat
import tempfile
import zipfile

import numpy as np
import pytest
from CTQualityAssessmentLib.reading import list_series, read_volume
from CTQualityAssessmentLib.reading.errors import (
    DamagedArchiveError,
    EmptyFolderError,
    NotAnImageError,
    ReadingCancelledError,
    TooLargeError,
    UnsafeArchiveError,
)

from Testing.dicom_factory import body, write_series


def _zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return path


def test_a_zip_equals_its_folder_and_leaves_nothing_behind(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    paths = write_series(tmp_path / "series", body())
    archive = _zip(tmp_path / "series.zip", [(f"patient/day 1/{path.name}", path.read_bytes()) for path in paths])
    volume = read_volume(archive)
    np.testing.assert_array_equal(volume.hu, body())
    assert volume.warnings == ()
    assert list_series(archive)[0].slice_count == 6
    assert list(scratch.iterdir()) == []


def test_tiffs_in_a_zip_keep_their_natural_order(tmp_path):
    import io

    import tifffile

    files = []
    for n in (10, 9, 1):
        content = io.BytesIO()
        tifffile.imwrite(content, np.full((8, 8), n / 10, np.float32))
        files.append((f"slice{n}.tif", content.getvalue()))
    hu = read_volume(_zip(tmp_path / "t.zip", files)).hu
    np.testing.assert_allclose((hu[:, 0, 0] + 1050) / 1400, (0.1, 0.9, 1.0), atol=1e-5)


@pytest.mark.parametrize("name", ["../evil.dcm", "a/../../evil.dcm", "/etc/evil.dcm", "C:\\evil.dcm", "..\\evil.dcm"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    (tmp_path / "in").mkdir()
    archive = _zip(tmp_path / "in" / "a.zip", [(name, b"x")])
    with pytest.raises(UnsafeArchiveError):
        read_volume(archive)
    assert not list(tmp_path.rglob("evil*"))


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UnsafeArchiveError):
        read_volume(_zip(tmp_path / "a.zip", [(link, "/etc/passwd")]))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    chunk = bytes(64 * 1024**2)
    archive = _zip(tmp_path / "bomb.zip", [(f"{n}.dcm", chunk) for n in range(5)])
    assert archive.stat().st_size < 400_000
    with pytest.raises(UnsafeArchiveError, match="hundredfold"):
        read_volume(archive)


def test_a_size_beyond_the_limit_is_refused_before_it_is_unpacked(tmp_path):
    """The directory of the zip claims 4 GiB three times over."""
    archive = _zip(tmp_path / "a.zip", [(f"{n}.dcm", b"x" * 100) for n in range(3)])
    content = bytearray(archive.read_bytes())
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        content[at + 24 : at + 28] = b"\xfe\xff\xff\xff"
    archive.write_bytes(content)
    with pytest.raises(TooLargeError):
        read_volume(archive)


def test_a_lie_about_sizes_does_not_help(tmp_path):
    archive = _zip(tmp_path / "a.zip", [("a.dcm", bytes(10**6))])
    content = bytearray(archive.read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 24 : at + 28] = (50).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises((DamagedArchiveError, NotAnImageError)):
        read_volume(archive)


def test_damaged_encrypted_and_empty_archives(tmp_path):
    paths = write_series(tmp_path / "series", body())
    archive = _zip(tmp_path / "a.zip", [(path.name, path.read_bytes()) for path in paths])
    content = bytearray(archive.read_bytes())

    damaged = bytearray(content)
    damaged[400:600] = bytes(200)
    (tmp_path / "damaged.zip").write_bytes(damaged)
    with pytest.raises(DamagedArchiveError):
        read_volume(tmp_path / "damaged.zip")

    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        content[at + 8] |= 1
    (tmp_path / "encrypted.zip").write_bytes(content)
    with pytest.raises(UnsafeArchiveError, match="encrypted"):
        read_volume(tmp_path / "encrypted.zip")

    with pytest.raises(EmptyFolderError):
        read_volume(_zip(tmp_path / "empty.zip", []))


def test_unpacking_can_be_cancelled(tmp_path):
    paths = write_series(tmp_path / "series", body())
    archive = _zip(tmp_path / "a.zip", [(path.name, path.read_bytes()) for path in paths])
    with pytest.raises(ReadingCancelledError):
        read_volume(archive, cancelled=lambda: True)
