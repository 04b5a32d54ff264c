"""Time of the shipped denoiser against plain RED-CNN and against what this machine can do, in one run.

python -m Testing.benchmarks.denoising [PATH] [--slices N]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from CTQualityAssessmentLib.assessment.denoising.engine import correction_weight, estimate_noise
from CTQualityAssessmentLib.models import LoadedDenoiser, load_denoiser
from CTQualityAssessmentLib.networks.registry import build_denoiser
from CTQualityAssessmentLib.reading import read_volume
from torch.utils.flop_counter import FlopCounterMode


def seconds(work, repeats: int) -> tuple[float, float]:
    """Least wall and processor seconds of one call."""
    work()
    wall, processor = [], []
    for _ in range(repeats):
        begun, used = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - begun)
        processor.append(time.process_time() - used)
    return min(wall), min(processor)


def flops(network: torch.nn.Module, x: torch.Tensor) -> float:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(x)
    return float(counter.get_total_flops())


def peak(repeats: int) -> float:
    """Best rate of a 3 x 3 convolution that fits the caches, FLOP per second."""
    layer = torch.nn.Conv2d(64, 64, 3, padding=1).eval().to(memory_format=torch.channels_last)
    x = torch.rand(1, 64, 128, 128).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        wall, _ = seconds(lambda: layer(x), 5 * repeats)
    return flops(layer, x) / wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path, help="a CT; else noise of 512 x 512")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.path:
        slices = read_volume(arguments.path).canonical_slices()
        hu = np.ascontiguousarray(slices.hu[len(slices.hu) // 2])
        spacing = tuple(float(v) for v in np.linalg.norm(slices.ijk_to_ras[:3, [1, 0]], axis=0))
    else:
        hu, spacing = np.random.default_rng(0).normal(40, 20, (512, 512)).astype(np.float32), (0.75, 0.75)
    shipped = load_denoiser(device="cpu")
    plain = build_denoiser("red-cnn", {}).eval().to(memory_format=torch.channels_last)
    red_cnn = LoadedDenoiser(plain, None, shipped.identity, shipped.window, shipped.device, shipped.pixel_mm)
    top = peak(arguments.repeats)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {hu.shape[1]} x {hu.shape[0]} pixels")
    print(f"peak of this machine now: {top / 1e9:.0f} GFLOP/s (3 x 3 convolution, float32)")
    x = torch.from_numpy(shipped.window.apply(hu))[None, None]
    walls = {}
    for name, model, repeats in (("shipped", shipped, arguments.repeats), ("RED-CNN", red_cnn, 1)):
        wall, processor = seconds(lambda model=model: estimate_noise(hu, model), repeats)
        work = flops(model.network, x)
        walls[name] = wall
        share = work / wall / top
        print(
            f"{name}: {wall:.3f} s wall, {processor:.3f} s of processor a slice; {work / 1e9:.1f} GFLOP, "
            f"{share:.0%} of the peak"
        )
    mask, _ = seconds(lambda: correction_weight(hu, spacing), arguments.repeats)
    print(f"mask of the patient: {mask:.3f} s a slice")
    print(f"RED-CNN takes {walls['RED-CNN'] / walls['shipped']:.0f} times as long as the shipped denoiser")


if __name__ == "__main__":
    main()
