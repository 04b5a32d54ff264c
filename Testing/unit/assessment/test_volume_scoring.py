"""If these fail, scores sit on the wrong slice, depend on chance, or appear where nothing can be judged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from CTQualityAssessmentLib.assessment import assess_volume, summarise
from CTQualityAssessmentLib.models import load_bundle
from CTQualityAssessmentLib.results import GRADES, VolumeAssessment, grade, snap_score
from CTQualityAssessmentLib.volume import AcquisitionFacts, SliceExposure, Volume

from Testing.bundle_factory import INPUT_SIZE, write_bundle


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_bundle(write_bundle(tmp_path_factory.mktemp("models") / "tiny"), "cpu")


def patient(slices: int = 6, size: int = INPUT_SIZE) -> np.ndarray:
    """A disc of tissue in air whose noise grows along the patient, ``(slices, size, size)`` int16 HU."""
    rng = np.random.default_rng(0)
    axis = np.linspace(-1, 1, size)
    disc = axis[:, None] ** 2 * 1.6 + axis**2 < 0.7
    hu = (
        np.where(disc, 50.0, -1000.0)
        + rng.normal(0, 1, (slices, size, size)) * np.linspace(2, 60, slices)[:, None, None]
    )
    hu[:, size // 4 : size // 2, size // 4 : size // 3] += 300 * disc[size // 4 : size // 2, size // 4 : size // 3]
    return hu.astype(np.int16)


def volume_of(hu: np.ndarray, **changes) -> Volume:
    lps = np.array([[-5.0, 0, 0, 100], [0, -5, 0, 80], [0, 0, 5, -30], [0, 0, 0, 1]])
    return Volume(hu, lps, facts=AcquisitionFacts(modality="CT"), **changes)


def test_every_slice_gets_a_score_with_its_distribution(model):
    result = assess_volume(volume_of(patient()), model)
    assert [s.index for s in result.slices] == list(range(6)) and not result.partial
    for one in result.slices:
        assert 0 <= one.score <= 4 and one.snapped == snap_score(one.score) and one.grade in dict(GRADES)
        assert sum(one.distribution) == pytest.approx(1, abs=1e-5) and len(one.distribution) == 21
        assert one.score == pytest.approx(np.dot(one.distribution, np.arange(21) / 5), abs=1e-4)
        assert one.sd >= 0 and 0 <= one.entropy <= np.log2(21) + 1e-6
    assert result.model.statement and result.versions["torch"] == torch.__version__


def test_the_json_form_is_complete_and_reads_back(model):
    result = assess_volume(volume_of(patient()), model)
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert VolumeAssessment.from_dict(json.loads(text)) == replace(result, attention=())


def test_dose_of_the_headers_stays_with_its_slice(model):
    """A score beside the dose of another slice would blame the wrong one; refused slices keep theirs too."""
    hu = patient()
    hu[2] = -1000
    exposures = tuple(SliceExposure(100.0 + k, None, 5.0 + k) for k in range(6))
    result = assess_volume(volume_of(hu, exposures=exposures), model)
    assert [one.tube_current_ma for one in result.slices] == [100.0 + k for k in range(6)]
    assert [one.ctdivol_mgy for one in result.slices] == [5.0 + k for k in range(6)]
    assert result.slices[2].refusal and all(one.exposure_mas is None for one in result.slices)


def test_batch_size_threads_and_repetition_do_not_change_scores(model):
    volume = volume_of(patient())
    first = assess_volume(volume, model, batch_size=1).scores()
    assert np.array_equal(first, assess_volume(volume, model, batch_size=1).scores())
    assert np.abs(first - assess_volume(volume, model, batch_size=5).scores()).max() < 1e-4
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        assert np.abs(first - assess_volume(volume, model, batch_size=1).scores()).max() < 1e-4
    finally:
        torch.set_num_threads(threads)


def test_storage_order_does_not_change_what_is_read(model):
    """The same anatomy stored flipped or with other axes first gets the same scores, slice by slice."""
    volume = volume_of(patient())
    expected = assess_volume(volume, model).scores()
    matrix = volume.ijk_to_ras.copy()
    matrix[:, 3] += matrix[:, 0] * (volume.hu.shape[2] - 1)
    matrix[:, 0] *= -1
    flipped = replace(volume, hu=volume.hu[:, :, ::-1], ijk_to_ras=matrix)
    assert np.allclose(assess_volume(flipped, model).scores(), expected, atol=1e-5)
    sagittal_first = replace(
        volume, hu=volume.hu.transpose(2, 1, 0), ijk_to_ras=volume.ijk_to_ras[:, [2, 1, 0, 3]], acquisition_axis=0
    )
    assert np.allclose(assess_volume(sagittal_first, model).scores(), expected, atol=1e-5)


def test_attention_grids_cover_the_slices_they_belong_to(model):
    volume = volume_of(patient())
    result = assess_volume(volume, model, attention_stages=(1, 3))
    assert {(m.stage, m.name) for m in result.attention} == {(s, t) for s in (1, 3) for t in ("scan", "read", "focus")}
    slices = volume.canonical_slices()
    for one in result.attention:
        n, rows, columns = one.values.shape
        assert n == 6 and rows == columns == INPUT_SIZE // (4 * 2 ** (one.stage - 1))
        for corner in ((-0.5, -0.5), (columns - 0.5, rows - 0.5)):  # outer corners of coarse and fine grid coincide
            fine = [(c + 0.5) * INPUT_SIZE / columns - 0.5 for c in corner]
            assert np.allclose(one.ijk_to_ras @ [*corner, 2, 1], slices.ijk_to_ras @ [*fine, 2, 1])
        assert np.isfinite(one.values).all() and one.values.mean() == pytest.approx(1, abs=0.05)
    assert np.allclose(result.scores(), assess_volume(volume, model).scores(), atol=1e-5)


def test_slices_without_a_patient_are_refused_with_the_reason(model):
    hu = patient()
    hu[0] = -1000
    hu[1] = -1024
    hu[1, 30:34, 30:34] = 40
    result = assess_volume(volume_of(hu), model, attention_stages=(4,))
    assert [s.refusal.code if s.refusal else None for s in result.slices[:3]] == ["no-body", "no-body", None]
    assert np.isnan(result.scores()[:2]).all() and result.summary.scored == 4 and result.summary.refused == 2
    assert np.isnan(result.attention[0].values[0]).all() and np.isfinite(result.attention[0].values[2]).all()


def test_other_modalities_and_other_units_get_no_score(model):
    volume = volume_of(patient())
    mr = replace(volume, facts=AcquisitionFacts(modality="MR"))
    assert {s.refusal.code for s in assess_volume(mr, model).slices} == {"not-ct"}
    counts = replace(volume, hu=(volume.hu.astype(np.int32) + 2000).astype(np.int16))
    assert {s.refusal.code for s in assess_volume(counts, model).slices} == {"not-ct"}
    mostly_background = replace(volume, hu=np.maximum(volume.hu, -1000) + np.int16(1000))
    assert {s.refusal.code for s in assess_volume(mostly_background, model).slices} == {"not-ct"}


def test_novel_slices_are_refused_not_scored(model):
    class Far:
        def __call__(self, features):
            return torch.linspace(0.5, 1.5, len(features))

    volume, far = volume_of(patient(2)), replace(model, novelty=Far())
    result = assess_volume(volume, far, batch_size=2, attention_stages=(4,))
    assert result.slices[0].score is not None and result.slices[0].novelty == 0.5
    assert result.slices[1].refusal.code == "out-of-distribution" and result.slices[1].novelty == 1.5
    assert np.isnan(result.attention[0].values[1]).all()


def test_cancel_keeps_what_is_there_and_says_so(model):
    done = []
    result = assess_volume(
        volume_of(patient()),
        model,
        batch_size=2,
        progress=lambda i, n, text: done.append(i),
        cancelled=lambda: bool(done) and done[-1] >= 2,
    )
    assert result.partial and result.summary.scored == 2 and done == [0, 2]
    assert {s.refusal.code for s in result.slices[2:]} == {"not-run"}


def test_another_matrix_is_resampled_with_a_warning_and_maps_still_fit(model):
    volume = volume_of(patient(2, 96))
    result = assess_volume(volume, model, attention_stages=(2,))
    assert any("resampled" in w for w in result.warnings) and result.summary.scored == 2
    one = result.attention[0]
    rows, columns = one.values.shape[1:]
    fine = volume.canonical_slices().ijk_to_ras
    assert np.allclose(one.ijk_to_ras @ [columns - 0.5, rows - 0.5, 0, 1], fine @ [95.5, 95.5, 0, 1])


def test_wrong_arguments_are_refused(model):
    with pytest.raises(ValueError, match="batch_size"):
        assess_volume(volume_of(patient(1)), model, batch_size=0)
    with pytest.raises(ValueError, match="attention"):
        assess_volume(volume_of(patient(1)), model, attention_stages=(5,))


def test_the_summary_is_the_arithmetic_of_its_slices(model):
    slices = assess_volume(volume_of(patient(5)), model).slices
    made = [replace(s, score=float(v)) for s, v in zip(slices, (3.0, 1.0, 2.5, 0.5, 4.0), strict=True)]
    summary = summarise(made)
    assert summary.mean == pytest.approx(2.2) and summary.median == 2.5 and summary.percentile_10 == pytest.approx(0.7)
    assert summary.worst == (3, 1, 2, 0, 4) and summary.best == 4 and summary.median_slice == 2
    assert summary.share_below_fair == pytest.approx(0.4) and summary.scored_range_mm == pytest.approx(20.0)
    assert summary.grade == grade(2.2)[0] == "Fair"


def test_slices_are_told_as_they_come_in_the_order_of_the_volume(model):
    """The live table of a window is the final table: same slices, same numbers, nothing left out when cancelled."""
    hu = patient()
    hu[2] = -1000
    told, done = [], []
    result = assess_volume(volume_of(hu), model, batch_size=2, on_slice=told.append)
    assert tuple(told) == result.slices and told[2].refusal is not None
    partial = assess_volume(volume_of(hu), model, batch_size=2, on_slice=done.append, cancelled=lambda: len(done) >= 2)
    assert tuple(done) == partial.slices[:2] and partial.partial


def test_maps_fit_slices_whose_shorter_side_is_no_whole_number_of_network_pixels(model):
    """97 x 67 pixels are read as 64 x 44: both edges of the map must still lie on the edges of the slice."""
    volume = volume_of(patient(1, 97)[:, :, 15:82])
    one = assess_volume(volume, model, attention_stages=(1,)).attention[0]
    rows, columns = one.values.shape[1:]
    assert (rows, columns) == (16, 11)
    fine = volume.canonical_slices().ijk_to_ras
    assert np.allclose(one.ijk_to_ras @ [columns - 0.5, rows - 0.5, 0, 1], fine @ [66.5, 96.5, 0, 1])


def test_a_preview_shows_the_whole_curve_first_and_changes_no_score(model):
    """Who waits a minute for 300 slices sees after a few seconds where the volume is bad."""
    volume, told, done = volume_of(patient(40)), [], []
    plain = assess_volume(volume, model, attention_stages=(4,))
    result = assess_volume(volume, model, attention_stages=(4,), on_slice=told.append, preview=True)
    indices = [one.index for one in told]
    assert sorted(indices) == list(range(40)) and indices[:20] == list(range(0, 40, 2))
    assert result.slices == plain.slices and np.array_equal(result.attention[0].values, plain.attention[0].values)
    partial = assess_volume(volume, model, on_slice=done.append, cancelled=lambda: len(done) >= 3, preview=True)
    assert [one.index for one in partial.slices if one.score is not None] == [0, 2, 4] and partial.partial
