"""If these fail, a damaged or hostile bundle could be loaded, or a good one could not."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from CTQualityAssessmentLib.models import list_bundles, load_bundle, read_bundle, verify_bundle
from CTQualityAssessmentLib.models.errors import DamagedBundle, DeviceUnavailable, UnknownBundle, UnsafeBundle
from CTQualityAssessmentLib.models.novelty import NoveltyModel

from Testing.bundle_factory import write_bundle


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("CTQA_MODELS", str(tmp_path))
    return write_bundle(tmp_path / "tiny")


def edit(bundle, **changes):
    path = bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["ctqa"].update(changes)
    path.write_text(json.dumps(metadata))


def test_a_bundle_loads_by_name_and_by_folder(bundle):
    by_name, by_folder = load_bundle("tiny", "cpu"), load_bundle(bundle, "cpu")
    assert by_name.identity == by_folder.identity and not by_name.network.training
    assert "tiny" in [info.name for info in list_bundles()]
    assert not any(p.requires_grad for p in by_name.network.parameters())


def test_one_changed_byte_is_refused_at_every_load(bundle):
    load_bundle(bundle, "cpu")
    weights = bundle / "models" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DamagedBundle, match="checksum"):
        load_bundle(bundle, "cpu")


def test_a_truncated_file_and_a_missing_one_are_refused(bundle):
    weights = bundle / "models" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(DamagedBundle):
        verify_bundle(read_bundle(bundle))
    weights.unlink()
    with pytest.raises(DamagedBundle):
        load_bundle(bundle, "cpu")


def test_a_bundle_with_a_pickle_in_it_is_refused_without_opening_it(bundle):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was opened",))

    torch.save({"weights": Bomb()}, bundle / "models" / "model.pt")
    with pytest.raises(UnsafeBundle, match="run code"):
        load_bundle(bundle, "cpu")


def test_weights_that_are_no_safetensors_are_refused_even_with_a_right_checksum(bundle):
    import hashlib

    content = b"\x80\x04not safetensors" * 10
    (bundle / "models" / "model.safetensors").write_bytes(content)
    edit(bundle, sha256=hashlib.sha256(content).hexdigest())
    with pytest.raises(DamagedBundle):
        load_bundle(bundle, "cpu")


def test_a_bundle_cannot_bring_its_own_network_or_expression(bundle):
    edit(bundle, network="os.system")
    with pytest.raises(DamagedBundle, match="does not know"):
        load_bundle(bundle, "cpu")
    edit(bundle, network="clinreadnet", network_config={"embed_dim": "$__import__('os').abort()"})
    with pytest.raises(DamagedBundle):
        load_bundle(bundle, "cpu")
    edit(bundle, network_config={"evil": 1})
    with pytest.raises(DamagedBundle):
        load_bundle(bundle, "cpu")


def test_broken_metadata_names_the_bundle_and_the_way_out(bundle):
    (bundle / "configs" / "metadata.json").write_text("{")
    with pytest.raises(DamagedBundle) as refused:
        read_bundle(bundle)
    assert "tiny" in str(refused.value) and "Install" in refused.value.advice


def test_unknown_names_and_devices_are_refused(bundle):
    with pytest.raises(UnknownBundle, match="tiny"):
        load_bundle("nonsense", "cpu")
    with pytest.raises(DeviceUnavailable):
        load_bundle(bundle, "toaster")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceUnavailable):
            load_bundle(bundle, "cuda")


def test_a_bundle_of_the_same_name_in_ctqa_models_comes_first(bundle, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(bundle, other / "tiny")
    monkeypatch.setenv("CTQA_MODELS", str(other))
    assert {i.name: i.folder for i in list_bundles()}["tiny"] == other / "tiny"


def test_novelty_accepts_what_it_was_fitted_on_and_refuses_what_lies_elsewhere():
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(6, 40, generator=generator)
    training = torch.randn(500, 6, generator=generator) @ basis + 0.1 * torch.randn(500, 40, generator=generator)
    model = NoveltyModel.fit(training, components=6)
    again = NoveltyModel(**model.tensors())
    assert (model(training) > 1).float().mean() < 0.02
    assert torch.equal(model(training), again(training))
    off_plane = training[:50] + 3 * torch.randn(50, 40, generator=generator)
    assert (model(off_plane) > 1).all() and (model(training[:50] * 8) > 1).float().mean() > 0.9
