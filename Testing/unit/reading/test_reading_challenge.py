"""The LDCTIQAG2023 TIFF format: the network must see the very values of the file again."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.reading.errors import NotAnImageError, NotChallengeScaleError
from CTQualityAssessmentLib.windows import WINDOWS


def _slice(seed: int, shape=(32, 32)) -> np.ndarray:
    values = np.random.default_rng(seed).random(shape, dtype=np.float32)
    values[0, :2] = (0.0, 1.0)
    return values


def test_one_file_gives_its_values_back_through_the_window(tmp_path):
    values = _slice(0)
    tifffile.imwrite(tmp_path / "0000.tif", values)
    volume = read_volume(tmp_path / "0000.tif")
    assert volume.units == "challenge"
    assert volume.hu.dtype == np.float32
    assert volume.hu.shape == (1, 32, 32)
    assert (volume.hu.min(), volume.hu.max()) == (-1050, 350)
    np.testing.assert_allclose(WINDOWS["ldctiqa"].apply(volume.hu)[0], values, atol=2e-6)


def test_it_has_no_physical_size_and_says_so(tmp_path):
    tifffile.imwrite(tmp_path / "0000.tif", _slice(0))
    volume = read_volume(tmp_path / "0000.tif")
    assert volume.spacing == (1.0, 1.0, 1.0)
    assert any("1 mm" in warning for warning in volume.warnings)
    # Rows run to posterior and columns to the patient's left: the radiological view is the file itself.
    np.testing.assert_array_equal(volume.canonical_slices().hu, volume.hu)


def test_a_stack_of_pages_and_a_folder_are_volumes_in_order(tmp_path):
    stack = np.stack([_slice(n) for n in range(12)])
    tifffile.imwrite(tmp_path / "stack.tiff", stack)
    from_pages = read_volume(tmp_path / "stack.tiff")
    folder = tmp_path / "image"
    folder.mkdir()
    for n in range(12):
        tifffile.imwrite(folder / f"slice{n}.tif", stack[n])  # slice10 comes after slice9
    from_folder = read_volume(folder)
    np.testing.assert_array_equal(from_folder.hu, from_pages.hu)
    np.testing.assert_allclose(WINDOWS["ldctiqa"].apply(from_folder.hu), stack, atol=2e-6)
    assert from_folder.acquisition_axis == 2


@pytest.mark.parametrize(
    "values",
    [
        pytest.param((_slice(0) * 255).astype(np.uint8), id="8 bit"),
        pytest.param(_slice(0) * 2, id="beyond 1"),
        pytest.param(_slice(0) - 0.5, id="below 0"),
        pytest.param(np.full((8, 8), np.nan, np.float32), id="NaN"),
        pytest.param(np.stack([_slice(0)] * 3, axis=-1), id="colour"),
    ],
)
def test_other_tiffs_are_refused(tmp_path, values):
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb" if values.ndim == 3 else "minisblack")
    with pytest.raises(NotChallengeScaleError):
        read_volume(tmp_path / "a.tif")


def test_differing_sizes_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", _slice(0))
    tifffile.imwrite(tmp_path / "b.tif", _slice(0, (16, 16)))
    with pytest.raises(NotChallengeScaleError):
        read_volume(tmp_path)


def test_damaged_tiff(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0 this is no tiff")
    with pytest.raises(NotAnImageError):
        read_volume(tmp_path / "a.tif")
