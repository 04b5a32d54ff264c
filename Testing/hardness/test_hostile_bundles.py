"""Bundles from anywhere: truncated, swapped, malicious. If these fail, a download takes the computer or the last model.

What a changed byte, a missing file, a pickle beside the weights, an unknown network and wrong metadata do is held by
``Testing/unit/models/test_bundles.py``.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import time
from pathlib import Path

import pytest
from CTQualityAssessmentLib.models import load_bundle, load_denoiser
from CTQualityAssessmentLib.models.claims import no_larger_than
from CTQualityAssessmentLib.models.errors import BundleError, DamagedBundle, UnsafeBundle
from CTQualityAssessmentLib.models.store import add_bundle

from Testing.bundle_factory import write_bundle
from Testing.denoiser_factory import write_denoiser

WEIGHTS = Path("models") / "model.safetensors"
METADATA = Path("configs") / "metadata.json"


@pytest.fixture
def bundle(tmp_path):
    return write_bundle(tmp_path / "tiny")


def edit(bundle, **changes):
    metadata = json.loads((bundle / METADATA).read_text())
    metadata["ctqa"].update(changes)
    (bundle / METADATA).write_text(json.dumps(metadata))


def put(bundle, content):
    (bundle / WEIGHTS).write_bytes(content)
    edit(bundle, sha256=hashlib.sha256(content).hexdigest())


class Bomb:
    def __reduce__(self):
        return (os.system, ("touch opened",))


def nested(bundle):
    (bundle / METADATA).write_text('{"ctqa":' * 100_000)


def pipe(bundle):
    (bundle / WEIGHTS).unlink()
    os.mkfifo(bundle / WEIGHTS)


def pipe_of_metadata(bundle):
    (bundle / METADATA).unlink()
    os.mkfifo(bundle / METADATA)


def endless(bundle):
    (bundle / WEIGHTS).unlink()
    (bundle / WEIGHTS).symlink_to("/dev/zero")


def sparse(bundle):
    with (bundle / WEIGHTS).open("r+b") as file:
        file.truncate(2**40)


def long_metadata(bundle):
    with (bundle / METADATA).open("r+b") as file:
        file.truncate(2**35)


def pickled(bundle):
    put(bundle, pickle.dumps(Bomb()))


def torch_file(bundle):
    import torch

    torch.save({"weights": Bomb()}, bundle / WEIGHTS)
    put(bundle, (bundle / WEIGHTS).read_bytes())


def long_header(bundle):
    """Eight bytes that claim a header of exabytes."""
    put(bundle, (2**62).to_bytes(8, "little") + b"{}")


def overlapping(bundle):
    header = b'{"gamma":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,16]}}'
    put(bundle, len(header).to_bytes(8, "little") + header + bytes(16))


def wide(bundle):
    edit(bundle, network_config={"embed_dim": 32_768})


def deep(bundle):
    edit(bundle, network_config={"depths": [10**9, 2, 2, 2]})


def of_another(bundle):
    """The weights of another bundle, whole and with their own checksum."""
    other = write_denoiser(bundle.parent / "other")
    put(bundle, (other / WEIGHTS).read_bytes())


def expression(bundle):
    edit(bundle, network_config={"embed_dim": "$import os; os.system('touch opened')"})


def reference(bundle):
    edit(bundle, network_config={"_target_": "os.system", "command": "touch opened"})


def of_nan(bundle):
    edit(bundle, input_size=float("nan"))


HARMS = (
    nested,
    pipe,
    pipe_of_metadata,
    endless,
    sparse,
    long_metadata,
    pickled,
    torch_file,
    long_header,
    overlapping,
    wide,
    deep,
    of_another,
    expression,
    reference,
    of_nan,
)


@pytest.mark.skipif(os.name != "posix", reason="pipes and sparse files of a POSIX system")
@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_a_hostile_bundle_is_refused_and_the_others_go_on(bundle, tmp_path, monkeypatch, harm):
    """No wait, no flood of memory, nothing executed; the models that were installed are as they were."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CTQA_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    good = tmp_path / "good"
    shutil.copytree(bundle, good)
    harm(bundle)
    begun = time.process_time()
    with pytest.raises(BundleError):
        load_bundle(bundle, "cpu")
    assert time.process_time() - begun < 10
    with pytest.raises(BundleError):
        add_bundle(bundle)
    assert not (tmp_path / "opened").exists() and not list((tmp_path / "data").rglob("*.safetensors"))
    assert load_bundle("good", "cpu").network is not None


def test_weights_cut_anywhere_are_refused(bundle):
    content = (bundle / WEIGHTS).read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1):
        (bundle / WEIGHTS).write_bytes(content[:length])
        with pytest.raises(DamagedBundle):
            load_bundle(bundle, "cpu")
        put(bundle, content[:length])  # and with a checksum to match
        with pytest.raises(DamagedBundle):
            load_bundle(bundle, "cpu")


def test_expressions_of_the_other_configurations_are_never_evaluated(bundle, tmp_path, monkeypatch):
    """MONAI runs what begins with a dollar sign; this program reads the metadata and nothing else."""
    monkeypatch.chdir(tmp_path)
    for name in ("inference.json", "train.json"):
        text = json.dumps({"initialize": "$__import__('os').system('touch opened')", "run": ["$@initialize"]})
        (bundle / "configs" / name).write_text(text)
    assert load_bundle(bundle, "cpu").network is not None
    assert not (tmp_path / "opened").exists()


def test_a_denoiser_that_is_larger_than_its_weights_is_refused(tmp_path):
    bundle = write_denoiser(tmp_path / "tiny")
    edit(bundle, network_config={"channels": [4096, 4096], "blocks": [500, 500]})
    with pytest.raises(DamagedBundle):
        load_denoiser(bundle, "cpu")


def test_a_link_in_a_bundle_is_not_installed(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (bundle / "docs").symlink_to("/etc")
    with pytest.raises(UnsafeBundle, match="link"):
        add_bundle(bundle)


def test_networks_of_other_threads_are_not_counted():
    """A window may load a denoiser while a scorer is being built."""
    import threading

    import torch

    with no_larger_than({"a": torch.zeros(4)}, {}):
        thread = threading.Thread(target=lambda: torch.nn.Linear(100, 100))
        thread.start()
        thread.join()
        torch.nn.Linear(2, 2, bias=False)
        with pytest.raises(ValueError, match="larger"):
            torch.nn.Linear(3, 3)
