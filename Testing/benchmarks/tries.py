"""What might make the shipped scorer faster on a CPU, measured: ``python -m Testing.benchmarks.tries [--slices 12]``.

Each way scores the same slices of the shipped sample in turns; told are milliseconds a slice (the shortest), the speed
over the way that is shipped, and by how much a score differs at most. A way may be taken where that is below 0.02.
openvino and onnxruntime are tried where they are installed; this project does not need them.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
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


class _FineLogits(nn.Module):
    """The network as other engines take it: one tensor in, one out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).fine_logits


class _WithoutGradients:
    """In the place of the attention's own gradient, which other engines cannot trace."""

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
    with (
        mock.patch.object(temperature_attention, "MixedAttention", _WithoutGradients),
        mock.patch.object(mixed_softmax, "_MATRICES", 10**9),
        torch.no_grad(),
    ):
        for name, make in (("openvino", _openvino), ("onnxruntime", _onnxruntime)):
            if importlib.util.find_spec(name) is not None:
                try:
                    found |= make(_FineLogits(network).eval(), x)
                except Exception as error:
                    print(f"{name}: cannot take the network ({type(error).__name__}: {str(error)[:300]})", flush=True)
    return found


def _openvino(network: nn.Module, x: Tensor) -> dict[str, tuple[int, Way]]:
    import openvino

    begun = time.perf_counter()
    model = openvino.convert_model(network, example_input=x)
    found = {}
    for kind in ("f32", "bf16"):
        settings = {"INFERENCE_PRECISION_HINT": kind, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        compiled = openvino.compile_model(model, "CPU", settings)
        found[f"openvino {openvino.__version__.split('-')[0]}, {kind}"] = (
            1,
            lambda x, compiled=compiled: _scores(torch.from_numpy(compiled(x.numpy())[0])),
        )
    print(f"openvino: {time.perf_counter() - begun:.1f} s to convert and compile", flush=True)
    return found


def _onnxruntime(network: nn.Module, x: Tensor) -> dict[str, tuple[int, Way]]:
    import io

    import onnxruntime

    begun = time.perf_counter()
    file = io.BytesIO()
    torch.onnx.export(network, (x,), file, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    print(f"onnxruntime: {time.perf_counter() - begun:.1f} s to convert and load", flush=True)
    run: Way = lambda x: _scores(torch.from_numpy(session.run(None, {"x": x.numpy()})[0]))  # noqa: E731
    return {f"onnxruntime {onnxruntime.__version__}": (1, run)}


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
