"""Hounsfield units: whatever the encoding, the same patient must give the same voxels."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.reading.errors import MissingRescaleError, NotHounsfieldError

from Testing.dicom_factory import body, put, write_series


@pytest.mark.parametrize(
    ("slope", "intercept", "signed", "bits"),
    [(1, -1024, False, 12), (1, -1024, True, 16), (1, 0, True, 16), (1, -8192, False, 16), (1, -1000, True, 13)],
)
def test_every_encoding_of_the_same_patient_gives_the_same_int16(tmp_path, slope, intercept, signed, bits):
    hu = body()
    write_series(tmp_path, hu, slope=slope, intercept=intercept, signed=signed, bits_stored=bits)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, hu)
    assert volume.hu.dtype == np.int16
    assert volume.warnings == ()


def test_whole_slopes_other_than_one_are_applied(tmp_path):
    hu = body() // 2 * 2
    write_series(tmp_path, hu, slope=2)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, hu)
    assert volume.hu.dtype == np.int16


def test_fractional_slopes_keep_their_fractions(tmp_path):
    hu = body() + 0.25
    write_series(tmp_path, hu, slope=0.25, intercept=-1024.5)
    volume = read_volume(tmp_path)
    assert volume.hu.dtype == np.float32
    np.testing.assert_allclose(volume.hu, hu, atol=1e-3)


def test_each_slice_uses_its_own_rescale(tmp_path):
    """One header for all slices would shift the others by the difference."""
    hu = body()

    def change(k, dataset):
        dataset.RescaleIntercept = -1024 + 10 * k
        dataset.PixelData = (hu[k].astype(np.int32) + 1024 - 10 * k).clip(0).astype("<u2").tobytes()

    write_series(tmp_path, hu, change=change)
    read = read_volume(tmp_path).hu
    inside = hu > 0
    np.testing.assert_array_equal(read[inside], hu[inside])


def test_monochrome1_is_about_display_and_leaves_hu_alone(tmp_path):
    hu = body()
    write_series(tmp_path, hu, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_volume(tmp_path).hu, hu)


def test_pixel_data_that_were_inverted_with_monochrome1_are_refused(tmp_path):
    """A writer that inverts the values has turned air into metal: a score of that would mean nothing."""
    write_series(tmp_path, 2047 - body(), PhotometricInterpretation="MONOCHROME1")
    with pytest.raises(NotHounsfieldError):
        read_volume(tmp_path)


def _circle(hu):
    j, i = np.mgrid[: hu.shape[1], : hu.shape[2]]
    return ((j - hu.shape[1] / 2) ** 2 + (i - hu.shape[2] / 2) ** 2) > (0.49 * hu.shape[1]) ** 2


@pytest.mark.parametrize("fill", [-2000, -2048, -3024])
@pytest.mark.parametrize("declared", [True, False])
def test_padding_outside_the_scan_circle_becomes_air(tmp_path, fill, declared):
    hu = body()
    outside = np.broadcast_to(_circle(hu), hu.shape)
    filled = np.where(outside, fill, hu)
    write_series(tmp_path, filled, signed=True, PixelPaddingValue=fill + 1024 if declared else None)
    volume = read_volume(tmp_path)
    assert (volume.hu[outside] == -1024).all()
    np.testing.assert_array_equal(volume.hu[~outside], hu[~outside])
    assert volume.warnings == ()


def test_a_padding_range_inside_the_scale_becomes_air(tmp_path):
    """Padding that is declared as a range of bright values would otherwise look like metal around the patient."""
    hu = body()
    outside = np.broadcast_to(_circle(hu), hu.shape)
    filled = np.where(outside, 3000 + np.arange(40) % 3, hu)
    write_series(tmp_path, filled, PixelPaddingValue=4024, PixelPaddingRangeLimit=4026)
    volume = read_volume(tmp_path)
    assert (volume.hu[outside] == -1024).all()
    np.testing.assert_array_equal(volume.hu[~outside], hu[~outside])


def test_padding_written_as_unsigned_is_understood(tmp_path):
    """-2000 in an element of unsigned type reads 63536; the value must still match the signed pixels."""
    from pydicom.dataelem import DataElement

    hu = body()
    hu[:, :2] = 500  # bright padding, so that nothing but the declared value can remove it
    write_series(
        tmp_path,
        hu,
        signed=True,
        intercept=2500,
        change=lambda k, ds: ds.add(DataElement(0x00280120, "US", 65536 - 2000)),
    )
    assert (read_volume(tmp_path).hu[:, :2] == -1024).all()


def test_a_wrongly_declared_padding_value_leaves_no_holes_in_tissue(tmp_path):
    """Some writers declare 0 as padding in images that are HU already; 0 HU is water."""
    hu = body()
    hu[:, 16, 20] = 0
    write_series(tmp_path, hu, signed=True, intercept=0, PixelPaddingValue=0)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, hu)
    assert any("padding" in warning for warning in volume.warnings)


def test_missing_rescale_is_refused_unless_the_values_are_hu(tmp_path):
    hu = body()
    write_series(tmp_path / "unsigned", hu, RescaleSlope=None, RescaleIntercept=None)
    with pytest.raises(MissingRescaleError):
        read_volume(tmp_path / "unsigned")
    write_series(tmp_path / "hu", hu, signed=True, intercept=0, RescaleSlope=None, RescaleIntercept=None)
    volume = read_volume(tmp_path / "hu")
    np.testing.assert_array_equal(volume.hu, hu)
    assert any("rescale" in warning for warning in volume.warnings)


def test_a_slope_of_zero_is_a_missing_rescale(tmp_path):
    write_series(tmp_path, body(), change=lambda k, ds: put(ds, RescaleSlope=0))
    with pytest.raises(MissingRescaleError):
        read_volume(tmp_path)


@pytest.mark.parametrize("unit", ["MGML", "Z_EFF", "ED"])
def test_maps_in_other_units_are_refused(tmp_path, unit):
    write_series(tmp_path, body(), RescaleType=unit)
    with pytest.raises(NotHounsfieldError):
        read_volume(tmp_path)


@pytest.mark.parametrize("offset", [1024, -1024, 5000])
def test_a_wrong_intercept_is_noticed(tmp_path, offset):
    """Rescale applied twice or not at all moves air by 1024 HU; nothing after reading could tell."""
    write_series(tmp_path, body() + offset, signed=True, intercept=0)
    with pytest.raises(NotHounsfieldError):
        read_volume(tmp_path)


def test_images_without_air_are_read_with_a_warning(tmp_path):
    write_series(tmp_path, body().clip(-160, 240))
    assert any("no air" in warning for warning in read_volume(tmp_path).warnings)


def test_metal_beyond_the_12_bit_scale_is_kept(tmp_path):
    hu = body()
    hu[2, 16, 20] = 12000
    write_series(tmp_path, hu)
    assert read_volume(tmp_path).hu[2, 16, 20] == 12000


def test_values_beyond_int16_stay_bright(tmp_path):
    """An overflow would turn metal into air."""
    hu = body().astype(np.int32)
    hu[2, 16, 20] = 60000
    write_series(tmp_path, hu)
    assert read_volume(tmp_path).hu[2, 16, 20] == 32767


def test_a_slice_of_air_alone_is_no_error(tmp_path):
    """Whether there is a patient is for the assessment to say, slice by slice."""
    write_series(tmp_path, np.full((3, 32, 32), -1000))
    assert (read_volume(tmp_path).hu == -1000).all()


def test_lossy_compression_is_told(tmp_path):
    write_series(tmp_path, body(), LossyImageCompression="01")
    assert any("loss" in warning for warning in read_volume(tmp_path).warnings)


def test_one_slice_without_the_rescale_is_not_taken_for_hu(tmp_path):
    """The other slices would vouch for it, and its HU would be wrong by 1024."""

    def drop(k, dataset):
        if k == 2:
            del dataset.RescaleSlope, dataset.RescaleIntercept

    write_series(tmp_path, body(6), change=drop)
    with pytest.raises(MissingRescaleError):
        read_volume(tmp_path)


def test_padding_that_tissue_has_goes_outside_the_scan_circle_only(tmp_path):
    """Else a corner filled with 0 makes a hole of every voxel of water in the patient."""
    down, right = np.ogrid[:64, :64]
    outside = (down - 31.5) ** 2 + (right - 31.5) ** 2 > 32**2
    hu = body(4, 64, 64)
    hu[:, 30, 30] = 0
    hu[:, outside] = 0
    write_series(tmp_path, hu, intercept=0, signed=True, PixelPaddingValue=0)
    volume = read_volume(tmp_path)
    assert (volume.hu[:, 30, 30] == 0).all() and (volume.hu[:, outside] == -1024).all()
    assert any("padding" in warning for warning in volume.warnings)
