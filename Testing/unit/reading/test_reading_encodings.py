"""Transfer syntaxes and multi-frame objects: what cannot be decoded exactly must not be read at all."""

from __future__ import annotations

import tracemalloc

import nibabel
import numpy as np
import pytest
from CTQualityAssessmentLib.reading import list_series, read_volume
from CTQualityAssessmentLib.reading.errors import (
    DamagedPixelDataError,
    MissingGeometryError,
    NotAnImageError,
    UnsupportedCompressionError,
)

from Testing.dicom_factory import body, enhanced_dataset, save, write_series

SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("name", SYNTAXES)
def test_lossless_transfer_syntaxes_give_the_very_voxels(tmp_path, name, signed):
    hu = body()
    write_series(tmp_path, hu, syntax=SYNTAXES[name], signed=signed, intercept=0 if signed else -1024, bits_stored=12)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.hu, hu)
    assert volume.warnings == ()


@pytest.mark.parametrize("process", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1"])
def test_jpeg_lossless_gives_the_very_voxels(tmp_path, process):
    """The encoding of many archives of the last twenty years."""
    gdcm = pytest.importorskip("gdcm")
    hu = body()
    for number, path in enumerate(write_series(tmp_path / "plain", hu, bits_stored=12)):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, process)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        (tmp_path / "jpeg").mkdir(exist_ok=True)
        writer.SetFileName(str(tmp_path / "jpeg" / f"{number}.dcm"))
        assert writer.Write()
    np.testing.assert_array_equal(read_volume(tmp_path / "jpeg").hu, hu)


@pytest.mark.parametrize("name", SYNTAXES)
def test_enhanced_ct_equals_the_classic_series(tmp_path, name):
    hu = body()
    write_series(tmp_path / "classic", hu)
    path = save(enhanced_dataset(hu, order=[3, 1, 0, 2, 5, 4]), tmp_path / "enhanced.dcm", SYNTAXES[name])
    classic, enhanced = read_volume(tmp_path / "classic"), read_volume(path)
    np.testing.assert_array_equal(enhanced.hu, classic.hu)
    np.testing.assert_allclose(enhanced.ijk_to_ras, classic.ijk_to_ras, atol=1e-6)
    assert enhanced.warnings == ()
    assert list_series(path)[0].slice_count == 6


def test_facts_of_enhanced_ct_come_from_its_functional_groups(tmp_path):
    facts = read_volume(save(enhanced_dataset(body(5)), tmp_path / "enhanced.dcm")).facts
    assert facts.known() == {
        "modality": "CT",
        "manufacturer": "Maker",
        "scanner_model": "Model E",
        "body_part": "Abdomen",
        "kvp": 100.0,
        "tube_current_ma": 102.0,
        "exposure_mas": 60.0,
        "ctdivol_mgy": 5.0,
        "kernel": "Bv40",
        "reconstruction": "ITERATIVE",
        "slice_thickness_mm": 3.0,
        "reconstruction_diameter_mm": 380.0,
        "gantry_tilt_deg": 0.0,
    }


def test_time_points_in_one_enhanced_object_are_set_apart(tmp_path):
    hu = np.concatenate([body(4), body(4) + 5])
    dataset = enhanced_dataset(hu, frame_content=lambda k: {"TemporalPositionIndex": 1 + k // 4})
    for k, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 2 * (k % 4)]
    path = save(dataset, tmp_path / "enhanced.dcm")
    np.testing.assert_array_equal(read_volume(path).hu, body(4))
    np.testing.assert_array_equal(read_volume(path, series=2).hu, body(4) + 5)


def test_enhanced_ct_without_a_group_for_each_frame_is_refused(tmp_path):
    dataset = enhanced_dataset(body(5))
    del dataset.PerFrameFunctionalGroupsSequence[2]
    with pytest.raises(MissingGeometryError):
        read_volume(save(dataset, tmp_path / "enhanced.dcm"))


@pytest.mark.parametrize("name", SYNTAXES)
@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_truncated_pixel_data_are_refused(tmp_path, name, kind):
    """A slice that ends half way would otherwise be scored as if air were below."""
    hu = body(3, 64, 64) + np.random.default_rng(0).integers(-9, 9, (3, 64, 64))
    if kind == "classic":
        path = write_series(tmp_path, hu, syntax=SYNTAXES[name])[1]
    else:
        path = save(enhanced_dataset(hu), tmp_path / "enhanced.dcm", SYNTAXES[name])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 1500])
    # A deflated dataset is one compressed stream: cut short, not even its header can be read.
    with pytest.raises(NotAnImageError if name == "deflated" else DamagedPixelDataError):
        read_volume(path)


def test_pixel_data_that_are_absent_are_refused(tmp_path):
    write_series(tmp_path, body(), change=lambda k, ds: ds.__delattr__("PixelData"))
    with pytest.raises(DamagedPixelDataError):
        read_volume(tmp_path)


def test_a_compression_without_codec_is_refused(tmp_path):
    """MPEG-4 is a valid DICOM transfer syntax that no pixel decoder here knows."""
    write_series(tmp_path, body(), change=lambda k, ds: None)
    for path in tmp_path.iterdir():
        from pydicom import dcmread

        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
        dataset.PixelData = b"\xfe\xff\x00\xe0\x00\x00\x00\x00"
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path, enforce_file_format=True)
    with pytest.raises(UnsupportedCompressionError):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ("name", "marker", "at"), [("JPEG-LS", b"\xff\xf7", 5), ("JPEG 2000", b"\xff\x4f\xff\x51", 14)]
)
def test_a_stream_that_claims_another_matrix_is_refused_at_once(tmp_path, name, marker, at):
    """A decoder that believes 65 000 rows asks for gigabytes, or ends the process."""
    for path in write_series(tmp_path, body(), syntax=SYNTAXES[name]):
        content = bytearray(path.read_bytes())
        content[content.index(marker) + at : content.index(marker) + at + 2] = b"\xfe\xfe"
        path.write_bytes(content)
    with pytest.raises(DamagedPixelDataError):
        read_volume(tmp_path)


@pytest.mark.parametrize(("kind", "copies"), [("classic", 1.7), ("enhanced", 1.7), ("nifti", 2.5)])
def test_no_second_copy_of_the_volume_is_held(tmp_path, kind, copies):
    """With two copies a long scan no longer fits beside the network. Unpacking a gzip needs one in passing."""
    hu = body(48, 256, 256)
    if kind == "classic":
        write_series(tmp_path, hu)
    elif kind == "enhanced":
        save(enhanced_dataset(hu), tmp_path / "enhanced.dcm")
    else:
        nibabel.save(nibabel.Nifti1Image(hu.transpose(2, 1, 0), np.eye(4)), tmp_path / "ct.nii.gz")
    read_volume(tmp_path)  # imports
    tracemalloc.start()
    try:
        volume = read_volume(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < copies * volume.hu.nbytes
