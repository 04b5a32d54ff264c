"""What might make the shipped scorer faster on a CPU, measured: ``python -m Testing.benchmarks.tries [--slices 12]``.

Each way scores the same slices of the shipped sample in turns; told are milliseconds a slice (the shortest), the speed
over the way that is shipped, and by how much a score differs at most. A way may be taken where that is below 0.02.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from CTQualityAssessmentLib.assessment.slices import prepare_slice
from CTQualityAssessmentLib.assessment.volume_scoring import network_pixels
from CTQualityAssessmentLib.models import load_bundle
from CTQualityAssessmentLib.networks import mixed_softmax, temperature_attention
from CTQualityAssessmentLib.networks.ordinal_scores import score_distribution
from CTQualityAssessmentLib.reading import read_volume
from torch import Tensor, nn

from Testing.benchmarks import roof
from Testing.benchmarks.physical_measures import SAMPLE

#: Pixels of some slices ``(B, 1, H, W)`` to their scores.
Way = Callable[[Tensor], Tensor]


class _WithoutGradients:
    """In the place of the attention's own gradient."""

    apply = staticmethod(mixed_softmax.mixed_attention)


def _scores(logits: Tensor) -> Tensor:
    return score_distribution(logits.float()).expected


def ways(network: nn.Module, x: Tensor) -> dict[str, tuple[int, Way]]:
    """Slices at a time and the way, by name; the first one is what is shipped."""
    found: dict[str, tuple[int, Way]] = {}
    for batch in (1, 2, 4, 8):
        found[f"eager float32, {batch} at a time"] = (batch, lambda x: _scores(network(x).fine_logits))

    def with_bfloat16(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return _scores(network(x).fine_logits)

    found["autocast bfloat16"] = (1, with_bfloat16)

    def last(x: Tensor) -> Tensor:
        return _scores(network(x.contiguous(memory_format=torch.channels_last)).fine_logits)

    found["channels last"] = (1, last)
    for matrices in (8, 128, 10**9):

        def in_pieces(x: Tensor, matrices: int = matrices) -> Tensor:
            with mock.patch.object(mixed_softmax, "_MATRICES", matrices):
                return _scores(network(x).fine_logits)

        found[f"attention in pieces of {matrices}" if matrices < 10**9 else "attention in one piece"] = (1, in_pieces)

    def without_function(x: Tensor) -> Tensor:
        with mock.patch.object(temperature_attention, "MixedAttention", _WithoutGradients):
            return _scores(network(x).fine_logits)

    found["attention without its gradient"] = (1, without_function)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--processor", action="store_true", help="seconds of the processor, one thread: a busy machine")
    options = parser.parse_args()
    if options.processor:
        roof.by_processor()
    model, volume = load_bundle(device="cpu"), read_volume(SAMPLE)
    slices = volume.canonical_slices()
    chosen = np.linspace(0, volume.slice_count - 1, options.slices).astype(int)
    pixels = torch.cat([network_pixels(prepare_slice(volume, slices, int(k)), model) for k in chosen])
    with torch.no_grad():
        tried = ways(model.network, pixels[:1])
        best = dict.fromkeys(tried, np.inf)
        scores: dict[str, Tensor] = {}
        for _ in range(options.rounds):
            for name, (batch, way) in tried.items():
                parts, begun = [], roof.clock()
                for part in pixels.split(batch):
                    parts.append(way(part))
                best[name] = min(best[name], (roof.clock() - begun) / len(pixels))
                scores[name] = torch.cat(parts)
    first = next(iter(tried))
    size = f"{len(pixels)} slices of {pixels.shape[-1]} pixels"
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {size}")
    print("| way | ms a slice | speed over the shipped | largest difference of a score |")
    print("|---|---|---|---|")
    for name, seconds in best.items():
        off = float((scores[name] - scores[first]).abs().max())
        print(f"| {name} | {1000 * seconds:.0f} | {best[first] / seconds:.2f} | {off:.5f} |")


if __name__ == "__main__":
    main()
