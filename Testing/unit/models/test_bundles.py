"""If these fail, a damaged or hostile bundle could be loaded, or a good one could not."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from CTQualityAssessmentLib.models import installed_bundles, load_bundle, read_bundle, verify_bundle
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
    assert "tiny" in installed_bundles()
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
    with pytest.raises(DeviceUnavailable):
        load_bundle(bundle, f"cuda:{torch.cuda.device_count()}")


def test_a_bundle_of_the_same_name_in_ctqa_models_comes_first(bundle, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(bundle, other / "tiny")
    monkeypatch.setenv("CTQA_MODELS", str(other))
    assert installed_bundles()["tiny"] == other / "tiny"


def test_a_folder_in_the_working_directory_cannot_take_the_place_of_an_installed_model(bundle, tmp_path, monkeypatch):
    """Data folders come from others; one that holds "tiny" must not decide which weights score."""
    work = tmp_path / "received data"
    shutil.copytree(bundle, work / "tiny")
    edit(work / "tiny", statement="not this one")
    monkeypatch.chdir(work)
    assert load_bundle("tiny", "cpu").identity.statement == load_bundle(bundle, "cpu").identity.statement
    with pytest.raises(UnknownBundle):
        load_bundle("", "cpu")


def test_a_damaged_bundle_does_not_stop_the_others_and_cannot_take_their_name(bundle, tmp_path):
    damaged, impostor = write_bundle(tmp_path / "damaged"), write_bundle(tmp_path / "zz")
    (damaged / "configs" / "metadata.json").write_text("{")
    metadata = json.loads((impostor / "configs" / "metadata.json").read_text())
    (impostor / "configs" / "metadata.json").write_text(json.dumps({**metadata, "name": "tiny", "version": "9"}))
    assert load_bundle("tiny", "cpu").identity.version == "0.0.1"


@pytest.mark.parametrize(
    "change",
    [
        {"simulated_labels": "false"},
        {"statement": None},
        {"input_size": 0},
        {"input_size": True},
        {"input_size": 10**7},
        {"temperatures": ["scan"]},
        {"network_config": []},
    ],
    ids=str,
)
def test_metadata_of_a_wrong_type_is_refused_not_converted(bundle, change):
    """ "false" is true in Python: a conversion would turn what the weights were trained on into its opposite."""
    edit(bundle, **change)
    with pytest.raises(DamagedBundle):
        load_bundle(bundle, "cpu")


def test_weights_that_are_not_numbers_are_refused(bundle):
    import hashlib

    from safetensors.torch import load_file, save_file

    file = bundle / "models" / "model.safetensors"
    tensors = load_file(file)
    tensors["gamma"][0] = float("nan")
    save_file(tensors, file)
    edit(bundle, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(DamagedBundle):
        load_bundle(bundle, "cpu")


def test_novelty_accepts_what_it_was_fitted_on_and_refuses_what_lies_elsewhere():
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(6, 40, generator=generator)
    training = torch.randn(500, 6, generator=generator) @ basis + 0.1 * torch.randn(500, 40, generator=generator)
    model = NoveltyModel.fit(training, components=6)
    again = NoveltyModel(**model.tensors())
    assert (model(training) > 1).float().mean() < 0.02
    torch.testing.assert_close(again(training), model(training))  # another memory layout rounds otherwise
    off_plane = training[:50] + 3 * torch.randn(50, 40, generator=generator)
    assert (model(off_plane) > 1).all() and (model(training[:50] * 8) > 1).float().mean() > 0.9
