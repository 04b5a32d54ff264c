"""Score map and weight map of a whole volume, read in slabs of slices.

A network of any depth could read a volume at once; in slabs its memory does not grow with the patient. Slabs begin at
multiples of the tokens' own distance, so that the tokens of all slabs make one even grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.calls import Cancelled, Progress, never, no_progress
from CTQualityAssessmentLib.prompts import Prompt
from CTQualityAssessmentLib.translation import marks_of

if TYPE_CHECKING:
    from CTQualityAssessmentLib.networks.cmmiqa import CMMIQA

_ = marks_of(__file__)

#: Slices that the network reads at a time.
SLAB = 32
#: A rest of fewer slices is read together with as many slices before it.
_SHORT_REST = 16


@dataclass(frozen=True)
class TokenMaps:
    """What a volume network found, on its own grid.

    Attributes:
        scores: f, ``(tokens, rows, columns)`` float32, at least 0; 1 is the best label that it was trained on.
        weights: w, of the same shape, in (0, 1).
        first: slice that the first layer of tokens is centred on; a fraction where there is one layer only.
        distance: slices between layers of tokens.
        pixels: between tokens in plane.
    """

    scores: NDArray[np.float32]
    weights: NDArray[np.float32]
    first: float
    distance: float
    pixels: int

    @property
    def score(self) -> float:
        """Score of the volume, ``sum(f w) / sum(w)`` over all tokens."""
        return float((self.scores * self.weights).sum(dtype=np.float64) / self.weights.sum(dtype=np.float64))

    def profile(self, slices: int) -> NDArray[np.float64]:
        """``sum(f w) / sum(w)`` of each layer, interpolated to the slices, ``(slices,)``; constant beyond the last."""
        layers = (self.scores * self.weights).sum(axis=(1, 2), dtype=np.float64)
        layers /= self.weights.sum(axis=(1, 2), dtype=np.float64)
        at = self.first + self.distance * np.arange(len(layers))
        return np.interp(np.arange(slices), at, layers)

    def affine(self, ijk_to_ras: NDArray[np.float64]) -> NDArray[np.float64]:
        """Affine of the tokens, ``(column, row, layer, 1)`` to RAS; token 0 is centred on pixel 0.

        Args:
            ijk_to_ras: of the pixels that the network read, ``(column, row, slice, 1)``.
        """
        matrix = np.array(ijk_to_ras, dtype=np.float64)
        matrix[:3, 3] += matrix[:3, 2] * self.first
        matrix[:3, :3] *= (self.pixels, self.pixels, self.distance)
        return matrix


def slabs(depth: int, distance: int) -> Iterator[tuple[int, int, int]]:
    """First slice, last slice + 1 and leading layers to drop of each slab; together they cover every slice once.

    Args:
        depth: slices of the volume.
        distance: slices between layers of tokens; divides a slab.
    """
    for start in range(0, depth, SLAB):
        stop = min(start + SLAB, depth)
        before = _SHORT_REST if start and stop - start < _SHORT_REST else 0
        yield start - before, stop, before // distance


def token_maps(
    network: CMMIQA,
    pixels: NDArray[np.float32],
    prompt: Prompt,
    *,
    progress: Progress = no_progress,
    cancelled: Cancelled = never,
) -> TokenMaps | None:
    """Runs the network over a volume.

    Args:
        network: in evaluation mode.
        pixels: ``(slices, rows, columns)`` in [0, 1], see ``volume_input``.
        prompt: what the network is told.
        progress: called with (slices done, slices, message).
        cancelled: asked between slabs; True gives None, for a part of the tokens is not the score of the volume.
    """
    import torch

    from CTQualityAssessmentLib.networks.cmmiqa import TOKEN_STRIDE

    device = next(network.parameters()).device
    depth = len(pixels)
    scores, weights = [], []
    progress(0, depth, _("Assessing the volume"))
    for start, stop, known in slabs(depth, TOKEN_STRIDE[0]):
        if cancelled():
            return None
        slab = torch.from_numpy(np.ascontiguousarray(pixels[start:stop])).to(device)
        with torch.inference_mode():
            found = network(slab[None, None], [prompt])
        scores.append(found.scores[0, known:].float().cpu().numpy())
        weights.append(found.weights[0, known:].float().cpu().numpy())
        progress(stop, depth, _("Assessing the volume"))
    layers = np.concatenate(scores)
    # A single layer has seen all slices, so it stands for all of them.
    single = len(layers) == 1
    first, distance = ((depth - 1) / 2, float(depth)) if single else (0.0, float(TOKEN_STRIDE[0]))
    return TokenMaps(layers, np.concatenate(weights), first, distance, TOKEN_STRIDE[2])
