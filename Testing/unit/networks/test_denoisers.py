"""If these fail, a denoiser is not the network its name says, or tiles of it show seams."""

from __future__ import annotations

import pytest
import torch
from CTQualityAssessmentLib.networks.denoisers import ImageDenoiser, denoised
from CTQualityAssessmentLib.networks.light_denoiser import LightDenoiser, LightDenoiserConfig
from CTQualityAssessmentLib.networks.red_cnn import RedCNN, RedCNNConfig

SMALL = LightDenoiserConfig(channels=(4, 6, 8), blocks=(1, 1, 1))


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def trained(config: LightDenoiserConfig = SMALL) -> LightDenoiser:
    """One that answers something: an untrained network says zero everywhere."""
    network = LightDenoiser(config)
    torch.nn.init.normal_(network.last.weight, std=0.5)
    return network.eval()


def test_red_cnn_has_exactly_the_published_parameters():
    assert sum(p.numel() for p in RedCNN().parameters()) == 1_848_865


def test_red_cnn_is_the_published_chain_of_layers_and_sums():
    """Weights of others would load and give another image if a sum or a rectifier stood elsewhere."""
    network = RedCNN(RedCNNConfig(channels=3)).eval()
    x = torch.randn(1, 1, 29, 25)
    e, d, relu = network.encoder, network.decoder, torch.relu
    with torch.no_grad():
        two = relu(e[1](relu(e[0](x))))
        four = relu(e[3](relu(e[2](two))))
        y = relu(d[0](relu(e[4](four))) + four)
        y = relu(d[2](relu(d[1](y))) + two)
        expected = d[4](relu(d[3](y))) + x
        torch.testing.assert_close(network(x), expected)
        rectified = RedCNN(RedCNNConfig(channels=3, final_rectifier=True)).eval()
        rectified.load_state_dict(network.state_dict())
        torch.testing.assert_close(rectified(x), relu(expected))
    with pytest.raises(ValueError, match="at least 21 pixels"):
        network(torch.randn(1, 1, 20, 40))


def test_a_plugged_in_image_network_gives_noise_in_hu():
    class Darker(torch.nn.Module):
        margin, stride = 0, 1

        def forward(self, x):
            return x - 0.5

    plugged = ImageDenoiser(Darker(), hu_per_unit=4096.0, sd=0.1)
    x = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(plugged(x), torch.full_like(x, 0.5 * 0.1 * 4096))
    torch.testing.assert_close(denoised(plugged, x), x - 0.05)


def test_an_untrained_light_denoiser_changes_nothing_and_learns_from_the_first_step():
    network = LightDenoiser(SMALL)
    x = torch.rand(1, 1, 32, 32)
    assert not network(x).any()
    (network(x) - 5.0).square().mean().backward()
    assert network.last.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("shape", [(64, 64), (63, 50), (9, 17)])
def test_any_size_keeps_its_shape_and_all_weights_get_a_gradient(shape):
    network = trained()
    noise = network(torch.rand(2, 1, *shape))
    assert noise.shape == (2, 1, *shape)
    noise.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        network(torch.rand(1, 2, 16, 16))


@pytest.mark.parametrize("network", [trained(), trained(LightDenoiserConfig(channels=(4, 4), blocks=(2, 1)))])
def test_nothing_beyond_the_margin_is_seen_and_shifts_by_the_stride_are_exact(network):
    """The engine cuts tiles by these two numbers; were they too small, tiles would show seams."""
    margin, stride = network.margin, network.stride
    side = 2 * margin + 8 * stride
    x = torch.rand(1, 1, side, side)
    with torch.no_grad():
        before = network(x)
        for place in (margin + 3 * stride, margin + 3 * stride + 3):
            changed = x.clone()
            changed[..., place, place] += 0.2
            rows = (network(changed) != before)[0, 0].any(dim=1).nonzero().flatten()
            assert len(rows) and rows.min() >= place - margin and rows.max() <= place + margin
        part = network(x[..., stride:, stride:])
        inside = slice(margin, -margin)
        torch.testing.assert_close(
            part[..., inside, inside], before[..., stride:, stride:][..., inside, inside], atol=1e-4, rtol=0
        )


def test_settings_survive_a_bundle_and_unknown_ones_are_refused():
    for config in (SMALL, RedCNNConfig(channels=8)):
        assert type(config).from_dict(config.to_dict()) == config
        with pytest.raises(ValueError, match="nonsense"):
            type(config).from_dict({"nonsense": 1})
