"""The attention mixture in pieces: the same numbers and the same gradients as written out in full."""

from __future__ import annotations

import pytest
import torch
from CTQualityAssessmentLib.networks import mixed_softmax
from CTQualityAssessmentLib.networks.mixed_softmax import MixedAttention


def written_out(qkv, bias, inverse, weights, mask, scale):
    """The definition, all windows at once: output ``(B, W, n, H, d)`` and the attention ``(M, B, W, H, n, n)``."""
    query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)
    scores = scale * query @ key.transpose(-2, -1) + bias
    allowed = 0 if mask is None else mask[:, None]
    attention = torch.stack([torch.softmax(scores * i[:, None, None] + allowed, -1) for i in inverse])
    mixed = (attention * weights[:, None, None, :, None, None]).sum(0)
    return (mixed @ value).transpose(2, 3), attention


def problem(heads=3, windows=5, images=2, n=4, dim=2, count=3, masked=True):
    generator = torch.Generator().manual_seed(7)

    def random(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mask = torch.where(random(windows, n, n) > 1, -1e4, 0.0).double() if masked else None
    values = [random(images, windows, n, 3, heads, dim), random(heads, n, n), random(count, heads).exp()]
    values.append(random(count, heads).softmax(0))
    return [v.requires_grad_() for v in values], mask


@pytest.mark.parametrize("matrices", [1, 6, 64], ids=["window by window", "some windows", "all at once"])
@pytest.mark.parametrize("masked", [False, True])
def test_output_and_gradients_are_those_of_the_definition_whatever_the_piece(monkeypatch, matrices, masked):
    """Otherwise training would silently optimise something else, depending on the size of the image."""
    monkeypatch.setattr(mixed_softmax, "_MATRICES", matrices)
    values, mask = problem(masked=masked)
    expected, _ = written_out(*values, mask, 0.7)
    out, _ = MixedAttention.apply(*values, mask, 0.7, False)
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for got, want in zip(
        torch.autograd.grad(out, values, upstream), torch.autograd.grad(expected, values, upstream), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-11)


def test_received_attention_is_the_column_sum_of_each_temperature():
    """The maps a user sees must belong to the temperature they are named after."""
    values, mask = problem()
    _, attention = written_out(*values, mask, 0.7)
    _, received = MixedAttention.apply(*values, mask, 0.7, True)
    torch.testing.assert_close(received.double(), attention.mean(3).sum(3), rtol=0, atol=1e-6)
    assert not received.requires_grad


def test_bfloat16_tokens_keep_a_float32_softmax():
    """Under mixed precision the answer may differ by the rounding of the tokens, not by that of the attention."""
    values, _ = problem(n=16, dim=8)
    qkv, *rest = (v.detach().float() for v in values)
    qkv = qkv.bfloat16()
    expected, _ = written_out(qkv.float(), *rest, None, 0.3)
    out, _ = MixedAttention.apply(qkv, *rest, None, 0.3, False)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, rtol=0.03, atol=0.03)
