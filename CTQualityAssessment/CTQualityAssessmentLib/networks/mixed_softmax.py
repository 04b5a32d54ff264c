"""Attention whose softmax is a mixture over temperatures, computed in pieces that stay in a CPU's cache.

The attention matrices of all windows of a slice are far larger than its tokens. Written out in full for three
temperatures they took a third more time and nearly twice the memory in training than this form, which keeps nothing
but the queries, keys and values and computes each piece again on the way back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Attention matrices (window x head) in one piece on a CPU, per thread: 32 of 64 x 64 in float32 are 512 KB.
_MATRICES = 32


class _Piece(NamedTuple):
    """Queries, keys, values ``(windows, heads, n, d)`` and scores ``(windows, heads, n, n)`` of some windows."""

    images: slice
    windows: slice
    query: Tensor
    key: Tensor
    value: Tensor
    scores: Tensor
    mask: Tensor | None


def _pieces(qkv: Tensor, bias: Tensor, mask: Tensor | None, scale: float) -> Iterator[_Piece]:
    images, windows, _, _, heads, _ = qkv.shape
    whole = qkv.device.type != "cpu"
    matrices = _MATRICES * torch.get_num_threads()
    window_step = windows if whole else max(1, min(windows, matrices // heads))
    image_step = images if whole else max(1, matrices // (heads * windows))
    for i in range(0, images, image_step):
        for w in range(0, windows, window_step):
            part = slice(i, i + image_step), slice(w, w + window_step)
            query, key, value = qkv[part].permute(3, 0, 1, 4, 2, 5).contiguous().unbind(0)
            scores = (query @ key.transpose(-2, -1)).to(bias.dtype).mul_(scale).add_(bias)
            yield _Piece(*part, query, key, value, scores, None if mask is None else mask[part[1]].unsqueeze(1))


def _softmax(piece: _Piece, inverse: Tensor) -> Tensor:
    """The attention at one temperature; ``inverse`` is one over it, ``(heads, 1, 1)``."""
    scaled = piece.scores * inverse
    return (scaled if piece.mask is None else scaled.add_(piece.mask)).softmax(dim=-1)


def mixed_attention(
    qkv: Tensor, bias: Tensor, inverse: Tensor, weights: Tensor, mask: Tensor | None, scale: float, received: bool
) -> tuple[Tensor, Tensor | None]:
    """``(sum_m w_m softmax((scale q k^T + bias) / tau_m + mask)) v`` for every window, without gradients.

    Args:
        qkv: ``(B, windows, n, 3, heads, d)``.
        bias: ``(heads, n, n)``.
        inverse: ``(M, heads)``, one over the temperatures.
        weights: ``(M, heads)``.
        mask: ``(windows, n, n)``, added after the division by the temperature.
        scale: of the dot products.
        received: also return the attention that each token receives at each temperature.

    Returns:
        ``(B, windows, n, heads, d)`` of the kind of ``qkv``; and on request ``(M, B, windows, n)`` float32, the sums of
        the attention matrices' columns, mean over heads.
    """
    images, windows, n, _, heads, dim = qkv.shape
    out = qkv.new_empty(images, windows, n, heads, dim)
    columns = bias.new_empty(len(inverse), images, windows, n, dtype=torch.float32) if received else None
    inverse, weights = inverse[..., None, None], weights[..., None, None]
    for piece in _pieces(qkv, bias, mask, scale):
        mixed: Tensor | None = None
        for m in range(len(inverse)):
            p = _softmax(piece, inverse[m])
            if columns is not None:
                columns[m, piece.images, piece.windows] = p.mean(dim=2).sum(dim=2)
            mixed = p.mul_(weights[m]) if mixed is None else mixed.addcmul_(p, weights[m])
        out[piece.images, piece.windows] = (mixed.to(qkv.dtype) @ piece.value).transpose(2, 3)
    return out, columns


class MixedAttention(Function):
    """:func:`mixed_attention` with gradients for ``qkv``, ``bias``, ``inverse`` and ``weights``."""

    @staticmethod
    def forward(
        ctx: Any,
        qkv: Tensor,
        bias: Tensor,
        inverse: Tensor,
        weights: Tensor,
        mask: Tensor | None,
        scale: float,
        received: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """See :func:`mixed_attention`."""
        ctx.save_for_backward(qkv, bias, inverse, weights, mask)
        ctx.scale = scale
        out, columns = mixed_attention(qkv, bias, inverse, weights, mask, scale, received)
        if columns is not None:
            ctx.mark_non_differentiable(columns)
        return out, columns

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
        """With ``g = grad v^T`` and ``D_m = P_m (g - rowsum(P_m g))``: d scores = sum_m w_m / tau_m D_m."""
        qkv, bias, inverse, weights, mask = ctx.saved_tensors
        grad_qkv = torch.empty_like(qkv)
        grad_bias = torch.zeros_like(bias)
        grad_inverse, grad_weights = torch.zeros_like(inverse), torch.zeros_like(weights)
        inverse, weights = inverse[..., None, None], weights[..., None, None]
        for piece in _pieces(qkv, bias, mask, ctx.scale):
            out_grad = grad[piece.images, piece.windows].transpose(2, 3).contiguous()
            g = (out_grad @ piece.value.transpose(-2, -1)).to(bias.dtype)
            mixed, grad_scores = torch.zeros_like(g), torch.zeros_like(g)
            for m in range(len(inverse)):
                p = _softmax(piece, inverse[m])
                mixed.addcmul_(p, weights[m])
                d = p * g
                along = d.sum(dim=-1, keepdim=True)
                grad_weights[m] += along.sum(dim=(0, 1, 3, 4))
                d.addcmul_(p, along, value=-1)
                grad_scores.addcmul_(d, weights[m] * inverse[m])
                if ctx.needs_input_grad[2]:
                    grad_inverse[m] += d.mul_(piece.scores).sum(dim=(0, 1, 3, 4)) * weights[m].flatten()
            grad_bias += grad_scores.sum(dim=(0, 1))
            grad_scores = grad_scores.mul_(ctx.scale).to(qkv.dtype)
            into = grad_qkv[piece.images, piece.windows].permute(3, 0, 1, 4, 2, 5)
            into[0] = grad_scores @ piece.key
            into[1] = grad_scores.transpose(-2, -1) @ piece.query
            into[2] = mixed.to(qkv.dtype).transpose(-2, -1) @ out_grad
        return grad_qkv, grad_bias, grad_inverse, grad_weights, None, None, None
