"""SOQN: edges, their folded form, and the distribution head."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from CTQualityAssessmentLib.networks.sobel_ordinal import (
    ENERGY_STATISTICS,
    SOBEL_KERNELS,
    DistributionHead,
    SobelEdges,
    energy_statistics,
    patient_share,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


def unfolded(edges: SobelEdges, image: torch.Tensor) -> torch.Tensor:
    """Filters, gain, bias, concatenation and convolutions one after the other, as the method describes them."""
    padded = F.pad(image, (2, 2, 2, 2), mode="replicate")
    responses = F.conv2d(padded, edges.kernels) * edges.gain[:, None, None] + edges.bias[:, None, None]
    joined = torch.cat([padded[..., 1:-1, 1:-1], responses], dim=1)
    return F.gelu(edges.conv2(F.gelu(edges.conv1(joined))))


def test_folded_edges_are_the_edges_of_the_definition():
    """The fold is for speed only: same values, same gradients for gains, biases and kernels."""
    edges = SobelEdges(filters=8, width=8, out_channels=12)
    with torch.no_grad():
        edges.gain.uniform_(0.5, 2.0)
        edges.bias.normal_()
    image = torch.rand(2, 1, 20, 28)
    expected, got = unfolded(edges, image), edges(image)
    assert got.shape == (2, 12, 5, 7)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    upstream = torch.randn_like(got)
    parameters = list(edges.parameters())
    for a, b in zip(
        torch.autograd.grad(got, parameters, upstream),
        torch.autograd.grad(expected, parameters, upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_sobel_kernels_ignore_brightness_and_see_four_directions():
    assert SOBEL_KERNELS.sum(dim=(1, 2, 3)).abs().max() == 0
    directions = []
    for kernel in SOBEL_KERNELS[:, 0]:
        row, column = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="ij")
        directions.append(math.degrees(math.atan2(-(kernel * row).sum(), (kernel * column).sum())) % 180)
    assert directions == pytest.approx([0, 45, 90, 135])


def test_the_border_of_an_even_image_is_no_edge():
    edges = SobelEdges(filters=4, width=8, out_channels=8)
    kernel, bias = edges.folded()
    response = F.conv2d(F.pad(torch.full((1, 1, 8, 8), 0.6), (2, 1, 2, 1), mode="replicate"), kernel, bias, stride=2)
    assert response.std(dim=(2, 3)).max() < 1e-6


def test_filters_must_cover_the_four_directions():
    with pytest.raises(ValueError, match="multiple of 4"):
        SobelEdges(filters=6, width=8, out_channels=8)


def test_pooled_features_are_mean_spread_edges_and_energy_of_the_patient():
    """Without the weights, a patient in the middle of much air would be scored as another one who fills the image."""
    head = DistributionHead(3, 2, 8, 0.0, 21, 5)
    tokens, edges = torch.randn(2, 4, 5, 3), torch.randn(2, 2, 8, 10)
    image = torch.full((2, 1, 32, 40), 0.8)
    pooled = head.pool(tokens, edges, image)
    assert pooled.shape == (2, head.features) == (2, 8 + ENERGY_STATISTICS)
    flat = tokens.flatten(1, 2)
    torch.testing.assert_close(pooled[:, :3], flat.mean(1))
    torch.testing.assert_close(pooled[:, 3:6], flat.std(1, unbiased=False), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(pooled[:, 6:8], edges.mean((2, 3)))
    torch.testing.assert_close(pooled[:, 8:], energy_statistics(image))

    image[..., 20:] = 0.04  # the right half is air
    pooled = head.pool(tokens, edges, image)
    torch.testing.assert_close(pooled[:, 6:8], edges[..., :5].mean((2, 3)), rtol=0.02, atol=0.02)


def test_patient_shares_add_up_to_one_with_and_without_a_patient():
    image = torch.zeros(2, 1, 24, 24)
    image[0, :, :12] = 0.8
    share = patient_share(image, (6, 4))
    torch.testing.assert_close(share.sum((1, 2)), torch.ones(2))
    torch.testing.assert_close(share[1], torch.full((6, 4), 1 / 24))
    assert share[0, :3].sum() > 0.99


def test_energy_rises_with_noise_at_every_scale_and_not_with_air_around_the_patient():
    """The level of noise is what the score is about; how much air surrounds the patient is not."""
    noise = torch.randn(1, 1, 64, 64)
    levels = [energy_statistics(0.8 + sd * noise)[0] for sd in (0.005, 0.02, 0.08)]
    for scale in range(3):
        mean = slice(8 * scale, 8 * scale + 4)
        assert (levels[0][mean] < levels[1][mean]).all() and (levels[1][mean] < levels[2][mean]).all()
    tight, wide = torch.full((1, 1, 64, 64), 0.04), torch.full((1, 1, 128, 128), 0.04)
    patient = 0.8 + 0.02 * torch.randn(32, 32)
    tight[..., 16:48, 16:48] = patient
    wide[..., 48:80, 48:80] = patient
    torch.testing.assert_close(energy_statistics(tight), energy_statistics(wide), rtol=0, atol=0.02)
    assert energy_statistics(torch.rand(2, 1, 3, 2)).isfinite().all()


def test_an_image_of_one_token_has_finite_gradients():
    """The root of a zero variance has an infinite slope; one such slice would ruin the weights."""
    tokens = torch.randn(1, 1, 1, 3, requires_grad=True)
    DistributionHead(3, 0, 8, 0.0, 21, 5).pool(tokens, None, torch.rand(1, 1, 4, 4)).sum().backward()
    assert tokens.grad.isfinite().all()


def test_token_dropout_hides_tokens_in_training_only():
    """The head must also grade from edges alone, and must use everything when it counts."""
    head = DistributionHead(3, 2, 8, 0.0, 21, 5, token_dropout=1.0)
    features, other = torch.randn(2, 4, head.features).unbind()
    other[:, 6:] = features[:, 6:]
    assert torch.equal(head.train()(features)[0], head(other)[0])
    assert not torch.equal(head.eval()(features)[0], head(other)[0])
