"""A network that gives a score and no distribution goes the whole way: engine, files, pages.

If these fail, TFKT ends in an error, or doubt and attention are shown that it never had.
"""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
import torch
from CTQualityAssessmentLib.assessment import assess_volume
from CTQualityAssessmentLib.models import load_bundle
from CTQualityAssessmentLib.models.novelty import NoveltyModel
from CTQualityAssessmentLib.reporting.csv_file import write_csv
from CTQualityAssessmentLib.reporting.figures import write_figures
from CTQualityAssessmentLib.reporting.json_file import assessment_schema, to_json
from CTQualityAssessmentLib.reporting.web_page import write_web_page
from CTQualityAssessmentLib.results import VolumeAssessment, map_of_title
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from CTQualityAssessmentLib.worker.exchange import read_result, write_result

from Testing.bundle_factory import INPUT_SIZE, write_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_bundle(write_bundle(tmp_path_factory.mktemp("models") / "tiny-tfkt", "tfkt"), "cpu")


@pytest.fixture(scope="module")
def volume():
    return patient()


@pytest.fixture(scope="module")
def found(model, volume):
    return assess_volume(volume, model, attention_stages=(3,))


def patient(size: int = INPUT_SIZE, slices: int = 4) -> Volume:
    rng = np.random.default_rng(0)
    axis = np.linspace(-1, 1, size)
    hu = np.where(axis[:, None] ** 2 * 1.6 + axis**2 < 0.7, 50.0, -1000.0) + rng.normal(0, 20, (slices, size, size))
    affine = np.array([[-5.0, 0, 0, 100], [0, -5, 0, 80], [0, 0, 5, -30], [0, 0, 0, 1]])
    return Volume(hu.astype(np.int16), affine, facts=AcquisitionFacts(modality="CT"))


def test_slices_have_a_score_and_claim_no_doubt(found):
    for one in found.slices:
        assert 0 <= one.score <= 4 and one.grade and one.refusal is None
        assert one.distribution == () and one.sd is None and one.entropy is None
    document = json.loads(to_json(found))
    jsonschema.Draft202012Validator(assessment_schema()).validate(document)
    assert VolumeAssessment.from_dict(document) == replace(found, attention=())


def test_maps_are_named_for_what_they_are_and_come_through_the_worker(found, tmp_path):
    assert [one.title for one in found.attention] == ["Grad-CAM raises", "Grad-CAM lowers"]
    assert [map_of_title(one.title) for one in found.attention] == [
        ("grad-cam", "raises", None),
        ("grad-cam", "lowers", None),
    ]
    write_result(tmp_path, found)
    for sent, received in zip(found.attention, read_result(tmp_path).attention, strict=True):
        assert (received.kind, received.name, received.stage) == (sent.kind, sent.name, None)
        np.testing.assert_array_equal(received.values, sent.values)
        np.testing.assert_array_equal(received.ijk_to_ras, sent.ijk_to_ras)


@pytest.mark.parametrize("size", [INPUT_SIZE, 2 * INPUT_SIZE])
def test_cells_lie_on_the_pixels_that_their_convolutions_are_centred_on(model, size):
    """A map shifted by half a cell, 16 pixels of the real network, would point beside the anatomy."""
    volume = patient(size, 1)
    one = assess_volume(volume, model, attention_stages=(1,)).attention[0]
    fine, ratio, stride = volume.canonical_slices().ijk_to_ras, size / INPUT_SIZE, model.network.stride
    assert stride == 8 and one.values.shape[1:] == (INPUT_SIZE // stride,) * 2
    for column, row in ((0, 0), (3, 5)):
        pixel = [(stride * n + 0.5) * ratio - 0.5 for n in (column, row)]
        np.testing.assert_allclose(one.ijk_to_ras @ [column, row, 0, 1], fine @ [*pixel, 0, 1])


def test_maps_are_made_only_when_asked_for_and_leave_the_scores_alone(model, volume, found):
    plain = assess_volume(volume, model)
    assert plain.attention == ()
    np.testing.assert_allclose(plain.scores(), found.scores(), atol=1e-5)
    batched = assess_volume(volume, model, batch_size=3, attention_stages=(3,))
    np.testing.assert_allclose(batched.attention[1].values, found.attention[1].values, rtol=1e-3, atol=1e-4)


def test_a_slice_unlike_the_training_data_is_refused(model, volume):
    features = 100 + torch.randn(50, 16)
    strict = replace(model, novelty=NoveltyModel.fit(features, components=4))
    refused = assess_volume(volume, strict, attention_stages=(3,))
    assert {one.refusal.code for one in refused.slices} == {"out-of-distribution"}
    assert np.isnan(refused.attention[0].values).all()


def test_pages_and_tables_do_without_a_standard_deviation(found, volume, tmp_path):
    write_csv(tmp_path / "slices.csv", found)
    rows = (tmp_path / "slices.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 5 and "nan" not in "".join(rows).lower() and "None" not in "".join(rows)
    write_web_page(tmp_path / "index.html", found, volume=volume)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "grey band" not in page and "standard deviation" not in page
    assert "what raised or lowered the score, not where a defect is" in page and ">lowered the score<" in page
    write_figures(tmp_path / "figures.png", volume, found)
    assert (tmp_path / "figures.png").stat().st_size > 10_000
