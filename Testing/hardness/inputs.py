"""Inputs that no scanner made, or too large, or meant to harm: each with a name, and how to make it."""

from __future__ import annotations

import os
import pickle
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np

from Testing.dicom_factory import body, slice_dataset, write_series

#: Writes something into an empty folder and returns what is to be read.
Maker = Callable[[Path], Path]


def all_air(folder: Path) -> Path:
    """Nobody lies in the scanner."""
    return _series(folder, np.full((3, 128, 128), -1000, np.int16))


def all_bone(folder: Path) -> Path:
    """Nothing but bone."""
    return _series(folder, np.full((3, 128, 128), 1200, np.int16))


def extreme_values(folder: Path) -> Path:
    """Only the lowest and the highest values that can be stored."""
    hu = np.where(np.indices((3, 128, 128)).sum(0) % 2, 31000, -31000).astype(np.int16)
    return _series(folder, hu, signed=True, intercept=0)


def nan_nifti(folder: Path) -> Path:
    """Voxels that are no numbers."""
    hu = body(4, 64, 64).astype(np.float32)
    hu[1, 20:30] = np.nan
    return _nifti(folder, hu)


def infinite_nifti(folder: Path) -> Path:
    """Voxels that are infinite."""
    hu = body(4, 64, 64).astype(np.float32)
    hu[2, 5, 5] = np.inf
    return _nifti(folder, hu)


def nan_affine(folder: Path) -> Path:
    """A place in the room that is no number."""
    path = _nifti(folder, body(4, 64, 64))
    content = bytearray(path.read_bytes())
    struct.pack_into("<4f", content, 280, *(4 * [float("nan")]))  # srow_x
    path.write_bytes(content)
    return path


def huge_nifti(folder: Path) -> Path:
    """A header of 348 bytes that claims 30 000 slices of 30 000 x 30 000."""
    path = _nifti(folder, body(4, 64, 64))
    content = bytearray(path.read_bytes()[:360])
    struct.pack_into("<4h", content, 40, 3, 30_000, 30_000, 30_000)
    path.write_bytes(content)
    return path


def huge_nrrd(folder: Path) -> Path:
    """A text of five lines that claims a terabyte."""
    path = folder / "a.nrrd"
    path.write_text(
        "NRRD0004\ntype: short\ndimension: 3\nsizes: 8000 8000 8000\nencoding: raw\nendian: little\n"
        "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n\n"
    )
    return path


def nrrd_of_a_secret(folder: Path) -> Path:
    """A header whose data file lies outside its folder."""
    path = folder / "a.nhdr"
    path.write_text(
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 8 8 8\nencoding: raw\n"
        "space: left-posterior-superior\nspace directions: (1,0,0) (0,1,0) (0,0,1)\nspace origin: (0,0,0)\n"
        "data file: ../../../../../../../../etc/passwd\n"
    )
    return path


def smallest_matrix(folder: Path) -> Path:
    """Slices of 32 x 32."""
    return _series(folder, body(6, 32, 32), pixel_spacing=(12.0, 12.0))


def one_pixel(folder: Path) -> Path:
    """Slices of 1 x 1."""
    return _series(folder, np.full((3, 1, 1), 40, np.int16))


def largest_matrix(folder: Path) -> Path:
    """Slices of 2048 x 2048."""
    return _series(folder, np.kron(body(2, 128, 128), np.ones((1, 16, 16), np.int16)), pixel_spacing=(0.2, 0.2))


def one_slice(folder: Path) -> Path:
    """A single slice."""
    return _series(folder, body(1, 256, 256), pixel_spacing=(1.4, 1.4))


def three_thousand_slices(folder: Path) -> Path:
    """A whole body in thin slices, with a small matrix."""
    return _series(folder, np.tile(body(6, 64, 64), (500, 1, 1)), step=(0, 0, 0.5), pixel_spacing=(6.0, 6.0))


def twenty_thousand_files(folder: Path) -> Path:
    """A series of ten slices among 20 000 files that are none."""
    _series(folder, body(10, 64, 64), pixel_spacing=(6.0, 6.0))
    for n in range(20_000):
        (folder / f"note{n}.txt").write_bytes(b"nothing")
    return folder


def links(folder: Path) -> Path:
    """Links to a folder above, to nothing, and to a file outside."""
    inner = folder / "in"
    _series(inner, body(4, 64, 64))
    (inner / "up").symlink_to(folder)
    (inner / "nothing").symlink_to(folder / "nowhere")
    (inner / "secret.dcm").symlink_to("/etc/passwd")
    return inner


def deep_folders(folder: Path) -> Path:
    """A series sixty folders down, under a long name in another script."""
    return _series(folder.joinpath(*(60 * ["объём"])), body(3, 64, 64)) and folder


def zip_with_path_tricks(folder: Path) -> Path:
    """A zip that would write beside its folder."""
    with zipfile.ZipFile(folder / "a.zip", "w") as zipped:
        zipped.writestr("../../evil.dcm", b"x")
    return folder / "a.zip"


def zip_with_link(folder: Path) -> Path:
    """A zip with a link to a file of the system."""
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "a.zip", "w") as zipped:
        zipped.writestr(link, "/etc/passwd")
    return folder / "a.zip"


def zip_bomb(folder: Path) -> Path:
    """A zip of half a megabyte that holds half a gigabyte."""
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        for n in range(8):
            zipped.writestr(f"{n}.dcm", bytes(64 * 1024**2))
    return folder / "a.zip"


def zip_of_zips(folder: Path) -> Path:
    """A zip in a zip in a zip."""
    content = b"x"
    for n in range(20):
        path = folder / f"{n}.zip"
        with zipfile.ZipFile(path, "w") as zipped:
            zipped.writestr("a.zip", content)
        content = path.read_bytes()
        path.unlink()
    (folder / "a.zip").write_bytes(content)
    return folder / "a.zip"


def with_a_pipe(folder: Path) -> Path:
    """A folder with a pipe, which would be read for ever."""
    _series(folder, body(3, 64, 64))
    os.mkfifo(folder / "pipe.dcm")
    return folder


def gzip_bomb(folder: Path) -> Path:
    """A NIfTI of a megabyte that unpacks to one gigabyte."""
    plain = _nifti(folder, body(4, 64, 64)).read_bytes()
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(plain)
    for _ in range(64):
        packed += packer.compress(bytes(1 << 24))
    (folder / "b.nii.gz").write_bytes(packed + packer.flush())
    (folder / "a.nii").unlink()
    return folder / "b.nii.gz"


def scouts_only(folder: Path) -> Path:
    """Nothing but scouts."""
    return _series(folder, body(2, 64, 64), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])


def report_only(folder: Path) -> Path:
    """A DICOM object without an image."""
    dataset = slice_dataset(body(1, 8, 8)[0])
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.22"
    dataset.Modality = "SR"
    dataset.save_as(folder / "a.dcm", enforce_file_format=True)
    return folder


def empty_folder(folder: Path) -> Path:
    """Nothing."""
    return folder


def pickled(folder: Path) -> Path:
    """A pickle that calls itself a NIfTI."""
    content = pickle.dumps(print)
    (folder / "a.nii").write_bytes(content)
    return folder / "a.nii"


#: Seconds each: those below fit into the tests, those of SLOW into ``python -m Testing.hardness.volumes`` only.
QUICK: tuple[Maker, ...] = (
    all_air,
    all_bone,
    extreme_values,
    nan_nifti,
    infinite_nifti,
    nan_affine,
    huge_nifti,
    huge_nrrd,
    nrrd_of_a_secret,
    smallest_matrix,
    one_pixel,
    one_slice,
    links,
    deep_folders,
    zip_with_path_tricks,
    zip_with_link,
    zip_of_zips,
    with_a_pipe,
    scouts_only,
    report_only,
    empty_folder,
    pickled,
)
SLOW: tuple[Maker, ...] = (largest_matrix, three_thousand_slices, twenty_thousand_files, zip_bomb, gzip_bomb)


def _series(folder: Path, hu: np.ndarray, **keywords: object) -> Path:
    write_series(folder, hu, **keywords)
    return folder


def _nifti(folder: Path, hu: np.ndarray) -> Path:
    nibabel.save(nibabel.Nifti1Image(hu.T, np.diag([-2.0, -2.0, 3.0, 1.0])), folder / "a.nii")
    return folder / "a.nii"
