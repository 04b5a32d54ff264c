"""If these fail, a run that was stopped, or shared by several processes, ends with other weights than one in one go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("accelerate")

from safetensors.torch import load_file
from torch import nn

from Training.loop import Diverged, Loop, RunError

STEPS, BATCH = 6, 4


def train(run: Path, until: int = STEPS, **recipe) -> nn.Module:
    """Regression with a normalisation, whose buffers the averaged network must have as well."""
    loop = Loop(run, {"name": "line", **recipe}, seed=3, log_every=2, save_every=100)
    network, averaged = loop.with_average(lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1)))
    network[0].eval()  # statistics of the whole batch are not known to a process that has a share of it
    optimiser = torch.optim.AdamW([{"params": list(network.parameters()), "factor": 0.5}])
    loop.keep(network=network, averaged=averaged, optimiser=optimiser)
    loop.resume()

    def one_step(step: int) -> dict[str, float]:
        x = torch.randn(BATCH, 3, generator=torch.Generator().manual_seed(step))[loop.rank :: loop.world]
        loss = (network(x) - x.sum(dim=1, keepdim=True)).square().mean()
        loop.update(network, optimiser, loss, rate=0.1)
        network[0].running_mean += 1
        loop.average(averaged, network, 0.5)
        return {"loss": float(loss.detach())}

    loop.run(one_step, until)
    loop.save_weights("weights", averaged)
    assert [int(x) for x in loop.gather(list(range(7))[loop.rank :: loop.world])] == list(range(7))
    return averaged


def test_a_stopped_run_goes_on_and_ends_with_the_same_weights(tmp_path):
    whole = train(tmp_path / "whole").state_dict()
    train(tmp_path / "stopped", until=3)
    resumed = train(tmp_path / "stopped").state_dict()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    assert whole["0.running_mean"].tolist() == [STEPS] * 3
    log = [json.loads(line) for line in (tmp_path / "stopped" / "log.jsonl").read_text().splitlines()]
    assert [line.get("begin", line.get("step")) for line in log] == [0, 2, 3, 3, 4, 6]
    assert sorted(p.name for p in (tmp_path / "stopped").iterdir()) == [
        *("checkpoint.pt", "log.jsonl", "recipe.json", "weights.safetensors")
    ]


def test_two_processes_take_the_same_steps_as_one(tmp_path):
    alone = train(tmp_path / "one").state_dict()
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", __file__, str(tmp_path / "two")],
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    together = load_file(tmp_path / "two" / "weights.safetensors")
    for key in alone:
        torch.testing.assert_close(together[key], alone[key], rtol=1e-5, atol=1e-6)
    assert '"processes": 2' in (tmp_path / "two" / "log.jsonl").read_text()


def test_a_folder_of_another_recipe_is_left_alone(tmp_path):
    train(tmp_path, until=2)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with pytest.raises(RunError, match="another recipe") as refused:
        train(tmp_path, rate=2)
    assert refused.value.advice and str(tmp_path) not in str(refused.value)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_loss_that_is_no_number_ends_the_run_before_it_spoils_the_weights(tmp_path):
    loop = Loop(tmp_path, {}, seed=1)
    network = nn.Linear(1, 1)
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    before = network.weight.clone()
    with pytest.raises(Diverged, match="step 0"):
        loop.update(network, optimiser, network(torch.tensor([[float("inf")]])).sum() * 0, rate=1.0)
    assert torch.equal(network.weight, before)


if __name__ == "__main__":
    train(Path(sys.argv[1]))
