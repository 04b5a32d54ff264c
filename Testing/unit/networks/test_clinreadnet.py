"""ClinReadNet: sizes, shapes, any matrix, gradients, and maps that change nothing."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F
from CTQualityAssessmentLib.networks.clinreadnet import (
    SIZES,
    ClinReadNet,
    ClinReadNetConfig,
    PatchMerging,
    clinreadnet,
)
from CTQualityAssessmentLib.networks.ordinal_scores import expected_score
from CTQualityAssessmentLib.networks.sobel_ordinal import ENERGY_STATISTICS
from monai.networks.blocks import PatchEmbed
from monai.networks.nets.swin_unetr import PatchMergingV2

TINY = ClinReadNetConfig(
    embed_dim=8, depths=(2, 2), heads=(1, 2), window=4, sobel_filters=4, edge_width=8, distribution_hidden=16
)


@pytest.fixture
def network() -> ClinReadNet:
    torch.manual_seed(11)
    network = ClinReadNet(TINY).eval()
    with torch.no_grad():  # as after some training: nothing at a value that hides a mistake
        network.gamma.normal_()
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def images(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2))


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_small_is_small_enough_to_ship():
    assert count(clinreadnet()) <= 4_000_000
    assert clinreadnet().config == SIZES["small"]


def test_base_is_swin_t_but_for_the_parts_of_its_own():
    """Swin-T has 28,288,354 parameters: published weights fit only the exact widths."""
    plain = clinreadnet(
        "base",
        window=7,
        temperatures=(1.0,),
        learn_temperatures=False,
        sobel_filters=0,
        distribution_head=False,
        fine_levels=1000,
    )
    assert count(plain) - count(plain.head.coarse) == 28_288_354
    assert clinreadnet("base").head.features == 1632 + ENERGY_STATISTICS


@pytest.mark.parametrize("size", [(100, 173), (64, 64), (16, 16), (37, 5), (1, 1), (33, 130)], ids=str)
def test_any_height_and_width(network, size):
    """CT comes in every matrix; a user's odd one must not be refused or crash."""
    out = network(images(2, 1, *size), attention_stages=(0, 1))
    assert out.fine_logits.shape == (2, 21) and out.coarse_logits.shape == (2, 5)
    assert out.features.shape == (2, network.head.features)
    for stage in (0, 1):
        grid = tuple(-(-n // (4 * 2**stage)) for n in size)
        for m in range(3):
            assert out.attention[stage, m].shape == (2, *grid)
            torch.testing.assert_close(out.attention[stage, m].mean(), torch.tensor(1.0), rtol=0, atol=1e-5)
    assert all(v.isfinite().all() for v in out[:3])


def test_shipped_sizes_take_the_challenge_matrix():
    out = clinreadnet(depths=(1, 1, 1, 1)).eval()(images(1, 1, 512, 512), attention_stages=(3,))
    assert out.fine_logits.shape == (1, 21)
    assert out.attention[3, 2].shape == (1, 16, 16)


def test_padding_to_the_patch_repeats_the_image_and_nothing_more(network):
    """The same slice with or without its last columns repeated gets the same grade."""
    image = images(1, 1, 61, 74)
    padded = F.pad(image, (0, 2, 0, 3), mode="replicate")
    torch.testing.assert_close(network(image).fine_logits, network(padded).fine_logits, rtol=0, atol=1e-6)


def test_a_slice_gets_the_same_grade_alone_and_in_a_batch(network):
    batch = images(3, 1, 52, 68)
    together = network(batch).fine_logits
    alone = torch.cat([network(image[None]).fine_logits for image in batch])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_asking_for_attention_changes_no_grade_and_not_asking_gives_none(network):
    image = images(2, 1, 60, 44)
    without = network(image)
    asked = network(image, attention_stages=(1,))
    assert without.attention == {}
    assert sorted(asked.attention) == [(1, 0), (1, 1), (1, 2)]
    assert torch.equal(without.fine_logits, asked.fine_logits)
    assert torch.equal(without.coarse_logits, asked.coarse_logits)


def test_attention_is_one_on_average_in_every_window(network):
    """1 means neutral in every window; otherwise the map would show the window grid, not the image."""
    network = ClinReadNet(ClinReadNetConfig(**{**TINY.to_dict(), "depths": (1, 1)})).eval()  # W blocks only
    attention = network(images(2, 1, 64, 96), attention_stages=(0,)).attention
    for m in range(3):
        means = F.avg_pool2d(attention[0, m], 4)
        torch.testing.assert_close(means, torch.ones_like(means), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [{}, {"temperatures": (1.0,), "learn_temperatures": False}, {"sobel_filters": 0}, {"drop_path": 0.1}],
    ids=["default", "plain attention", "no edges", "drop path"],
)
def test_gradients_reach_every_parameter_from_the_start(changes):
    """A part that never learns is a part that is not there."""
    torch.manual_seed(0)
    network = ClinReadNet(ClinReadNetConfig(**{**TINY.to_dict(), "dropout": 0.0, **changes}))
    out = network(images(4, 1, 48, 48))
    (out.fine_logits.square().sum() + out.coarse_logits[:, 0].sum()).backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


def test_plain_swin_is_an_ablation():
    """The comparison row "plain Swin": mean pooling only, no edges, one temperature."""
    changes = {"sobel_filters": 0, "distribution_head": False, "temperatures": (1.0,), "learn_temperatures": False}
    network = ClinReadNet(ClinReadNetConfig(**{**TINY.to_dict(), **changes}))
    out = network(images(2, 1, 32, 32), attention_stages=(0,))
    assert out.features.shape == (2, 16)
    assert list(out.attention) == [(0, 0)]
    assert not [n for n, _ in network.named_parameters() if "edges" in n or "gamma" in n or "alpha" in n or "tau" in n]


def test_folded_embedding_is_the_patch_embedding_of_the_normalised_image(network):
    """Published weights expect three ImageNet-normalised channels."""
    image = images(2, 1, 24, 16)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    embed = PatchEmbed(4, in_chans=3, embed_dim=8, spatial_dims=2)
    embed.load_state_dict(network.patch_embed.state_dict())
    expected = embed((image - mean.view(3, 1, 1)) / std.view(3, 1, 1)).permute(0, 2, 3, 1)
    torch.testing.assert_close(network.embed(image), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("grid", [(6, 8), (5, 7), (1, 4)], ids=str)
def test_patch_merging_is_monais(grid):
    ours, theirs = PatchMerging(6, spatial_dims=2), PatchMergingV2(6, spatial_dims=2)
    ours.load_state_dict(theirs.state_dict())
    x = images(2, *grid, 6)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-6)


def test_mixed_precision_gives_nearly_the_same_score(network):
    image = images(4, 1, 64, 64)
    with torch.inference_mode():
        exact = expected_score(network(image).fine_logits)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = expected_score(network(image).fine_logits)
    torch.testing.assert_close(mixed, exact, rtol=0, atol=0.03)


def test_weights_survive_a_round_trip_through_the_configuration(network):
    """A bundle holds the configuration as JSON and the weights; both together must give the same network."""
    config = ClinReadNetConfig.from_dict(json.loads(json.dumps(network.config.to_dict())))
    assert config == network.config
    again = ClinReadNet(config).eval()
    again.load_state_dict(network.state_dict())
    image = images(1, 1, 40, 40)
    assert torch.equal(again(image).fine_logits, network(image).fine_logits)


def test_unknown_settings_are_refused():
    """A bundle of a newer version must not be read as if its new setting did not matter."""
    with pytest.raises(ValueError, match="colour"):
        ClinReadNetConfig.from_dict({"embed_dim": 32, "colour": True})
    with pytest.raises(ValueError, match="huge"):
        clinreadnet("huge")


@pytest.mark.parametrize(
    "changes", [{"heads": (1,)}, {"heads": (3, 2)}, {"patch_size": 2}], ids=["stages", "width", "patch"]
)
def test_settings_that_cannot_fit_are_refused(changes):
    with pytest.raises(ValueError):
        ClinReadNetConfig(**{**TINY.to_dict(), **changes})


def test_wrong_input_is_refused(network):
    with pytest.raises(ValueError, match="shape"):
        network(images(2, 3, 32, 32))
    with pytest.raises(ValueError, match="stages"):
        network(images(1, 1, 32, 32), attention_stages=(2,))
