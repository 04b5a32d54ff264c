"""If these fail, a head, a phantom, a photograph or a coronal reformat is scored as if it were a trunk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment import assess_volume
from CTQualityAssessmentLib.assessment.scope import is_axial, unlike_a_trunk
from CTQualityAssessmentLib.assessment.slices import prepare_slice
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, load_bundle, read_bundle
from CTQualityAssessmentLib.models.errors import DamagedBundle
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume

from Testing.bundle_factory import write_bundle
from Training.accuracy.strangers import _heads, _photographs

SAMPLE = Path(__file__).parents[3] / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"


def within(hu: np.ndarray) -> str | None:
    volume = Volume(hu[None].astype(np.float32), np.diag([-0.8, -0.8, 1.0, 1.0]), 2, AcquisitionFacts())
    prepared = prepare_slice(volume, volume.canonical_slices(), 0)
    return "refused before" if prepared.body is None else unlike_a_trunk(prepared.hu, prepared.body)


def rings(*tissues: tuple[float, float], noise: float = 30.0) -> np.ndarray:
    """Discs in each other of (share of the radius, HU), in air."""
    y, x = np.mgrid[-1:1:512j, -1:1:512j]
    hu = np.full((512, 512), -1000.0)
    for share, value in tissues:
        hu[np.hypot(x, y) < 0.8 * share] = value
    return hu + np.random.default_rng(0).normal(0, noise, hu.shape)


TRUNK = ((1, -90), (0.85, 50), (0.5, -800), (0.3, 130), (0.15, 600))


def test_every_slice_of_the_sample_is_a_trunk_at_any_noise():
    slices = read_volume(SAMPLE).canonical_slices()
    volume = Volume(slices.hu, slices.ijk_to_ras, 2, AcquisitionFacts())
    for index in range(0, len(slices.hu), 4):
        prepared = prepare_slice(volume, slices, index)
        for sd in (0, 60):
            noise = np.random.default_rng(index).normal(0, sd, prepared.hu.shape)
            assert unlike_a_trunk(prepared.hu + noise, prepared.body) is None, (index, sd)


@pytest.mark.parametrize(
    ("tissues", "what"),
    [
        (TRUNK, None),
        (((1, 1000), (0.93, 35), (0.3, 5)), "too little fat"),
        (((1, -90),), "all of one density"),
        (((1, -90), (0.4, 50)), "too much fat"),
        (((1, -90), (0.9, 1000), (0.5, 40)), "too much bone"),
        (((1, -90), (0.85, -300), (0.5, 40)), "too much between fat and lung"),
        (((1, -90), (0.9, 140), (0.4, 40)), "too much denser than soft tissue"),
        (((1, -90), (0.9, -15), (0.5, 40), (0.3, -800)), "too much between fat and water"),
    ],
)
def test_what_no_trunk_is_made_of_is_named(tissues, what):
    assert within(rings(*tissues, noise=0)) == within(rings(*tissues)) == what


def test_heads_and_most_photographs_are_no_trunks():
    assert all(within(hu) for hu in _heads(3))
    photographs = [within(hu) for hu in _photographs()]
    assert sum(one is not None for one in photographs) > len(photographs) / 2


@pytest.mark.parametrize(("degrees", "axial"), [(0, True), (30, True), (60, False), (90, False)])
def test_a_tilted_gantry_is_axial_and_a_reformat_is_not(degrees, axial):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turned = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1.0]])
    assert is_axial(turned @ np.diag([-1, -1, 3.0, 1])) is is_axial(turned) is axial


def test_a_bundle_of_trunks_refuses_each_slice_with_its_reason_and_others_do_not(tmp_path):
    trunk, head = rings(*TRUNK)[::8, ::8], rings((1, 1000), (0.93, 35))[::8, ::8]
    hu = np.stack([trunk, head, trunk]).astype(np.int16)
    coronal = np.array([[-6.0, 0, 0, 0], [0, 0, 6, 0], [0, -6, 0, 0], [0, 0, 0, 1]])
    folder = write_bundle(tmp_path / "tiny")

    def refusals(ijk_to_ras: np.ndarray) -> list[str | None]:
        found = assess_volume(Volume(hu, ijk_to_ras, 2), model)
        return [one.refusal and f"{one.refusal.code}: {one.refusal.reason}" for one in found.slices]

    model = load_bundle(folder, "cpu")
    assert refusals(np.diag([-6.0, -6, 6, 1])) == refusals(coronal) == [None] * 3
    folder = write_bundle(tmp_path / "trunks", scope="axial-trunk")
    model = load_bundle(folder, "cpu")
    first, second, third = refusals(np.diag([-6.0, -6, 6, 1]))
    assert first is third is None and second is not None
    assert second.startswith("out-of-distribution") and "too little fat" in second
    assert all("not axial" in str(one) for one in refusals(coronal))


def test_the_shipped_weights_claim_trunks_alone_and_an_unknown_scope_is_no_bundle(tmp_path):
    assert load_bundle(DEFAULT_BUNDLE, "cpu").scope == "axial-trunk"
    folder = write_bundle(tmp_path / "tiny", scope="everything")
    with pytest.raises(DamagedBundle):
        read_bundle(folder)
