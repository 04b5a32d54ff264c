"""If these fail, a window colours the wrong part of a slice, or shows nothing where a score is."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment import patient_mask
from CTQualityAssessmentLib.results import Refusal, SliceAssessment
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.bodies import Bodies, BodiesReader
from CTQualityAssessmentLib.worker.exchange import ExchangeError


def disc(columns: int = 61) -> Volume:
    """A disc of tissue in air; sides that are no multiple of eight."""
    rows, across = np.mgrid[:53, :columns]
    inside = (rows - 26) ** 2 + (across - 30) ** 2 < 400
    return Volume(
        np.repeat(np.where(inside, 40, -1000).astype(np.int16)[None], 3, axis=0), np.diag([-3.0, -3.0, 5.0, 1])
    )


def test_masks_come_as_they_went_also_while_others_are_still_missing(tmp_path):
    volume = disc()
    shape = volume.canonical_slices().hu.shape
    bodies, expected = Bodies(tmp_path, volume), patient_mask(volume)
    reader = BodiesReader(tmp_path, shape)
    bodies.put(1, expected[1])
    bodies.complete(SliceAssessment(2, (0.0, 0.0, 10.0), 0.4, 2.5))  # of a model that gives no masks
    bodies.complete(SliceAssessment(0, (0.0, 0.0, 0.0), 0.0, refusal=Refusal("no-body", "Nothing there.")))
    assert expected[1].any() and np.array_equal(reader.get(1), expected[1])
    assert np.array_equal(reader.get(2), expected[2])
    assert not reader.get(0).any() and reader.get(0).shape == shape[1:]


def test_masks_of_another_volume_are_refused(tmp_path):
    Bodies(tmp_path, disc())
    with pytest.raises(ExchangeError):
        BodiesReader(tmp_path, disc(80).canonical_slices().hu.shape)
    with pytest.raises(ExchangeError):
        BodiesReader(tmp_path / "nowhere", (3, 53, 61))
