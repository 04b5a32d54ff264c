"""NIfTI, NRRD, MHA, MHD: formats without units or modality, in LPS or RAS."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from CTQualityAssessmentLib.reading import list_series, read_volume
from CTQualityAssessmentLib.reading.errors import (
    DamagedPixelDataError,
    NonFiniteValuesError,
    NoSuchSeriesError,
    NotAnImageError,
    NotAVolumeError,
    NotHounsfieldError,
    ReadingCancelledError,
    SeveralImagesError,
    UnsupportedGeometryError,
    WrongModalityError,
)

from Testing.dicom_factory import body

FORMATS = [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"]


def _oblique() -> np.ndarray:
    a, b = np.radians((25, -15))
    turn_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return turn_z @ turn_x


def _image(hu, direction=None, spacing=(0.7, 0.8, 2.5), origin=(-11.0, 22.0, -33.0)) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(hu)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection((np.eye(3) if direction is None else direction).ravel().tolist())
    return image


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    "direction", [np.eye(3), np.diag([-1.0, -1.0, 1.0]), _oblique()], ids=["lps", "ras", "oblique"]
)
def test_a_marked_voxel_lies_where_itk_puts_it(tmp_path, suffix, direction):
    hu = body()
    hu[4, 9, 23] = 2500
    image = _image(hu, direction)
    path = tmp_path / f"ct{suffix}"
    SimpleITK.WriteImage(image, str(path))
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.hu, hu)
    ras = volume.ijk_to_ras @ (23, 9, 4, 1)
    expected = np.array(image.TransformIndexToPhysicalPoint((23, 9, 4))) * (-1, -1, 1)
    np.testing.assert_allclose(ras[:3], expected, atol=1e-4)
    assert volume.acquisition_axis == 2
    assert volume.hu.dtype == np.int16
    assert volume.warnings == ()


def test_nifti_agrees_with_nibabel(tmp_path):
    """A second reader that shares no code: left and right must not be swapped."""
    affine = np.eye(4)
    affine[:3, :3] = _oblique() @ np.diag([-0.7, 0.8, 2.5])
    affine[:3, 3] = (12, -30, 7)
    nifti = nibabel.Nifti1Image(body().transpose(2, 1, 0), affine)
    nibabel.save(nifti, tmp_path / "ct.nii.gz")
    volume = read_volume(tmp_path / "ct.nii.gz")
    np.testing.assert_allclose(volume.ijk_to_ras, affine, atol=1e-4)
    np.testing.assert_array_equal(volume.hu.transpose(2, 1, 0), body().transpose(2, 1, 0))


def test_the_acquisition_axis_follows_the_grid(tmp_path):
    """A volume stored with its slices along i must be scored along i."""
    hu = np.ascontiguousarray(body(7, 32, 32).transpose(2, 1, 0))
    SimpleITK.WriteImage(_image(hu, spacing=(5.0, 0.7, 0.7)), str(tmp_path / "ct.nrrd"))
    volume = read_volume(tmp_path / "ct.nrrd")
    assert volume.acquisition_axis == 0
    assert volume.slice_count == 7


def test_a_folder_with_one_image_is_that_image(tmp_path):
    SimpleITK.WriteImage(_image(body()), str(tmp_path / "ct.mhd"))  # with its .raw beside it
    (tmp_path / "notes.txt").write_text("x")
    np.testing.assert_array_equal(read_volume(tmp_path).hu, body())
    SimpleITK.WriteImage(_image(body()), str(tmp_path / "mask.nrrd"))
    with pytest.raises(SeveralImagesError):
        read_volume(tmp_path)
    assert list_series(tmp_path) == ()
    with pytest.raises(NoSuchSeriesError):
        read_volume(tmp_path / "ct.mhd", series=2)


def test_padding_below_air_becomes_air(tmp_path):
    hu = body()
    hu[:, :3] = -3024
    SimpleITK.WriteImage(_image(hu), str(tmp_path / "ct.nii"))
    assert (read_volume(tmp_path / "ct.nii").hu[:, :3] == -1024).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_whole_numbers_in_floating_point_become_int16(tmp_path, dtype):
    SimpleITK.WriteImage(_image(body().astype(dtype)), str(tmp_path / "ct.nii"))
    volume = read_volume(tmp_path / "ct.nii")
    assert volume.hu.dtype == np.int16
    np.testing.assert_array_equal(volume.hu, body())


def test_fractions_are_kept_as_float32(tmp_path):
    SimpleITK.WriteImage(_image(body() + np.float32(0.25)), str(tmp_path / "ct.nii"))
    volume = read_volume(tmp_path / "ct.nii")
    assert volume.hu.dtype == np.float32
    np.testing.assert_array_equal(volume.hu, body() + np.float32(0.25))


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_numbers_become_air_and_are_told(tmp_path, suffix, value):
    """One NaN would turn every score, map and mean into NaN; taken for 0 it would be water."""
    hu = body().astype(np.float32)
    hu[1, 2, :3] = value
    path = tmp_path / f"ct{suffix}"
    SimpleITK.WriteImage(_image(hu), str(path))
    volume = read_volume(path)
    assert (volume.hu[1, 2, :3] == -1024).all()
    assert any("3 voxel(s) are not numbers" in warning for warning in volume.warnings)
    assert volume.hu.dtype == np.int16


@pytest.mark.parametrize("suffix", [".nii", ".nrrd"])
def test_a_volume_of_mostly_nan_is_refused(tmp_path, suffix):
    hu = body().astype(np.float32)
    hu[:4] = np.nan
    SimpleITK.WriteImage(_image(hu), str(tmp_path / f"ct{suffix}"))
    with pytest.raises(NonFiniteValuesError):
        read_volume(tmp_path / f"ct{suffix}")


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.clip(body() + 1000, 0, None).astype(np.float32), id="mr, or HU plus 1000"),
        pytest.param((body() > 0).astype(np.uint8), id="segmentation"),
        pytest.param(body().astype(np.float32) / 2000, id="scaled to -1 ... 1"),
        pytest.param(body().astype(np.int32) * 1000, id="far too large"),
        pytest.param(np.zeros((4, 16, 16), np.int16), id="nothing but water"),
    ],
)
def test_what_cannot_be_hu_is_refused(tmp_path, values):
    SimpleITK.WriteImage(_image(values), str(tmp_path / "ct.nii"))
    with pytest.raises(NotHounsfieldError):
        read_volume(tmp_path / "ct.nii")


def test_what_may_be_hu_is_warned_of(tmp_path):
    SimpleITK.WriteImage(_image(body().clip(-160, 240)), str(tmp_path / "ct.nii"))
    assert any("no air" in warning for warning in read_volume(tmp_path / "ct.nii").warnings)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_a_modality_in_the_header_is_believed(tmp_path, suffix):
    image = _image(body())
    image.SetMetaData("Modality", "MR")
    path = tmp_path / f"mr{suffix}"
    SimpleITK.WriteImage(image, str(path))
    if suffix == ".mha":  # ITK reads the field but does not write it
        path.write_bytes(path.read_bytes().replace(b"ElementSpacing", b"Modality = MET_MOD_MR\nElementSpacing"))
    with pytest.raises(WrongModalityError, match="MR"):
        read_volume(path)


def test_more_than_one_value_at_a_voxel_is_refused(tmp_path):
    times = SimpleITK.JoinSeries([_image(body()), _image(body())])
    SimpleITK.WriteImage(times, str(tmp_path / "4d.nii"))
    colours = SimpleITK.Compose([_image(body())] * 3)
    SimpleITK.WriteImage(colours, str(tmp_path / "rgb.nrrd"))
    for name in ("4d.nii", "rgb.nrrd"):
        with pytest.raises(NotAVolumeError):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_one_slice_and_a_time_axis_of_one(tmp_path, suffix):
    SimpleITK.WriteImage(SimpleITK.JoinSeries([_image(body())]), str(tmp_path / f"4d{suffix}"))
    np.testing.assert_array_equal(read_volume(tmp_path / f"4d{suffix}").hu, body())
    SimpleITK.WriteImage(_image(body())[:, :, 2], str(tmp_path / f"2d{suffix}"))
    volume = read_volume(tmp_path / f"2d{suffix}")
    np.testing.assert_array_equal(volume.hu, body()[2:3])
    assert any("single slice" in warning for warning in volume.warnings)


def test_a_tilted_nifti_keeps_its_shear(tmp_path):
    """Converters write a tilted gantry as a sheared grid; straightening it would move anatomy by centimetres."""
    affine = np.diag([0.7, 0.8, 2.5, 1.0])
    affine[1, 2] = 0.9
    nibabel.save(nibabel.Nifti1Image(body().transpose(2, 1, 0), affine), tmp_path / "tilted.nii")
    np.testing.assert_allclose(read_volume(tmp_path / "tilted.nii").ijk_to_ras, affine, atol=1e-6)


@pytest.mark.parametrize("slope", [1.0, 0.5, 2.0])
def test_the_scale_in_a_nifti_header_is_applied(tmp_path, slope):
    nifti = nibabel.Nifti1Image((body().transpose(2, 1, 0) / slope).astype(np.int16), np.diag([0.7, 0.8, 2.5, 1.0]))
    nifti.header.set_slope_inter(slope, -24)
    nibabel.save(nifti, tmp_path / "ct.nii.gz")
    hu = read_volume(tmp_path / "ct.nii.gz").hu
    np.testing.assert_array_equal(hu, np.maximum(np.trunc(body() / slope) * slope - 24, -1024))
    assert hu.dtype == np.int16


def test_a_nifti_without_axes_says_what_it_assumes(tmp_path):
    nifti = nibabel.Nifti1Image(body().transpose(2, 1, 0), None)
    nibabel.save(nifti, tmp_path / "ct.nii")
    assert any("axes are assumed" in warning for warning in read_volume(tmp_path / "ct.nii").warnings)


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize("suffix", ["nrrd", "mha"])
def test_a_file_without_axes_says_what_it_assumes(tmp_path, suffix, stated):
    """Letters for right and left that nobody stated must not look like a fact; stated ones need no warning."""
    path = tmp_path / f"ct.{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(body()), path)
    if not stated:
        lines = path.read_bytes().split(b"\n")
        if suffix == "mha":
            kept = [line for line in lines if not line.startswith(b"TransformMatrix")]
        else:
            dropped = (b"space:", b"space origin:", b"kinds:")
            kept = [b"spacings: 1 1 5" if one.startswith(b"space directions:") else one for one in lines]
            kept = [line for line in kept if not line.startswith(dropped)]
        path.write_bytes(b"\n".join(kept))
    assert any("axes are assumed" in warning for warning in read_volume(path).warnings) is not stated


@pytest.mark.parametrize("diagonal", [(0.7, 0.8, 0.0), (0.7, 0.8, 2e3), (1e-4, 0.8, 3.0), (1e30, 0.8, 3.0)])
def test_a_grid_that_no_scanner_has_is_refused(tmp_path, diagonal):
    """No extent, or one that ended in a lack of memory once."""
    affine = np.diag([*diagonal, 1.0])
    nifti = nibabel.Nifti1Image(body().transpose(2, 1, 0), np.eye(4))
    nifti.header["srow_x"], nifti.header["srow_y"], nifti.header["srow_z"] = affine[:3]
    nifti.header["sform_code"] = 1
    (tmp_path / "flat.nii").write_bytes(nifti.header.binaryblock + bytes(4) + body().tobytes())
    with pytest.raises(UnsupportedGeometryError):
        read_volume(tmp_path / "flat.nii")


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_and_truncated_files(tmp_path, suffix):
    rng = np.random.default_rng(1)
    hu = (body(8, 64, 64) + rng.integers(-9, 9, (8, 64, 64))).astype(np.int16)
    path = tmp_path / f"ct{suffix}"
    SimpleITK.WriteImage(_image(hu), str(path))
    raw = tmp_path / "ct.raw" if suffix == ".mhd" else path
    content = raw.read_bytes()
    raw.write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedPixelDataError):
        read_volume(path)
    path.write_bytes(bytes(100))
    with pytest.raises(NotAnImageError):
        read_volume(path)


@pytest.mark.parametrize("spoilt", [b"NDims = -3", b"NDims = 99", b"NDims = x", b"Comment = NDims"])
def test_a_metaimage_that_contradicts_itself_is_refused(tmp_path, spoilt):
    """ITK's parser would write beyond its memory and take the application with it."""
    path = tmp_path / "ct.mha"
    SimpleITK.WriteImage(_image(body()), str(path))
    path.write_bytes(path.read_bytes().replace(b"NDims = 3", spoilt))
    with pytest.raises(NotAnImageError):
        read_volume(path)


def test_cancel(tmp_path):
    SimpleITK.WriteImage(_image(body()), str(tmp_path / "ct.nii"))
    with pytest.raises(ReadingCancelledError):
        read_volume(tmp_path / "ct.nii", cancelled=lambda: True)


@pytest.mark.parametrize("line", ["type: " + "a" * 1100, "a" * 4000, "labels: " + '"a" ' * 400, "sizes: " + "9" * 9000])
def test_a_line_that_the_parser_has_no_room_for_is_refused(tmp_path, line):
    """Each ended the process: one such file of a colleague took the viewer, or a worker of a batch, with it."""
    fields = "NRRD0004\ntype: short\ndimension: 3\nsizes: 8 8 8\nencoding: raw\n"
    (tmp_path / "a.nrrd").write_bytes((fields + line + "\n\n").encode() + bytes(1024))
    with pytest.raises(NotAnImageError):
        read_volume(tmp_path / "a.nrrd")


def test_long_descriptions_and_values_of_keys_are_read(tmp_path):
    """Segmentation tools write kilobytes into them."""
    hu = body()
    header = "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nendian: little\nencoding: raw\n"
    header += f"sizes: {hu.shape[2]} {hu.shape[1]} {hu.shape[0]}\nspace directions: (1,0,0) (0,1,0) (0,0,1)\n"
    header += f"content: {'c' * 4000}\n# {'c' * 4000}\nkey:={'v' * 9000}\n\n"
    (tmp_path / "a.nrrd").write_bytes(header.encode() + hu.astype("<i2").tobytes())
    assert np.array_equal(read_volume(tmp_path / "a.nrrd").hu, hu)
