"""TFKT V2: the published network, its parts, and where its features lie."""

import pytest
import torch
from CTQualityAssessmentLib.networks.efficientnet_v2 import ConvStage
from CTQualityAssessmentLib.networks.faster_kan import CrossPerceptron, FasterKANLayer
from CTQualityAssessmentLib.networks.grad_cam import TfktScorer, score_evidence
from CTQualityAssessmentLib.networks.swin_v2 import CosineWindowAttention, SwinV2
from CTQualityAssessmentLib.networks.tfkt import SIZES, TfktConfig, parameters_of, tfkt

TINY = {
    "stem": 4,
    "stages": (ConvStage(True, 1, 1, 4, 1), ConvStage(True, 2, 2, 8, 2), ConvStage(False, 4, 2, 8, 2)),
    "last": 12,
    "bridge_side": 16,
    "swin_dim": 8,
    "swin_depths": (2, 2),
    "swin_heads": (2, 2),
    "window": 4,
    "conv_drop_path": 0.0,
    "swin_drop_path": 0.0,
}


def tiny(**changes):
    torch.manual_seed(0)
    return tfkt("v2", **TINY, **changes)


def test_the_published_network_has_the_published_number_of_parameters():
    """Else it is another network, and its published figures say nothing about it."""
    with torch.device("meta"):
        network = tfkt("v2")
        convolutional = [*network.features.parameters(), *network.bridge.parameters()]
        assert sum(p.numel() for p in convolutional) == 122_480_672
        assert sum(p.numel() for p in network.swin.parameters()) == 86_902_777
        assert sum(p.numel() for p in network.parameters()) == 209_383_449
        features = network.convolved(torch.zeros(2, 1, 512, 512))
        assert features.shape == (2, 1280, 16, 16) and network.judged(features).shape == (2,)


def test_public_weights_find_their_places():
    """Names and shapes of torchvision's efficientnet_v2_l and swin_v2_b, so that their weights can be a start."""
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in tfkt("v2").state_dict().items()}
    expected = {
        "features.0.0.weight": (32, 1, 3, 3),
        "features.1.3.block.0.0.weight": (32, 32, 3, 3),
        "features.2.0.block.0.0.weight": (128, 32, 3, 3),
        "features.3.6.block.1.1.running_var": (96,),
        "features.4.0.block.2.fc1.weight": (24, 384, 1, 1),
        "features.5.18.block.1.0.weight": (1344, 1, 3, 3),
        "features.7.6.block.3.1.num_batches_tracked": (),
        "features.8.1.weight": (1280,),
        "swin.features.0.0.weight": (128, 1, 4, 4),
        "swin.features.0.2.bias": (128,),
        "swin.features.1.0.attn.relative_coords_table": (1, 15, 15, 2),
        "swin.features.1.0.attn.relative_position_index": (4096,),
        "swin.features.2.reduction.weight": (256, 512),
        "swin.features.5.17.attn.logit_scale": (16, 1, 1),
        "swin.features.5.17.attn.cpb_mlp.2.weight": (16, 512),
        "swin.features.7.1.mlp.3.weight": (1024, 4096),
        "swin.norm.weight": (1024,),
        "swin.head.weight": (1, 1024),
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_the_compact_network_is_small_enough_to_ship_and_reads_a_whole_slice():
    assert parameters_of("compact") <= 4_000_000
    with torch.inference_mode():
        scores = tfkt("compact").eval()(torch.rand(1, 1, 512, 512))
    assert scores.shape == (1,) and torch.isfinite(scores).all()


def test_the_variant_of_the_text_is_another_network_than_the_published_code():
    with torch.device("meta"):
        names = set(tfkt("v2-kan").state_dict()) - set(tfkt("v2").state_dict())
    assert any("kan" in name for name in names)


@pytest.mark.parametrize("kan", [False, True])
def test_every_parameter_learns(kan):
    """A part without a gradient would be carried along and never trained."""
    network = tiny(kan=kan).train()
    network(torch.rand(3, 1, 40, 48)).square().sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert silent == []


@pytest.mark.parametrize("shape", [(64, 64), (33, 70), (8, 8)])
def test_any_size_gives_one_score_a_slice(shape):
    with torch.inference_mode():
        assert tiny().eval()(torch.rand(2, 1, *shape)).shape == (2,)


def test_slices_in_a_batch_do_not_influence_each_other():
    network, images = tiny().eval(), torch.rand(3, 1, 64, 64)
    with torch.inference_mode():
        together, apart = network(images), torch.cat([network(one[None]) for one in images])
    torch.testing.assert_close(together, apart)


def test_three_channels_are_refused():
    with pytest.raises(ValueError, match="B, 1, H, W"):
        tiny()(torch.rand(1, 3, 64, 64))


def test_settings_survive_a_bundle_and_unknown_ones_are_refused():
    for config in SIZES.values():
        assert TfktConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match="colour"):
        TfktConfig.from_dict({"colour": 1})
    with pytest.raises(ValueError, match="heads"):
        TfktConfig(swin_depths=(2, 2), swin_heads=(2,))


def test_shifted_windows_join_neighbours_and_keep_the_ends_apart():
    """A change at one edge must not reach the other edge through the cyclic shift."""
    torch.manual_seed(0)
    attention = CosineWindowAttention(8, 2, 4).eval()
    image = torch.rand(1, 8, 8, 8)
    changed = image.clone()
    changed[:, 0, 0] += 1
    with torch.inference_mode():
        moved = (attention(image, 2) - attention(changed, 2)).abs().sum(dim=-1)[0]
    assert moved[0, 0] > 0 and moved[1, 1] > 0  # its own region
    assert moved[2:, :].max() == 0 and moved[:, 2:].max() == 0


def test_attention_knows_no_length_of_query_and_key():
    """Cosine attention: the weights of version 2, not of version 1."""
    torch.manual_seed(0)
    attention, image = CosineWindowAttention(8, 2, 4).eval(), torch.rand(1, 4, 4, 8)
    with torch.inference_mode():
        before = attention(image, 0)
        attention.qkv.bias.zero_()
        base = attention(image, 0)
        attention.qkv.weight[:16] *= 3
        torch.testing.assert_close(attention(image, 0), base)
    assert before.shape == image.shape


def test_a_grid_smaller_than_the_window_is_padded():
    with torch.inference_mode():
        assert SwinV2(8, (2,), (2,), window=8).eval()(torch.rand(2, 1, 8, 8)).shape == (2, 1)


def test_a_bump_is_one_at_its_own_point():
    layer = FasterKANLayer(1, 1)
    layer.norm = torch.nn.Identity()
    with torch.no_grad():
        layer.linear.weight.zero_()
        layer.linear.weight[0, 3] = 1.0
    x = torch.stack([layer.grid[3], layer.grid[3] + 0.33])[:, None]
    expected = torch.tensor([1.0, 1 - torch.tanh(torch.tensor(1.0)).item() ** 2])[:, None]
    torch.testing.assert_close(layer(x), expected)


def test_the_two_branches_read_each_other():
    torch.manual_seed(0)
    both, x = CrossPerceptron(8, 2).eval(), torch.rand(2, 2, 2, 8)
    with torch.inference_mode():
        tokens = x.flatten(1, 2)
        plain, kan = both.mlp(tokens), both.kan(tokens)
        expected = (plain @ kan.mT).softmax(-1) @ kan + (kan @ plain.mT).softmax(-1) @ plain
        torch.testing.assert_close(both(x).flatten(1, 2), expected)


def test_features_lie_where_the_map_says():
    """Else Grad-CAM would be drawn beside the anatomy that it belongs to."""
    network = tiny().eval()
    with torch.no_grad():  # equal weights: a feature then reads its surroundings evenly
        for name, parameter in network.features.named_parameters():
            parameter.fill_(0.01 if parameter.ndim > 1 else 1.0 if name.endswith("weight") else 0.0)
    image = torch.full((1, 1, 129, 129), 0.5, requires_grad=True)
    key = next(iter(TfktScorer(network)(image.detach(), (1,)).maps))
    network.convolved(image)[0, :, 9, 7].sum().backward()
    weight = image.grad[0, 0].abs()
    place = torch.arange(129.0)
    centre = [float((weight.sum(dim=1 - axis) * place).sum() / weight.sum()) for axis in (0, 1)]
    # Squeeze and excite read the whole slice, evenly: they pull the centre a little to the middle.
    assert centre == pytest.approx([key.centre + key.pixels * n for n in (9, 7)], abs=1.0)


def test_grad_cam_is_the_share_of_each_place_in_the_score():
    """With a score that is linear in the features the evidence must add up to it, apart from the scale."""
    torch.manual_seed(0)
    features, weight = torch.randn(2, 5, 4, 4), torch.randn(5)
    gradient = (weight / 16)[None, :, None, None].expand_as(features)
    raises, lowers = score_evidence(features, gradient)
    expected = torch.einsum("bchw,c->bhw", features, weight)
    scale = expected.abs().mean(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(raises - lowers, expected / scale)
    assert (raises * lowers).max() == 0 and raises.min() == 0 and lowers.min() == 0
    torch.testing.assert_close((raises + lowers).mean(dim=(1, 2)), torch.ones(2))
    assert score_evidence(torch.zeros(1, 2, 3, 3), torch.ones(1, 2, 3, 3))[0].abs().max() == 0


def test_maps_do_not_change_scores_and_scores_stay_in_range():
    network, images = tiny().eval().requires_grad_(False), torch.rand(2, 1, 64, 64)
    scorer = TfktScorer(network)
    plain, mapped = scorer(images), scorer(images, (3,))
    torch.testing.assert_close(plain.scores, mapped.scores)
    assert plain.maps == {} and [key.name for key in mapped.maps] == ["raises", "lowers"]
    assert plain.probabilities is None and plain.sd is None
    with torch.no_grad():
        network.swin.head.bias.fill_(9.0)
    assert scorer(images).scores.tolist() == [4.0, 4.0]
