"""Where the time of one assessment goes: ``python -m Testing.benchmarks.spine [PATH]``.

Every stage runs twice in one process and the second, warm time counts. Seconds depend on the machine and on what else
it does; the shares of one run are what to compare.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from CTQualityAssessmentLib.assessment import assess_volume, body_mask, default_batch_size
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, load_bundle
from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment
from CTQualityAssessmentLib.mrml.scene import create_bare_scene
from CTQualityAssessmentLib.mrml.scene_file import save_scene
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.reporting.csv_file import write_csv
from CTQualityAssessmentLib.reporting.figures import write_figures
from CTQualityAssessmentLib.reporting.json_file import write_json
from CTQualityAssessmentLib.reporting.slice_panels import pixel_spacing
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.volume import Volume

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "CTQA-phantom"


def warm(work: Callable[[], Any]) -> tuple[Any, float]:
    """Result and seconds of the second of two calls."""
    work()
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def write_tables(folder: Path, assessment: VolumeAssessment) -> None:
    write_json(folder / "assessment.json", assessment)
    write_csv(folder / "slices.csv", assessment)


def write_scene(folder: Path, volume: Volume, assessment: VolumeAssessment) -> None:
    bare = create_bare_scene()
    slices = volume.canonical_slices()
    add_assessment(bare.scene, add_volume(bare.scene, volume), assessment, body_mask(slices.hu, pixel_spacing(slices)))
    save_scene(bare.scene, folder / "scene.mrb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--model", default=DEFAULT_BUNDLE)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, help="slices at a time (default: as in 'ctqa assess')")
    options = parser.parse_args()

    seconds: dict[str, float] = {}
    volume, seconds["read"] = warm(lambda: read_volume(options.path))
    model, seconds["load model"] = warm(lambda: load_bundle(options.model, device=options.device))
    batch = options.batch or default_batch_size(model)
    for name, stages in (("assess, no attention", ()), ("assess", (3,))):
        assessment, seconds[name] = warm(
            lambda wanted=stages: assess_volume(volume, model, batch_size=batch, attention_stages=wanted)
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, seconds["tables"] = warm(lambda: write_tables(folder, assessment))
        _, seconds["figures"] = warm(lambda: write_figures(folder / "figures.png", volume, assessment))
        _, seconds["scene"] = warm(lambda: write_scene(folder, volume, assessment))

    plain = seconds.pop("assess, no attention")
    total = sum(seconds.values())
    columns, rows = volume.canonical_slices().hu.shape[:0:-1]
    print(
        f"{volume.slice_count} slices of {columns} x {rows}, {assessment.summary.scored} scored; {model.device}, "
        f"{torch.get_num_threads()} threads, batch {batch}, torch {torch.__version__}, {platform.machine()}"
    )
    for stage, spent in seconds.items():
        print(f"{stage:12} {spent:8.2f} s {spent / total:6.1%}")
    print(f"{'total':12} {total:8.2f} s   without Python's start and imports")
    inside = assessment.timings_s
    for part in ("prepare", "network"):
        print(f"{part} within assess: {inside[part] / inside['total']:.1%}")
    print(f"attention maps of one stage: {seconds['assess'] / plain:.2f} times the time without")
    print(f"per scored slice: {1000 * inside['network'] / max(assessment.summary.scored, 1):.0f} ms network")


if __name__ == "__main__":
    main()
