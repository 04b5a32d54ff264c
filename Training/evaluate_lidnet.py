"""What denoisers do on patients that none of them was trained on: fidelity, and what a frozen detector finds.

    python -m Training.evaluate_lidnet --judge runs/lidnet LIDnet=runs/lidnet baseline=runs/lidnet_baseline \\
        --data build/dose_pairs --out build/evaluation_lidnet.json

Rows: the low dose itself, each denoiser, full dose. Reference of the fidelity is the same reconstruction without noise,
inside the body: PSNR and SSIM of the displayed grey values (window W 350 / L 40, peak 1), RMSE in HU without any
window. AP is of the judge, the detector as its own stage left it, on lesions whose truth is known, at an overlap (IoU)
of 0.1 (found at its place) and of 0.5 (with its size). All with a 95 % bootstrap interval over slices; the patients are
too few to draw from.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.assessment.denoising.engine import without_edges
from CTQualityAssessmentLib.assessment.denoising.lesions import lesion_box, lesion_hu
from CTQualityAssessmentLib.networks.lesion_detector import LesionDetector, LesionDetectorConfig, find_boxes
from CTQualityAssessmentLib.networks.registry import build_denoiser
from numpy.typing import NDArray
from torch import nn

from Training.data.builder import HELD_OUT
from Training.data.dose_pairs import DOSES, DosePair, read_pairs
from Training.data.lesion_crops import WINDOW, draw_lesion, places_of
from Training.lidnet_recipe import LIDnetRecipe, read_lidnet_recipe
from Training.metrics.fidelity import psnr, ssim
from Training.whole_files import write_json

#: At most so many lesions of each tissue in a slice.
_LESIONS = 8
_IOUS = (0.1, 0.5)
_MOST_BOXES = 32


@dataclass(frozen=True)
class HeldOutSlice:
    """One slice with lesions: HU of the reconstruction without noise and of each dose, and the true boxes."""

    pair: DosePair
    clean: NDArray[np.float32]
    doses: dict[float, NDArray[np.float32]]
    boxes: NDArray[np.float32]
    body: NDArray[np.bool_]


@dataclass(frozen=True)
class SliceFigures:
    """Fidelity of one image of one slice, and MONAI's match of the boxes found in it with the true ones."""

    psnr: float
    ssim: float
    rmse_hu: float
    match: dict[int, dict[str, NDArray[Any]]]


def held_out_slice(pair: DosePair, seed: int = 7) -> HeldOutSlice:
    """A held-out slice with lesions in its liver, soft tissue or lung; the same each time."""
    rng = np.random.default_rng([seed, int.from_bytes(pair.source.encode(), "little") % 2**32])
    images = pair.read().astype(np.float32)
    spacing = (pair.spacing_mm, pair.spacing_mm)
    lesions, boxes, counts = np.zeros(images.shape[1:], np.float32), [], {"lung": 0, "soft tissue": 0}
    for tissue, row, column in places_of(pair, rng):
        if counts[tissue] < _LESIONS:
            counts[tissue] += 1
            lesion = draw_lesion(tissue, rng)
            lesions += lesion_hu(lesion, lesions.shape, (row, column), spacing)
            boxes.append(lesion_box(lesion, (row, column), spacing))
    return HeldOutSlice(
        pair,
        images[0] + lesions,
        {dose: images[n] + lesions for n, dose in enumerate(DOSES) if n},
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        body_mask(images[0], spacing),
    )


def measure(one: HeldOutSlice, hu: NDArray[np.float32], judge: nn.Module) -> SliceFigures:
    """Figures of one image of a slice."""
    error = (hu - one.clean)[one.body].astype(np.float64)
    with torch.inference_mode():
        (found,) = find_boxes(judge(torch.from_numpy(WINDOW.apply(hu))[None, None]), _MOST_BOXES, threshold=0.02)
    return SliceFigures(
        psnr(one.clean, hu, one.body),
        ssim(one.clean, hu, one.body),
        float(np.sqrt((error**2).mean())),
        _match(found.boxes.numpy(), found.scores.numpy(), one.boxes),
    )


def average_precision(matches: list[dict[int, dict[str, NDArray[Any]]]]) -> dict[float, float]:
    """AP at each overlap, after COCO, as MONAI computes it; NaN without a true box."""
    from monai.apps.detection.metrics.coco import COCOMetric

    found, _ = COCOMetric(["lesion"], iou_list=_IOUS, max_detection=(_MOST_BOXES,), verbose=False)(matches)
    return {iou: found.get(f"AP_IoU_{iou:.2f}_MaxDet_{_MOST_BOXES}", float("nan")) for iou in _IOUS}


def summarise(name: str, figures: list[SliceFigures], repeats: int = 200) -> dict[str, Any]:
    """Means, AP and their intervals over slices, as plain types."""
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, len(figures), len(figures)) for _ in range(repeats)]
    row: dict[str, Any] = {"name": name, "slices": len(figures)}
    for key in ("psnr", "ssim", "rmse_hu"):
        values = np.array([getattr(one, key) for one in figures])
        row[key] = _interval(float(values.mean()), [float(values[draw].mean()) for draw in draws])
    whole = average_precision([one.match for one in figures])
    drawn = [average_precision([figures[n].match for n in draw]) for draw in draws]
    for iou in _IOUS:
        row[f"ap_{iou:g}"] = _interval(whole[iou], [one[iou] for one in drawn])
    return row


def evaluate(
    data: Path, judge: Path, denoisers: dict[str, Path], doses: tuple[float, ...], repeats: int = 200
) -> list[dict[str, Any]]:
    """Rows for each dose and image, over all held-out slices and for each of the three data sets.

    Raises:
        ValueError: no held-out slice is in the data, or a network may have been trained on one.
        TrainingDataError: there are no dose pairs.
    """
    slices = [held_out_slice(pair) for pair in read_pairs(data) if pair.patient in HELD_OUT]
    if not slices:
        raise ValueError("none of the held-out patients is in the data folder")
    detector = load_judge(judge)
    networks = {name: load_run(folder) for name, folder in denoisers.items()}
    rows = []
    for dose in doses:
        images: dict[str, Callable[[HeldOutSlice], NDArray[np.float32]]] = {
            "low dose": lambda one, dose=dose: one.doses[dose],
            **{
                name: lambda one, network=network, dose=dose: _denoised(network, one.doses[dose])
                for name, network in networks.items()
            },
            "full dose": lambda one: one.doses[1.0],
        }
        for name, image in images.items():
            figures = [measure(one, image(one), detector) for one in slices]
            parts = {"all": list(range(len(slices)))}
            for n, one in enumerate(slices):
                parts.setdefault(one.pair.part, []).append(n)
            for part, chosen in parts.items():
                row = summarise(name, [figures[n] for n in chosen], repeats)
                row |= {"dose": dose, "part": part, "lesions": int(sum(len(slices[n].boxes) for n in chosen))}
                rows.append(row)
                print(line(row), flush=True)
    return rows


def load_run(folder: Path) -> nn.Module:
    """The averaged denoiser of a run of :mod:`Training.train_lidnet`.

    Raises:
        ValueError: it may have been trained on a held-out patient.
    """
    from safetensors.torch import load_file

    recipe = _recipe(folder)
    network = build_denoiser(recipe.denoiser, recipe.denoiser_config)
    network.load_state_dict(load_file(folder / "denoiser.safetensors"))
    return network.eval().to(memory_format=torch.channels_last)


def load_judge(folder: Path) -> nn.Module:
    """The detector of a run as its own stage left it; errors as :func:`load_run`."""
    from safetensors.torch import load_file

    network = LesionDetector(LesionDetectorConfig.from_dict(_recipe(folder).detector_config))
    network.load_state_dict(load_file(folder / "judge.safetensors"))
    return network.eval()


def line(row: dict[str, Any]) -> str:
    """One printed line of the table."""
    figures = "  ".join(
        f"{key} {row[key][0]:.3f} [{row[key][1]:.3f}, {row[key][2]:.3f}]"
        for key in ("psnr", "ssim", "rmse_hu", "ap_0.1", "ap_0.5")
    )
    where = f"dose {row['dose']:.0%}, {row['part']}, {row['slices']} slices, {row['lesions']} lesions"
    return f"{where}, {row['name']}: {figures}"


def _recipe(folder: Path) -> LIDnetRecipe:
    recipe = read_lidnet_recipe(folder / "recipe.json")
    if not set(HELD_OUT) <= set(recipe.held_out):
        raise ValueError("a network may have seen one of the held-out patients; its figures would be too good")
    return recipe


def _denoised(network: nn.Module, hu: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return hu - without_edges(network(torch.from_numpy(WINDOW.apply(hu))[None, None])[0, 0].numpy(), hu)


def _match(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], true: NDArray[np.float32]
) -> dict[int, dict[str, NDArray[Any]]]:
    from monai.apps.detection.metrics.coco import COCOMetric
    from monai.apps.detection.metrics.matching import matching_batch
    from monai.data.box_utils import box_iou

    metric = COCOMetric(["lesion"], iou_list=_IOUS, max_detection=(_MOST_BOXES,), verbose=False)
    (found,) = matching_batch(
        iou_fn=box_iou,
        iou_thresholds=metric.iou_thresholds,
        pred_boxes=[boxes],
        pred_classes=[np.zeros(len(boxes), dtype=np.int64)],
        pred_scores=[scores],
        gt_boxes=[true],
        gt_classes=[np.zeros(len(true), dtype=np.int64)],
        max_detections=_MOST_BOXES,
    )
    return found


def _interval(value: float, draws: list[float]) -> tuple[float, float, float]:
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return value, float(low), float(high)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("denoisers", nargs="+", metavar="NAME=RUN", help="run folders of Training.train_lidnet")
    parser.add_argument("--judge", type=Path, required=True, metavar="RUN", help="run whose judge finds the lesions")
    parser.add_argument("--data", type=Path, default=Path("build/dose_pairs"))
    parser.add_argument("--doses", type=float, nargs="+", default=[0.25, 0.1])
    parser.add_argument("--repeats", type=int, default=200, help="bootstrap repeats")
    parser.add_argument("--out", type=Path, help="JSON file for the table")
    arguments = parser.parse_args()
    runs = dict(item.split("=", 1) for item in arguments.denoisers)
    rows = evaluate(
        arguments.data,
        arguments.judge,
        {name: Path(run) for name, run in runs.items()},
        tuple(arguments.doses),
        arguments.repeats,
    )
    if arguments.out:
        write_json(arguments.out, rows)


if __name__ == "__main__":
    main()
