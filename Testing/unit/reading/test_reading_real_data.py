"""Real scans of three vendors against second readers."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK
from CTQualityAssessmentLib.reading import list_series, read_volume
from CTQualityAssessmentLib.reading.errors import NotHounsfieldError


@pytest.mark.parametrize(
    ("name", "slices", "distance", "kernel", "compare"),
    [
        ("siemens_abdomen_jpeg2000", 20, 2.0, "Br38f", True),
        ("siemens_abdomen_kits00072", 18, 2.5, "B30s", True),
        ("siemens_chest_lungdxA0002", 10, 8.0, "B40f", True),
    ],
)
def test_dicom_series_equal_itk_voxel_by_voxel(real_data, name, slices, distance, kernel, compare):
    folder = real_data / "ct" / "dicom" / name
    volume = read_volume(folder)
    assert volume.hu.shape == (slices, 512, 512)
    assert volume.hu.dtype == np.int16
    assert volume.spacing[2] == pytest.approx(distance)
    assert volume.facts.kernel == kernel
    assert volume.facts.manufacturer == "SIEMENS"

    # ITK is given the files by their z, so that neither the series UID (emptied in one set) nor our order is used.
    files = []
    for path in folder.iterdir():
        reader = SimpleITK.ImageFileReader()
        reader.SetImageIO("GDCMImageIO")
        reader.SetFileName(str(path))
        try:
            reader.ReadImageInformation()
        except RuntimeError:
            continue
        files.append((reader.GetOrigin()[2], str(path)))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([path for _, path in sorted(files)])
    image = reader.Execute()
    np.testing.assert_array_equal(volume.hu, SimpleITK.GetArrayViewFromImage(image))
    for ijk in ((0, 0, 0), (511, 0, 0), (0, 511, 0), (17, 300, slices - 1)):
        ras = np.array(image.TransformIndexToPhysicalPoint(ijk)) * (-1, -1, 1)
        np.testing.assert_allclose((volume.ijk_to_ras @ (*ijk, 1))[:3], ras, atol=1e-3)


def test_a_folder_of_single_slices_reads_one_and_counts_the_others(real_data):
    folder = real_data / "ct" / "dicom" / "ge_toshiba_single_slices_covidny"
    volume = read_volume(folder)
    assert volume.hu.shape == (1, 512, 512)
    assert any("1 of 20" in warning and "14 more" in warning for warning in volume.warnings)
    assert len(list_series(folder)) == 20


def test_each_single_slice_is_readable_alone(real_data):
    """GE pads with -2000, Toshiba with -2048 undeclared: neither may be left."""
    makers = set()
    reformatted = 0
    for path in sorted((real_data / "ct" / "dicom" / "ge_toshiba_single_slices_covidny").iterdir()):
        volume = read_volume(path)
        assert volume.hu.shape == (1, 512, 512)
        assert volume.hu.min() == -1024
        assert np.median(volume.hu[0, 256 - 60 : 256 + 60]) > -1000
        makers.add(volume.facts.manufacturer)
        reformatted += any("reformatted" in warning for warning in volume.warnings)
    assert makers == {"GE MEDICAL SYSTEMS", "TOSHIBA"}
    assert reformatted == 1


@pytest.mark.parametrize("name", ["ge_abdomen_sharp_cptac00189", "philips_chest_lidc0314", "siemens_chest_lungfcp01"])
def test_nifti_volumes_equal_nibabel(real_data, name):
    path = real_data / "ct" / "volumes" / f"{name}.nii.gz"
    volume = read_volume(path)
    nifti = nibabel.load(path)
    np.testing.assert_array_equal(volume.hu, np.asarray(nifti.dataobj).T)
    np.testing.assert_allclose(volume.ijk_to_ras, nifti.affine, atol=1e-4)
    assert volume.acquisition_axis == 2
    assert volume.warnings == ()


def test_mr_volumes_are_refused(real_data):
    for path in sorted((real_data / "mr").glob("*.nii.gz"))[:3]:
        with pytest.raises(NotHounsfieldError):
            read_volume(path)
