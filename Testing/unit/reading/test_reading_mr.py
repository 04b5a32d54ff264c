"""MR is read for the networks that want it, and for nobody else."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from CTQualityAssessmentLib.reading import Wanted, read_volume
from CTQualityAssessmentLib.reading.errors import (
    NonFiniteValuesError,
    NotHounsfieldError,
    UnknownModalityError,
    WrongModalityError,
)

from Testing.dicom_factory import PATIENT, body, write_series

BOTH = Wanted(("CT", "MR"))
MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"
MR_TAGS = {
    "Modality": "MR",
    "SOPClassUID": MR_CLASS,
    "RescaleSlope": None,
    "RescaleIntercept": None,
    "RescaleType": None,
    "ConvolutionKernel": None,
    "KVP": None,
    "XRayTubeCurrent": None,
    "Exposure": None,
    "CTDIvol": None,
    "BodyPartExamined": "KNEE",
    "SeriesDescription": "t1 thigh Zweistein",
}


def signal(slices: int = 6) -> np.ndarray:
    """Magnitudes from 0 on, no two slices alike."""
    return (body(slices) + 1000).astype(np.float64)


def write_mr(folder, values=None, **tags):
    write_series(folder, signal() if values is None else values, slope=1, intercept=0, **{**MR_TAGS, **tags})
    return folder


def nifti(path, values):
    nibabel.save(nibabel.Nifti1Image(np.asarray(values).T, np.diag([-1.0, -1.0, 3.0, 1.0])), path)
    return path


def test_dicom_mr_is_read_as_signal_in_the_order_of_its_positions(tmp_path):
    """MR slices in file order, or clipped like HU, are another volume."""
    volume = read_volume(write_mr(tmp_path), wanted=BOTH)
    np.testing.assert_array_equal(volume.hu, signal())
    assert (volume.units, volume.facts.modality, volume.is_mr) == ("signal", "MR", True)
    assert volume.facts.body_part == "KNEE" and volume.facts.described_organ == "extremity"
    np.testing.assert_allclose(volume.spacing, (0.7, 0.8, 2.5))
    assert not any(
        word in str(volume.facts.known()) for word in ("Zweistein", "thigh", *PATIENT["PatientName"].split("^"))
    )


def test_dicom_mr_is_refused_where_nobody_wants_it(tmp_path):
    """The scorers of CT would give it a number."""
    with pytest.raises(WrongModalityError, match="MR, not CT"):
        read_volume(write_mr(tmp_path))


def test_rescale_and_padding_of_mr_are_used(tmp_path):
    """Philips stores MR with a slope of its own for each series."""
    stored = signal() + 1
    stored[:, :2] = 0
    volume = read_volume(
        write_mr(tmp_path, stored, RescaleSlope=0.5, RescaleIntercept=3, PixelPaddingValue=0), wanted=BOTH
    )
    np.testing.assert_allclose(volume.hu[:, 2:], 0.5 * stored[:, 2:] + 3)
    assert (volume.hu[:, :2] == 0).all()


def test_echoes_at_one_place_are_set_apart(tmp_path):
    """Two echoes mixed into one stack alternate from slice to slice."""
    write_mr(tmp_path, series_uid="1.2.3", EchoNumbers=1, EchoTime=10)
    write_series(
        tmp_path, 2 * signal(), slope=1, intercept=0, prefix="b", series_uid="1.2.3",
        **{**MR_TAGS, "EchoNumbers": 2, "EchoTime": 90},
    )  # fmt: skip
    first, second = (read_volume(tmp_path, series=n, wanted=BOTH) for n in (1, 2))
    assert sorted([float(first.hu.max()), float(second.hu.max())]) == [signal().max(), 2 * signal().max()]


def test_ct_beside_mr_is_still_ct(tmp_path):
    """A study with both must not turn its CT into signal."""
    write_series(tmp_path / "ct", body())
    write_mr(tmp_path / "mr", signal(3))
    volume = read_volume(tmp_path, wanted=BOTH)
    assert volume.units == "HU" and volume.facts.modality == "CT" and not volume.is_mr


def test_a_nifti_of_mr_has_to_be_told(tmp_path):
    """The format names no modality, and the signal of MR could be anything."""
    path = nifti(tmp_path / "mr.nii.gz", signal().astype(np.float32))
    with pytest.raises(NotHounsfieldError):
        read_volume(path)
    with pytest.raises(UnknownModalityError, match="--modality MR"):
        read_volume(path, wanted=BOTH)
    volume = read_volume(path, wanted=Wanted(("CT", "MR"), "MR"))
    np.testing.assert_allclose(volume.hu, signal(), rtol=1e-6)
    assert volume.units == "signal" and volume.facts.modality == "MR"


def test_a_nifti_of_ct_stays_ct_for_a_network_that_reads_both(tmp_path):
    """CT files worked before and need no word."""
    volume = read_volume(nifti(tmp_path / "ct.nii.gz", body()), wanted=BOTH)
    assert volume.units == "HU" and not volume.is_mr


def test_an_mha_that_names_mr_is_believed(tmp_path):
    """MetaImage has a field for it."""
    SimpleITK = pytest.importorskip("SimpleITK")
    image = SimpleITK.GetImageFromArray(signal().astype(np.float32))
    SimpleITK.WriteImage(image, str(tmp_path / "mr.mha"))
    content = (tmp_path / "mr.mha").read_bytes()
    named = content.replace(b"ElementDataFile", b"Modality = MET_MOD_MR\nElementDataFile", 1)
    (tmp_path / "mr.mha").write_bytes(named)
    with pytest.raises(WrongModalityError):
        read_volume(tmp_path / "mr.mha")
    assert read_volume(tmp_path / "mr.mha", wanted=BOTH).units == "signal"


def test_voxels_without_a_value_become_zero_or_refuse(tmp_path):
    values = signal().astype(np.float32)
    values[0, 0, 0] = np.nan
    volume = read_volume(nifti(tmp_path / "few.nii", values), wanted=Wanted(("MR",), "MR"))
    assert volume.hu[0, 0, 0] == 0 and any("1 voxel" in warning for warning in volume.warnings)
    with pytest.raises(NonFiniteValuesError):
        read_volume(nifti(tmp_path / "most.nii", np.full((4, 8, 8), np.inf, np.float32)), wanted=Wanted(("MR",), "MR"))
