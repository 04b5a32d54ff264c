"""Geometry: a voxel must be where the headers say, or every overlay and every slice position is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.reading.errors import MissingGeometryError

from Testing.dicom_factory import AXIAL, body, write_series

SPACING = (0.8, 0.7)
MARK = (4, 9, 23)  # k in the order of writing, row, column


def _rotation(*degrees: float) -> np.ndarray:
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        matrix = turn @ matrix
    return matrix


def _tilted(degrees: float) -> tuple:
    """A gantry tilted about the patient's left-right axis while the table moves along z."""
    angle = np.radians(degrees)
    return (1.0, 0.0, 0.0, 0.0, np.cos(angle), np.sin(angle))


OBLIQUE = _rotation(20, -35, 10)
CASES = {
    "axial": (AXIAL, (0, 0, 2.5)),
    "axial, feet first": (AXIAL, (0, 0, -2.5)),
    "prone": ((-1, 0, 0, 0, -1, 0), (0, 0, 2.5)),
    "flipped rows": ((1, 0, 0, 0, -1, 0), (0, 0, 2.5)),
    "coronal": ((1, 0, 0, 0, 0, -1), (0, 3, 0)),
    "sagittal": ((0, 1, 0, 0, 0, -1), (-3, 0, 0)),
    "oblique": ((*OBLIQUE[:, 0], *OBLIQUE[:, 1]), tuple(2.5 * OBLIQUE[:, 2])),
    "tilted by 18": (_tilted(18), (0, 0, 5)),
    "tilted by -23": (_tilted(-23), (0, 0, -5)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_marked_voxel_lies_where_the_dicom_formula_puts_it(tmp_path, case):
    orientation, step = CASES[case]
    origin = np.array([-100.0, 50.0, -300.0])
    hu = body()
    hu[MARK] = 2500
    write_series(tmp_path, hu, origin=origin, step=step, orientation=orientation, pixel_spacing=SPACING)
    volume = read_volume(tmp_path)

    # PS3.3 C.7.6.2.1.1: position of the slice, plus columns along the first cosines and rows along the second.
    k, row, column = MARK
    expected = origin + k * np.array(step, dtype=float)
    expected = expected + np.array(orientation[:3]) * SPACING[1] * column + np.array(orientation[3:]) * SPACING[0] * row
    found_k, found_j, found_i = np.argwhere(volume.hu == 2500)[0]
    ras = volume.ijk_to_ras @ (found_i, found_j, found_k, 1)
    np.testing.assert_allclose(ras[:3], expected * (-1, -1, 1), atol=1e-4)
    assert volume.acquisition_axis == 2
    np.testing.assert_allclose(volume.spacing, (SPACING[1], SPACING[0], np.linalg.norm(step)), rtol=1e-5)
    assert np.linalg.det(volume.ijk_to_ras[:3, :3]) > 0, "slices are stacked along the normal of rows and columns"


@pytest.mark.parametrize("degrees", [18, -23])
def test_a_tilted_gantry_shears_the_grid_and_is_told(tmp_path, degrees):
    write_series(
        tmp_path, body(), orientation=_tilted(degrees), step=(0, 0, 5), GantryDetectorTilt=degrees, SliceThickness=5
    )
    volume = read_volume(tmp_path)
    directions = volume.ijk_to_ras[:3, :3] / volume.spacing
    assert np.degrees(np.arcsin(abs(directions[:, 1] @ directions[:, 2]))) == pytest.approx(abs(degrees), abs=1e-3)
    np.testing.assert_allclose(directions[:, 2], (0, 0, 1), atol=1e-6)
    assert any("tilted" in warning for warning in volume.warnings)
    assert volume.facts.gantry_tilt_deg == degrees


def test_a_tilt_that_the_positions_contradict_is_told(tmp_path):
    write_series(tmp_path, body(), GantryDetectorTilt=12)
    assert any("do not show" in warning for warning in read_volume(tmp_path).warnings)


def test_slice_distance_comes_from_positions_not_from_thickness(tmp_path):
    """Overlapping reconstructions are thicker than their distance."""
    write_series(tmp_path, body(), step=(0, 0, 1.25), SliceThickness=5, SpacingBetweenSlices=-5)
    volume = read_volume(tmp_path)
    assert volume.spacing[2] == pytest.approx(1.25)
    assert volume.warnings == ()


def test_positions_rounded_by_the_scanner_are_an_even_stack(tmp_path):
    positions = [(0, 0, round(0.625 * k, 1)) for k in range(30)]
    write_series(tmp_path, body(30, 16, 16), positions=positions)
    volume = read_volume(tmp_path)
    assert volume.slice_count == 30
    assert volume.spacing[2] == pytest.approx(0.625, rel=0.01)


def test_slices_shifted_in_plane_are_told(tmp_path):
    positions = [(0.0, 4.0 * (k == 3), 2.0 * k) for k in range(6)]
    write_series(tmp_path, body(), positions=positions)
    assert any("off the even grid" in warning for warning in read_volume(tmp_path).warnings)


def test_one_slice_has_its_thickness_as_distance(tmp_path):
    (path,) = write_series(tmp_path, body(1), SliceThickness=4)
    volume = read_volume(path)
    assert volume.hu.shape[0] == 1
    assert volume.spacing[2] == pytest.approx(4)
    assert any("single slice" in warning for warning in volume.warnings)


def test_one_slice_without_thickness_says_what_it_assumes(tmp_path):
    (path,) = write_series(tmp_path, body(1), SliceThickness=0)
    volume = read_volume(path)
    assert volume.spacing[2] == pytest.approx(1)
    assert volume.facts.slice_thickness_mm is None
    assert any("1 mm" in warning for warning in volume.warnings)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"ImagePositionPatient": None},
        {"ImageOrientationPatient": None},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"PixelSpacing": None},
        {"PixelSpacing": [0, 0]},
        {"PixelSpacing": [0.7, -0.7]},
    ],
)
def test_headers_without_a_place_are_refused(tmp_path, spoilt):
    write_series(tmp_path, body(), **spoilt)
    with pytest.raises(MissingGeometryError):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    "image_type", [["DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"], ["DERIVED", "SECONDARY", "MPR", "CSA MPR"]]
)
def test_reformatted_slices_are_told(tmp_path, image_type):
    """Interpolation smooths noise, so a score of a reformat is not a score of the scan."""
    write_series(tmp_path, body(), ImageType=image_type)
    assert any("reformatted" in warning for warning in read_volume(tmp_path).warnings)
