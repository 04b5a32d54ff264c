"""Speed against peers and against the machine, in one run: ``python -m Testing.benchmarks.speed [--check FILE]``.

100 slices of 512 x 512 (the shipped sample, repeated, each slice with a little noise of its own) are written as DICOM.
Seconds depend on the machine and on what else it does; so all networks take turns on the same slices, the shortest
time of each counts, and what is kept and compared are ratios. ``--check`` fails where one has dropped by more than
15 %, ``--write`` keeps them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTQualityAssessmentLib.assessment import assess_volume
from CTQualityAssessmentLib.assessment.denoising.engine import estimate_noise
from CTQualityAssessmentLib.assessment.slices import prepare_slice
from CTQualityAssessmentLib.assessment.volume_scoring import network_pixels
from CTQualityAssessmentLib.models import LoadedDenoiser, LoadedModel, load_bundle, load_denoiser
from CTQualityAssessmentLib.networks.registry import build_denoiser
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.volume import Volume
from CTQualityAssessmentLib.worker.exchange import write_volume
from CTQualityAssessmentLib.worker.protocol import AssessRequest, decode, encode

from Testing.benchmarks import roof
from Testing.benchmarks.peers import peers
from Testing.benchmarks.physical_measures import SAMPLE, repeated
from Testing.benchmarks.roof import copy_rate, flops, least_seconds, rates
from Testing.benchmarks.spine import write_tables
from Testing.dicom_factory import write_series

RATIOS = Path(__file__).with_name("ratios.json")
#: A ratio may drop by so much before the check fails.
DROP = 0.15
_OURS, _LARGE = "ClinReadNet", "TFKT V2"


def stack_of(slices: int, folder: Path) -> Volume:
    """The stack, written into ``folder`` as DICOM and read again."""
    sample = repeated(read_volume(SAMPLE), slices)
    noise = np.random.default_rng(0)
    hu = np.clip(sample.hu + noise.integers(-3, 4, sample.hu.shape), -1024, 3071).astype(np.int16)
    spacing = (float(sample.spacing[1]), float(sample.spacing[0]))
    write_series(folder, hu, step=(0, 0, float(sample.spacing[2])), pixel_spacing=spacing)
    return read_volume(folder)


def networks_alone(model: LoadedModel, volume: Volume, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds a slice and FLOP of each network; all take turns."""
    slices = volume.canonical_slices()
    some = [network_pixels(prepare_slice(volume, slices, k), model) for k in range(0, volume.slice_count, 25)]
    networks = {_OURS: model.network} | {name: make().eval() for name, make in peers().items()}
    found = {}
    with torch.inference_mode():
        for name, network in networks.items():
            network(some[0])
        best = {name: [np.inf] * len(some) for name in networks}
        for number in range(rounds):
            for name, network in networks.items():
                for n, x in enumerate(some):
                    if name == _LARGE and (n or number > 1):  # twenty times as long as the others
                        continue
                    begun = roof.clock()
                    network(x)
                    best[name][n] = min(best[name][n], roof.clock() - begun)
        for name, network in networks.items():
            found[name] = {
                "flop": flops(lambda network=network: network(some[0])),
                "s": float(np.mean([one for one in best[name] if one < np.inf])),
            }
    return found


def file_to_result(folder: Path, model: LoadedModel, repeats: int) -> dict[str, float]:
    """Seconds of each part from the files to the written tables, each the shortest of some runs."""
    best: dict[str, float] = {}
    for _ in range(repeats):
        begun = roof.clock()
        volume = read_volume(folder)
        read = roof.clock()
        slices = volume.canonical_slices()
        for k in range(volume.slice_count):
            network_pixels(prepare_slice(volume, slices, k), model)
        prepared = roof.clock()
        assessment = assess_volume(volume, model)
        assessed = roof.clock()
        with tempfile.TemporaryDirectory() as out:
            write_tables(Path(out), assessment)
            written = roof.clock()
        prepare = prepared - read
        parts = {
            "read": read - begun,
            "prepare": prepare,
            "network": assessed - prepared - prepare,
            "output": written - assessed,
            "total": written - begun - prepare,
        }
        if assessment.summary.scored != volume.slice_count:
            raise SystemExit("not every slice was scored")
        best = {part: min(seconds, best.get(part, seconds)) for part, seconds in parts.items()}
    return best


def first_score(volume: Volume) -> float:
    """Seconds from a request to a warm worker until its first score, of a volume that lies in a file."""
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root / "CTQualityAssessment"), str(root)))}
    process = subprocess.Popen(
        [sys.executable, "-m", "CTQualityAssessmentLib.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert process.stdin is not None and process.stdout is not None
    waited = []
    with tempfile.TemporaryDirectory() as name:
        fields = write_volume(Path(name) / "hu.npy", volume)
        for number in range(4):  # the first one loads torch and the weights
            (Path(name) / str(number)).mkdir()
            request = AssessRequest(id=str(number), folder=str(Path(name) / str(number)), device="cpu", **fields)
            begun = time.perf_counter()
            process.stdin.write(encode(request.to_message()).encode())
            process.stdin.flush()
            for line in process.stdout:
                message = decode(line)
                if message["t"] == "slice" and message["id"] == str(number):
                    waited.append(time.perf_counter() - begun)
                    process.stdin.write(encode({"t": "cancel", "id": str(number)}).encode())
                    process.stdin.flush()
                    break
        process.stdin.close()
        process.wait(30)
        process.stdout.close()
    return min(waited[1:])


def denoisers(volume: Volume, repeats: int) -> dict[str, dict[str, float]]:
    """Seconds a slice and FLOP of the shipped denoiser and of plain RED-CNN."""
    hu = np.ascontiguousarray(volume.canonical_slices().hu[volume.slice_count // 2])
    shipped = load_denoiser(device="cpu")
    plain = build_denoiser("red-cnn", {}).eval().to(memory_format=torch.channels_last)
    red_cnn = LoadedDenoiser(plain, None, shipped.identity, shipped.window, shipped.device, shipped.pixel_mm)
    x = torch.from_numpy(shipped.window.apply(hu))[None, None]
    seconds = least_seconds(lambda: estimate_noise(hu, shipped), 0, repeats)
    found = {"denoiser": {"s": seconds, "flop": flops(lambda: shipped.network(x))}}
    begun = roof.clock()  # once: it takes half a minute
    work = flops(lambda: estimate_noise(hu, red_cnn))
    return found | {"RED-CNN": {"s": roof.clock() - begun, "flop": work}}


def measured(slices: int, rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """The ratios, larger is better; what is to be read is said as it is found."""
    machine = f"{torch.get_num_threads()} threads, {os.cpu_count()} cores, {platform.machine()}"
    say(f"{machine}, torch {torch.__version__}; load of the machine {os.getloadavg()[0]:.1f}")
    model = load_bundle(device="cpu")
    with tempfile.TemporaryDirectory() as name:
        volume = stack_of(slices, Path(name))
        top_rates = rates(torch.float32)
        half = rates(torch.bfloat16)
        alone = networks_alone(model, volume, rounds)
        again = rates(torch.float32)
        top_rates = {part: max(top_rates[part], again[part]) for part in top_rates}
        top = max(top_rates.values())
        for kind, rate_of in (("float32", top_rates), ("bfloat16", half)):
            told = ", ".join(f"{part} {rate / 1e9:.0f}" for part, rate in rate_of.items())
            say(f"best rates, {kind}: {told} GFLOP/s")
        say("\n| network alone | ms a slice | slices/s | GFLOP | of the roof |\n|---|---|---|---|---|")
        for part, one in alone.items():
            figures = f"{1000 * one['s']:.0f} | {1 / one['s']:.1f} | {one['flop'] / 1e9:.1f}"
            say(f"| {part} | {figures} | {one['flop'] / one['s'] / top:.0%} |")
        whole = file_to_result(Path(name), model, 2)
        size = sum(path.stat().st_size for path in Path(name).iterdir())
    own = alone[_OURS]["s"]
    ratios = {f"speed over {name}": alone[name]["s"] / own for name in alone if name != _OURS}
    ratios["share of the roof"] = alone[_OURS]["flop"] / own / top
    beside = whole["read"] + whole["prepare"] + whole["output"]
    ratios["network over all else"] = whole["network"] / beside
    say(f"\n{slices} slices, file to finished assessment: {whole['total']:.2f} s")
    for part in ("read", "prepare", "network", "output"):
        say(f"  {part}: {whole[part]:.2f} s")
    say(f"  reading, preparation and output over the network: {beside / whole['network']:.0%}")
    bandwidth = copy_rate()
    moved = size + volume.hu.nbytes + slices * 3 * volume.hu[0].size * 4
    say(
        f"  bytes: {size / 1e6:.0f} MB of files, {volume.hu.nbytes / 1e6:.0f} MB of HU, {moved / 1e6:.0f} MB moved at "
        f"least; at this machine's {bandwidth / 1e9:.1f} GB/s that is {moved / bandwidth:.2f} s"
    )
    each = {}
    for n in (max(1, slices // 4), slices):
        begun = roof.clock()
        assess_volume(repeated(volume, n), model)
        each[n] = (roof.clock() - begun) / n
    say("seconds a slice, by the number of slices: " + ", ".join(f"{n}: {value:.3f}" for n, value in each.items()))
    say(f"first score of a warm worker: {first_score(volume):.2f} s by the clock")
    noise = denoisers(volume, 3 * rounds)
    for part, one in noise.items():
        say(f"{part}: {one['s']:.3f} s a slice, {one['flop'] / one['s'] / top:.0%} of the roof")
    ratios["denoiser over RED-CNN"] = noise["RED-CNN"]["s"] / noise["denoiser"]["s"]
    ratios["denoiser's share of the roof"] = noise["denoiser"]["flop"] / noise["denoiser"]["s"] / top
    return {name: round(float(value), 3) for name, value in ratios.items()}


def dropped(now: dict[str, float], kept: dict[str, float]) -> list[str]:
    """A line for each ratio that is worse than it was by more than :data:`DROP`."""
    return [
        f"{name}: {now.get(name, 0):.2f}, it was {before:.2f}"
        for name, before in kept.items()
        if now.get(name, 0) < (1 - DROP) * before
    ]


def main() -> int:
    """Measure, print, and compare; 1 where a ratio dropped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--processor", action="store_true", help="seconds of the processor, one thread: a busy machine")
    parser.add_argument("--check", type=Path, help="a file of ratios to compare with")
    parser.add_argument("--write", type=Path, help="a file to keep the ratios in")
    options = parser.parse_args()
    if options.processor:
        roof.by_processor()
    ratios = measured(options.slices, options.rounds, partial(print, flush=True))
    print("\nratios: " + ", ".join(f"{name} {value:.2f}" for name, value in ratios.items()))
    if options.write:
        kept: dict[str, Any] = {
            "command": " ".join(["python -m Testing.benchmarks.speed", *sys.argv[1:]]),
            "ratios": ratios,
        }
        options.write.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if options.check and not options.check.exists():
        print(f"nothing to compare with: keep these ratios on a quiet machine, --write {options.check}")
    elif options.check:
        worse = dropped(ratios, json.loads(options.check.read_text(encoding="utf-8"))["ratios"])
        print("\n".join(f"DROPPED by more than {DROP:.0%}: {line}" for line in worse))
        return int(bool(worse))
    return 0


if __name__ == "__main__":
    sys.exit(main())
