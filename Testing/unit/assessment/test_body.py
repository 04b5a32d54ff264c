"""If these fail, tables are scored, patients are refused, or the quality band misses the skin."""

from __future__ import annotations

import numpy as np
from CTQualityAssessmentLib.assessment import body_mask

SPACING = (0.8, 0.8)


def scene(size: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """An ellipse of tissue with lungs, above a thin table; the HU and the true body."""
    axis = np.arange(size) - size / 2
    body = (axis[:, None] / 130) ** 2 + (axis / 190) ** 2 < 1
    hu = np.where(body, 40.0, -1000.0)
    for side in (-80, 80):
        hu[((axis[:, None] + 10) / 70) ** 2 + ((axis - side) / 50) ** 2 < 1] = -850
    hu[420:424, 60:450] = 200  # table top, 3 mm
    return hu, body


def test_lungs_are_inside_and_the_table_is_outside():
    hu, body = scene()
    mask = body_mask(hu, SPACING)
    overlap = (mask & body).sum() / (mask | body).sum()
    assert overlap > 0.97 and not mask[415:430].any()


def test_a_stack_is_its_slices_and_air_has_no_body():
    hu, _ = scene(256)
    stack = np.stack([hu, np.full_like(hu, -1000)])
    masks = body_mask(stack, SPACING)
    assert np.array_equal(masks[0], body_mask(hu, SPACING)) and not masks[1].any()


def test_a_patient_wider_than_the_field_of_view_keeps_the_lungs():
    hu, body = scene()
    cut = hu[:, 130:390]
    mask = body_mask(cut, SPACING)
    assert (mask & body[:, 130:390]).sum() / body[:, 130:390].sum() > 0.97


def test_odd_sizes_keep_their_shape():
    hu, _ = scene()
    assert body_mask(hu[3:, 5:-8], SPACING).shape == hu[3:, 5:-8].shape
