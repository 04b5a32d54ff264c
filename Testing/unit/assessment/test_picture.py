"""If these fail, a score depends on the table or on where the patient lay, or a map lies beside the patient."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment import assess_volume, body_mask
from CTQualityAssessmentLib.assessment.picture import moved_back, patient_alone
from CTQualityAssessmentLib.models import load_bundle
from CTQualityAssessmentLib.models.errors import DamagedBundle
from CTQualityAssessmentLib.volume import Volume

from Testing.bundle_factory import INPUT_SIZE, write_bundle

SPACING = (3.5, 3.5)


def slice_of(top: int, left: int, table: bool = False, size: int = 96) -> np.ndarray:
    """HU of a patient of 40 x 52 pixels with noise, at a place, with or without a table under it."""
    hu = np.full((size, size), -1000.0)
    rows, columns = np.mgrid[-1:1:40j, -1:1:52j]
    inside = np.hypot(rows, columns) <= 1
    patient = 40 + np.random.default_rng(0).normal(0, 15, inside.shape)
    hu[top : top + 40, left : left + 52][inside] = patient[inside]
    if table:
        hu[top + 44 : top + 46, 10:90] = 150
    return hu.astype(np.int16)


def test_the_place_of_the_patient_and_the_table_leave_no_trace():
    seen = []
    for top, left, table in ((5, 8, False), (48, 40, False), (20, 20, True)):
        hu = slice_of(top, left, table)
        picture, moved = patient_alone(hu, body_mask(hu, SPACING))
        assert moved == (28 - top, 22 - left)
        seen.append(picture)
    assert np.array_equal(seen[0], seen[1]) and np.array_equal(seen[0], seen[2])
    found = np.argwhere(seen[0] > -300)
    assert tuple(found.min(axis=0) + found.max(axis=0)) == (95, 95)


def test_no_pixel_of_the_patient_is_changed_and_an_empty_slice_stays():
    hu = slice_of(5, 8)
    mask = body_mask(hu, SPACING)
    picture, _ = patient_alone(hu, mask)
    assert np.array_equal(np.sort(picture[picture > -900]), np.sort(hu[mask & (hu > -900)]))
    same, moved = patient_alone(hu, np.zeros_like(mask))
    assert np.array_equal(same, hu) and moved == (0, 0)


def test_a_patient_wider_than_the_field_of_view_is_not_cut():
    hu = np.full((64, 64), 40.0)
    hu[:4] = -1000
    picture, moved = patient_alone(hu, body_mask(hu, SPACING))
    assert moved[1] == 0 and (picture > -300).sum() == (hu > -300).sum()


def test_a_map_comes_back_to_where_its_picture_came_from():
    grid = np.ones((8, 8), np.float32)
    grid[2, 5] = 9
    back = moved_back(grid, 1, -2)
    assert back[1, 7] == 9 and back.sum() == grid.sum()
    half = moved_back(grid, 0.5, 0)
    assert half[1, 5] == half[2, 5] == pytest.approx(5)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = write_bundle(tmp_path_factory.mktemp("models") / "tiny")
    whole = load_bundle(folder, "cpu")
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text(encoding="utf-8"))
    metadata["ctqa"]["picture"] = "patient"
    path.write_text(json.dumps(metadata), encoding="utf-8")
    return whole, load_bundle(folder, "cpu"), folder


def assessed(model, *slices):
    volume = Volume(np.stack(slices), np.diag([-3.5, -3.5, 3.0, 1.0]), 2)
    return assess_volume(volume, model, attention_stages=(1,))


def test_the_engine_shows_the_network_the_patient_alone_and_puts_the_maps_back(models):
    whole, alone, _ = models
    size = INPUT_SIZE
    here, there = slice_of(4, 0, size=size), slice_of(4 + 8, 4, table=True, size=size)
    found = assessed(replace(alone, novelty=None), here, there)
    assert found.slices[0].score == pytest.approx(found.slices[1].score, abs=1e-6)
    plain = assessed(replace(whole, novelty=None), here, there)
    assert plain.slices[0].score != pytest.approx(plain.slices[1].score, abs=1e-6)
    # Cells of stage 1 are 4 pixels wide: the second patient lies two cells lower and one further right.
    first, second = found.attention[0].values
    assert np.allclose(first[1:10, 1:12], second[3:12, 2:13], atol=1e-4)


def test_a_picture_that_this_version_does_not_know_is_refused(models):
    _, _, folder = models
    path = folder / "configs" / "metadata.json"
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept.replace('"patient"', '"moon"'), encoding="utf-8")
    with pytest.raises(DamagedBundle):
        load_bundle(folder, "cpu")
    path.write_text(kept, encoding="utf-8")
