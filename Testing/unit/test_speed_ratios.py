"""``make bench``: if these fail, a slow version passes, or the peer that it is compared with is not that peer."""

from __future__ import annotations

import torch

from Testing.benchmarks.peers import SwinTOfMonai, peers
from Testing.benchmarks.speed import dropped


def test_a_ratio_that_drops_by_more_than_fifteen_percent_is_told():
    kept = {"speed over LDCTIQA": 5.0, "share of the roof": 0.5}
    assert dropped({"speed over LDCTIQA": 4.3, "share of the roof": 0.6}, kept) == []
    (line,) = dropped({"speed over LDCTIQA": 4.2, "share of the roof": 0.43}, kept)
    assert line == "speed over LDCTIQA: 4.20, it was 5.00"
    assert len(dropped({}, kept)) == 2


def test_the_peer_is_swin_t_with_four_heads():
    """27 519 354 parameters are those of torchvision's Swin-T without its classifier."""
    network = SwinTOfMonai().eval()
    assert sum(one.numel() for one in network.parameters()) == 27_519_354 + 4 * (768 * 21 + 21)
    with torch.inference_mode():
        found = network(torch.rand(1, 1, 64, 96))
    assert found.shape == (1, 21) and abs(float(found.sum()) - 1) < 1e-5
    assert {"LDCTIQA", "ResNet-18", "TFKT V2"} <= set(peers())
