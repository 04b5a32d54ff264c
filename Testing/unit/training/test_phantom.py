"""The phantom: tissues with the HU they should have, one connected patient, another one for every seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from Training.phantom import Phantom, Tissue, abdomen_phantom

#: Widest range of the mean HU of a tissue over the contrast phases, with room for partial volume at 3 mm pixels.
_HU_RANGE = {
    Tissue.SUBCUTANEOUS_FAT: (-115, -80),
    Tissue.VISCERAL_FAT: (-115, -70),
    Tissue.MUSCLE: (30, 70),
    Tissue.TRABECULAR_BONE: (130, 480),
    Tissue.CORTICAL_BONE: (250, 1200),
    Tissue.LUNG: (-900, -780),
    Tissue.LIVER: (50, 125),
    Tissue.SPLEEN: (35, 135),
    Tissue.KIDNEY_CORTEX: (25, 200),
    Tissue.AORTA: (35, 300),
    Tissue.BOWEL_GAS: (-1000, -700),
    Tissue.AIR: (-1001, -950),
}


def small(seed: int, **options: float) -> Phantom:
    return abdomen_phantom(seed, **{"slices": 6, "size": 128, "spacing_mm": 3.0, **options})


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return small(4)


@pytest.fixture(scope="module")
def patients() -> list[Phantom]:
    return [small(seed, slices=3, thickness_mm=1.0) for seed in range(8)]


def test_shapes_types_and_spacing(phantom):
    assert phantom.hu.shape == phantom.labels.shape == (6, 128, 128)
    assert phantom.hu.dtype == np.float32 and phantom.labels.dtype == np.uint8
    assert phantom.spacing_mm[:2] == (3.0, 3.0) and 225 <= 6 * phantom.spacing_mm[2] <= 250
    assert np.isfinite(phantom.hu).all() and phantom.hu.min() >= -1024 and phantom.hu.max() <= 1500


@pytest.mark.parametrize("tissue", _HU_RANGE)
def test_tissues_have_their_hu(phantom, tissue):
    """A wrong HU would put the simulated noise, and so every surrogate label, at the wrong contrast."""
    inside = phantom.labels == tissue
    assert inside.sum() > 40, f"hardly any {tissue.name} in the phantom"
    low, high = _HU_RANGE[tissue]
    assert low < phantom.hu[inside].mean() < high


def test_the_aorta_enhances_as_the_phase_says(patients):
    """Contrast medium must follow the phase: an enhanced aorta in an unenhanced liver would be no CT."""
    expected = {"native": (30, 60), "arterial": (220, 310), "portal": (120, 200), "excretory": (90, 140)}
    assert len({p.phase for p in patients}) >= 2
    for phantom in patients:
        low, high = expected[phantom.phase]
        aorta = phantom.labels[1] == Tissue.AORTA
        assert low < np.median(phantom.hu[1][aorta]) < high


def test_same_seed_same_patient(phantom):
    again = small(4)
    assert np.array_equal(again.hu, phantom.hu) and np.array_equal(again.labels, phantom.labels)


def test_seeds_differ_in_size_and_content(patients):
    """Training on one body shape would teach the network that shape."""
    widths = [np.ptp(np.flatnonzero((p.labels[1] >= Tissue.SKIN).any(axis=0))) for p in patients]
    assert np.ptp(widths) * 3.0 > 15
    for i, one in enumerate(patients):
        for other in patients[:i]:
            assert np.abs(one.hu[1] - other.hu[1]).mean() > 10


def test_neighbouring_slices_belong_together():
    """Slices of different patients under one series would make every volume measure meaningless."""
    thin = small(9, slices=4, increment_mm=2.5, thickness_mm=2.5)
    far = small(9, slices=2, increment_mm=100.0, thickness_mm=2.5)

    def agreement(a: np.ndarray, b: np.ndarray) -> float:
        body = (a >= Tissue.SKIN) | (b >= Tissue.SKIN)
        return float((a == b)[body].mean())

    near = [agreement(a, b) for a, b in zip(thin.labels[:-1], thin.labels[1:], strict=True)]
    assert min(near) > 0.8
    assert agreement(*far.labels) < min(near) - 0.15


def test_sampling_does_not_change_the_patient():
    """The same seed on another grid is the same anatomy, so a fine and a coarse set can be compared."""
    fine, coarse = small(5, slices=1, size=192, spacing_mm=2.0), small(5, slices=3)
    shrunk = ndimage.zoom(fine.hu[0], 2 / 3, order=1, grid_mode=True, mode="nearest")
    assert np.corrcoef(shrunk.ravel(), coarse.hu[1].ravel())[0, 1] > 0.98


@pytest.mark.parametrize("seed", [1, 6, 13])
def test_body_is_one_piece_inside_the_field_of_view(seed):
    """A truncated body would give truncation artefacts that no label accounts for."""
    phantom = small(seed)
    for labels in phantom.labels:
        body = labels >= Tissue.SKIN
        filled = ndimage.binary_fill_holes(body)
        _, pieces = ndimage.label(filled)
        assert pieces == 1
        assert not (filled[0].any() or filled[-1].any() or filled[:, 0].any() or filled[:, -1].any())


def test_organs_lie_where_they_belong(phantom):
    """Liver on the patient's right (image left), spleen left, spine behind, lungs above, crests below."""
    k, j, i = np.indices(phantom.labels.shape)
    middle = (phantom.labels.shape[2] - 1) / 2
    assert i[phantom.labels == Tissue.LIVER].mean() < middle - 10
    assert i[phantom.labels == Tissue.SPLEEN].mean() > middle + 10
    assert j[phantom.labels == Tissue.SPINAL_CANAL].mean() > j[phantom.labels == Tissue.AORTA].mean() + 10
    assert k[phantom.labels == Tissue.LUNG].min() >= 3
    assert k[phantom.labels == Tissue.LIVER].mean() > 2.5


def test_a_field_of_view_too_small_for_a_patient_is_refused():
    with pytest.raises(ValueError, match="field of view"):
        abdomen_phantom(0, slices=1, size=128)
    with pytest.raises(ValueError, match="positive"):
        abdomen_phantom(0, slices=0)
