"""(S)W-MTMSA: plain Swin attention where it must be, the right windows, and maps that lie where the tokens lie."""

from __future__ import annotations

import pytest
import torch
from CTQualityAssessmentLib.networks.temperature_attention import (
    MASKED,
    TemperatureSwinBlock,
    TemperatureWindowAttention,
    attention_mask,
    padded_size,
    window_shift,
)
from monai.networks.nets.swin_unetr import SwinTransformerBlock, compute_mask


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(3)


def block_of(dim, heads, window, shift, **attention):
    block = TemperatureSwinBlock(dim, TemperatureWindowAttention(dim, heads, window, **attention), window, shift)
    with torch.no_grad():  # larger than at the start of training, so that attention is far from even
        block.attn.qkv.weight.normal_(std=0.5)
        block.attn.relative_position_bias_table.normal_()
    return block.eval()


@pytest.mark.parametrize("shift", [0, 4], ids=["W", "SW"])
@pytest.mark.parametrize("temperatures", [(1.0,), (1.0, 1.0, 1.0)])
def test_a_temperature_of_one_is_plain_swin(shift, temperatures):
    """The ablation "plain Swin" and converted published weights rest on this."""
    ours = block_of(32, 4, 8, shift, temperatures=temperatures, learn_temperatures=False)
    plain = SwinTransformerBlock(32, 4, (8, 8), (shift, shift)).eval()
    left = ours.load_state_dict({**ours.state_dict(), **plain.state_dict()})
    assert not left.missing_keys and not left.unexpected_keys
    x = torch.randn(2, 24, 32, 32)
    with torch.no_grad():
        expected = plain(x, compute_mask([24, 32], (8, 8), (shift, shift), x.device))
        torch.testing.assert_close(ours(x)[0], expected, rtol=0, atol=1e-6)


def slow_attention(block, x):
    """Every token on its own: softmax over the image tokens of its window, windows as a grid offset by the shift."""
    attention, window = block.attn, block.window
    b, h, w, c = x.shape
    shift = window_shift((h, w), window, block.shift)
    heads, width = attention.num_heads, c // attention.num_heads
    qkv = attention.qkv(x).view(b, h, w, 3, heads, width)
    tau, weight = attention.temperatures(), attention.mixture()

    def window_of(i, j):
        return (i - shift[0]) // window, (j - shift[1]) // window

    members = {}
    for i in range(h):
        for j in range(w):
            members.setdefault(window_of(i, j), []).append((i, j))
    out = torch.empty_like(x)
    received = torch.zeros(len(tau), b, h, w)
    for i in range(h):
        for j in range(w):
            keys = members[window_of(i, j)]
            rows, columns = torch.tensor(keys).T
            place = (i - rows + window - 1) * (2 * window - 1) + (j - columns + window - 1)
            bias = attention.relative_position_bias_table[place].T
            dots = torch.einsum("bhd,bkhd->bhk", qkv[:, i, j, 0], qkv[:, rows, columns, 1]) / width**0.5
            p = torch.stack([torch.softmax((dots + bias) / t[:, None], -1) for t in tau])
            received[:, :, rows, columns] += p.mean(2)
            mixed = (p * weight[:, None, :, None]).sum(0)
            out[:, i, j] = torch.einsum("bhk,bkhd->bhd", mixed, qkv[:, rows, columns, 2]).flatten(1)
    return attention.proj(out), received


@pytest.mark.parametrize("shift", [0, 2], ids=["W", "SW"])
@pytest.mark.parametrize("grid", [(8, 12), (7, 9), (3, 10), (2, 3), (5, 4)], ids=str)
def test_windows_shift_and_padding_against_a_loop_over_tokens(grid, shift):
    """A token that sees across the image border, or padding, would make the score depend on the matrix size."""
    block = block_of(8, 2, 4, shift, temperatures=(2.0, 1.0, 0.5), main_weight=0.4)
    with torch.no_grad():
        block.attn.log_tau.add_(0.2 * torch.randn_like(block.attn.log_tau))
        block.attn.alpha.add_(torch.randn_like(block.attn.alpha))
        x = torch.randn(2, *grid, 8)
        expected, expected_received = slow_attention(block, block.norm1(x))
        out, received = block._attend(block.norm1(x), want_attention=True)
    torch.testing.assert_close(out, expected, rtol=0, atol=2e-6)
    torch.testing.assert_close(received, expected_received, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("grid", "shift"), [((16, 24), (4, 4)), ((8, 16), (0, 4)), ((16, 16), (0, 0))])
def test_shift_mask_forbids_the_same_pairs_as_monai(grid, shift):
    """Weights trained here must mean the same in MONAI's own blocks."""
    mask = attention_mask(grid, 8, shift, torch.device("cpu"))
    if shift == (0, 0):
        assert mask is None
    else:
        forbidden = compute_mask(grid, (8, 8), shift, "cpu") < 0
        assert torch.equal(mask == MASKED, forbidden) and torch.equal(mask == 0, ~forbidden)


@pytest.mark.parametrize("shift", [0, 2], ids=["W", "SW"])
@pytest.mark.parametrize("marked", [(0, 0), (1, 6), (5, 3), (9, 10), (6, 0)], ids=str)
def test_a_token_that_everyone_looks_at_shows_at_its_own_place(marked, shift):
    """An attention map that is off by the shift would point the reader at the wrong place."""
    grid, window = (10, 11), 4
    block = block_of(8, 1, window, shift, temperatures=(2.0, 1.0, 0.5))
    pattern = torch.tensor([1.0, -1.0] * 4)
    with torch.no_grad():
        block.attn.relative_position_bias_table.zero_()
        block.attn.qkv.weight.zero_()
        block.attn.qkv.bias.zero_()
        block.attn.qkv.bias[0] = 1.0  # the same query everywhere
        block.attn.qkv.weight[8] = 20 * pattern  # a key that is large for the marked token alone
        x = torch.tensor([1.0, 1.0, -1.0, -1.0] * 2).repeat(1, *grid, 1)
        x[0, marked[0], marked[1]] = pattern
        received = block(x, want_attention=True)[1]

    def window_of(i, j):
        return (i - shift) // window, (j - shift) // window

    same = [(i, j) for i in range(10) for j in range(11) if window_of(i, j) == window_of(*marked)]
    expected = torch.ones(grid)
    for i, j in same:
        expected[i, j] = 0.0
    expected[marked] = len(same)
    torch.testing.assert_close(received, expected.expand(3, 1, *grid), rtol=0, atol=1e-4)


def test_low_temperature_focuses_and_high_temperature_scans():
    """The names "scan" and "focus" would be swapped otherwise."""
    block = block_of(16, 2, 4, 2, temperatures=(2.0, 1.0, 0.5))
    scan, read, focus = block(torch.randn(1, 12, 12, 16), want_attention=True)[1].detach()
    assert scan.std() < read.std() < focus.std()


def test_starting_mixture_reads_at_temperature_one_mostly():
    """Published weights start from near the attention that they were trained with."""
    attention = TemperatureWindowAttention(16, 2, 4, temperatures=(2.0, 1.0, 0.5), main_weight=0.9)
    torch.testing.assert_close(attention.mixture().detach(), torch.tensor([[0.05, 0.05], [0.9, 0.9], [0.05, 0.05]]))
    torch.testing.assert_close(attention.temperatures().detach()[:, 0], torch.tensor([2.0, 1.0, 0.5]))


def test_temperatures_stay_within_their_range():
    """A temperature that training drives to zero would turn the attention into NaN."""
    attention = TemperatureWindowAttention(16, 2, 4)
    with torch.no_grad():
        attention.log_tau.copy_(torch.tensor([[-50.0, 50.0]]).expand(3, 2))
    torch.testing.assert_close(attention.temperatures().detach()[0], torch.tensor([0.1, 10.0]))


@pytest.mark.parametrize("temperatures", [(), (0.0,), (1.0, 20.0)])
def test_impossible_temperatures_are_refused(temperatures):
    with pytest.raises(ValueError, match="emperatures"):
        TemperatureWindowAttention(16, 2, 4, temperatures=temperatures)


def test_masks_made_for_inference_serve_training_afterwards():
    """Validation before the first training step must not break the step: inference tensors take no gradients."""
    grid, shift = (13, 9), 2
    block = block_of(8, 1, 4, shift)
    x = torch.randn(1, *grid, 8)
    attention_mask.cache_clear()
    with torch.inference_mode():
        block(x)
    block(x)[0].sum().backward()
    assert block.attn.qkv.weight.grad.isfinite().all()
    assert padded_size(13, 4) == 16
