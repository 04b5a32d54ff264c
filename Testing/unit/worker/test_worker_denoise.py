"""If these fail, a window shows another volume than `ctqa denoise` writes, or half of one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment.denoising import blend, denoise_volume
from CTQualityAssessmentLib.denoising import (
    BeforeAfter,
    DenoisingReport,
    Finding,
    Findings,
    Retention,
    Strength,
    TissueBias,
)
from CTQualityAssessmentLib.models import load_denoiser
from CTQualityAssessmentLib.volume import AcquisitionFacts, Volume
from CTQualityAssessmentLib.worker.exchange import ExchangeError, read_denoised, write_volume
from CTQualityAssessmentLib.worker.protocol import BadRequestError, DenoiseRequest

from Testing.assessment_factory import MODEL
from Testing.denoiser_factory import noisy_patient, write_denoiser
from Testing.unit.worker.test_worker import host  # noqa: F401  a process for these tests as well


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_denoiser(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def volume():
    return Volume(noisy_patient(4, 96), np.diag([-3.5, -3.5, 3.0, 1.0]), 2, AcquisitionFacts(modality="CT"))


def request(tmp_path: Path, bundle: Path, id_: str, volume: Volume, **changes) -> dict:
    folder = tmp_path / id_
    folder.mkdir()
    fields = write_volume(tmp_path / f"{id_}.npy", volume) | changes
    return DenoiseRequest(id=id_, folder=str(folder), model=str(bundle), device="cpu", **fields).to_message()


def test_the_worker_denoises_as_the_library_does_and_shows_the_voxels_before_it_looks_at_them(
    host,  # noqa: F811
    bundle,
    volume,
    tmp_path,
):
    host.send(request(tmp_path, bundle, "d", volume, findings=True))
    messages = host.until_end("d")
    kinds = [m["t"] for m in messages if m["t"] != "progress"]
    assert kinds == ["denoised", "done"] and messages[-1]["partial"] is False
    found, report = read_denoised(tmp_path / "d", volume)
    assert np.array_equal(found.hu, denoise_volume(volume, load_denoiser(bundle, "cpu")).volume.hu)
    assert np.array_equal(found.ijk_to_ras, volume.ijk_to_ras) and found.facts == volume.facts
    assert report.slices_denoised == 4 and report.measures and report.bias and len(report.retention) == 3
    assert report.findings is not None and report.scores is None


def test_another_strength_is_made_of_the_first_answer(host, bundle, volume, tmp_path):  # noqa: F811
    """Moving the slider must not cost the network's time again, and must give what it would have given."""
    host.send(request(tmp_path, bundle, "first", volume, lung=0.5, guard=False, measures=False))
    host.until_end("first")
    half, first = read_denoised(tmp_path / "first", volume)
    full, _ = read_denoised(tmp_path / "first", volume, full=True)
    assert first.strength == Strength(lung=0.5) and not np.array_equal(half.hu, full.hu)
    earlier = str(tmp_path / "first")
    host.send(request(tmp_path, bundle, "again", volume, soft_tissue=0.25, earlier=earlier, guard=True, measures=False))
    messages = host.until_end("again")
    assert not any(m.get("message") == "Denoising slices" for m in messages)
    found, report = read_denoised(tmp_path / "again", volume)
    assert np.array_equal(found.hu, blend(volume, full, Strength(soft_tissue=0.25)).hu)
    assert report.strength == Strength(soft_tissue=0.25) and report.retention and first.retention == ()


def test_a_result_of_other_weights_is_not_passed_off_as_this_models(host, bundle, volume, tmp_path):  # noqa: F811
    host.send(request(tmp_path, bundle, "one", volume, guard=False, measures=False))
    host.until_end("one")
    other = write_denoiser(tmp_path / "models" / "other", seed=1)
    host.send(request(tmp_path, other, "two", volume, earlier=str(tmp_path / "one")))
    assert host.until_end("two")[-1]["kind"] == "bad-request"
    assert not any((tmp_path / "two").iterdir())


def test_cancel_leaves_the_whole_volume_or_nothing(host, bundle, tmp_path):  # noqa: F811
    """Half a denoised volume would pass for a denoised one."""
    large = Volume(noisy_patient(400, 96), np.diag([-3.5, -3.5, 3.0, 1.0]), 2)
    host.send(request(tmp_path, bundle, "c", large))
    while host.read().get("message") != "Denoising slices":
        pass
    host.send({"t": "cancel", "id": "c"})
    assert host.until_end("c")[-1]["kind"] == "cancelled"
    assert not any((tmp_path / "c").iterdir())

    small = Volume(noisy_patient(40, 96), np.diag([-3.5, -3.5, 3.0, 1.0]), 2)
    host.send(request(tmp_path, bundle, "e", small))
    while host.read()["t"] != "denoised":
        pass
    host.send({"t": "cancel", "id": "e"})
    last = host.until_end("e")[-1]
    assert (last["t"], last["partial"]) == ("done", True)
    found, report = read_denoised(tmp_path / "e", small)
    assert report.slices_denoised == 40 and found.hu.shape == small.hu.shape
    assert report.measures is None


def test_what_is_no_result_of_this_volume_is_refused(host, bundle, volume, tmp_path):  # noqa: F811
    host.send(request(tmp_path, bundle, "x", volume, guard=False, measures=False))
    host.until_end("x")
    with pytest.raises(ExchangeError):
        read_denoised(tmp_path / "x", Volume(noisy_patient(3, 96), volume.ijk_to_ras, 2))
    (tmp_path / "x" / "denoised.npy").write_bytes(b"rubbish")
    with pytest.raises(ExchangeError):
        read_denoised(tmp_path / "x", volume)
    with pytest.raises(BadRequestError):
        DenoiseRequest(id="a", folder="b", array="c", ijk_to_ras=[[1.0]], lung=1.5)


def test_a_report_survives_its_json_form():
    report = DenoisingReport(
        MODEL,
        Strength(0.5, 1.0, 0.25),
        9,
        7,
        False,
        "cpu",
        1.25,
        {"torch": "2"},
        retention=(Retention(4, 20, "soft tissue", 6, 2, 0.8, (0.7, 0.9), 0.6), Retention(8, 10, "lung")),
        measures={"noise_hu": BeforeAfter(20.0, None)},
        bias={"lung": TissueBias(-0.5, 120.0)},
        scores=BeforeAfter(2.0, 3.0),
        findings=Findings((Finding(0, 2, 1, 2, 3, 4, 0.5),), ()),
        warnings=("Look.",),
    )
    assert DenoisingReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
