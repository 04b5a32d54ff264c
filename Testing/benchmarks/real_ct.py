"""What the shipped model says of the sample and of real CT, with the figures that the README quotes.

    python -m Testing.benchmarks.real_ct [--pictures DIR]

The sample: rank correlation with its known truth. The two kernels of one scan: in how many slices the soft one scores
higher. Every real CT of the development data: scores and refusals. With ``--pictures`` a page of figures and the three
slice views with the quality overlay of each, for looking at.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.assessment import assess_volume, body_mask
from CTQualityAssessmentLib.models import LoadedModel, load_bundle
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.results import VolumeAssessment
from CTQualityAssessmentLib.volume import Volume
from scipy import stats

from Training.data.sources import PATIENTS, data_folder

SAMPLE = Path(__file__).parents[2] / "Resources" / "SampleData" / "CTQA-phantom"
#: Volumes whose patients no shipped weights were trained on are marked in the table.
_UNSEEN = {"ge_abdomen_pelvis_acrin001", "philips_chest_soft_lungdxA0001", "philips_chest_sharp_lungdxA0001"}


def run(path: Path, model: LoadedModel) -> tuple[Volume, VolumeAssessment, float]:
    """Volume, assessment and seconds for both."""
    started = time.perf_counter()
    volume = read_volume(path)
    return volume, assess_volume(volume, model, attention_stages=(3,)), time.perf_counter() - started


def line(name: str, assessment: VolumeAssessment, seconds: float) -> str:
    """One row of the table."""
    summary = assessment.summary
    refused = ", ".join(f"{n} {code}" for code, n in _refusals(assessment).items()) or "none"
    scores = (
        f"{summary.mean:.2f} | {summary.minimum:.2f}-{summary.maximum:.2f} | {summary.grade}"
        if summary.scored
        else "- | - | -"
    )
    return f"| {name} | {summary.slices} | {scores} | {refused} | {seconds:.1f} |"


def _refusals(assessment: VolumeAssessment) -> Counter[str]:
    return Counter(s.refusal.code for s in assessment.slices if s.refusal is not None)


def picture(name: str, volume: Volume, assessment: VolumeAssessment, folder: Path) -> None:
    """The page of figures and the slice views of one assessment."""
    from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene
    from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
    from CTQualityAssessmentLib.reporting.figures import write_figures

    from Testing.visual.render_views import render_slice_views

    write_figures(folder / f"{name}-figures.png", volume, assessment)
    slices = volume.canonical_slices()
    columns, rows, _ = np.linalg.norm(slices.ijk_to_ras[:3, :3], axis=0)
    bare = create_bare_scene()
    node = add_volume(bare.scene, volume)
    node.GetDisplayNode().AutoWindowLevelOff()
    node.GetDisplayNode().SetWindowLevel(350, 40)
    nodes = add_assessment(bare.scene, node, assessment, body_mask(slices.hu, (rows, columns)))
    render_slice_views(bare.scene, node, nodes.quality, folder / f"{name}-quality.png")
    if nodes.attention:
        render_slice_views(bare.scene, node, nodes.attention[-1], folder / f"{name}-attention.png")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="bundle name or folder")
    parser.add_argument("--pictures", type=Path)
    arguments = parser.parse_args()
    model = load_bundle(arguments.model) if arguments.model else load_bundle()
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)

    folder = data_folder() / "ct"
    paths = {"sample": SAMPLE / "dicom"}
    paths |= {p.name: p for p in sorted((folder / "dicom").glob("*")) if p.is_dir()}
    singles = sorted((folder / "dicom" / "ge_toshiba_single_slices_covidny").glob("*.dcm"))
    paths |= {f.name.removesuffix(".nii.gz"): f for f in sorted((folder / "volumes").glob("*.nii.gz"))}
    paths.pop("ge_toshiba_single_slices_covidny", None)

    print(f"{model.identity.name} {model.identity.version}, SHA-256 {model.identity.sha256[:12]}...")
    print("| CT | slices | mean | range | grade | refused | s |\n|---|---|---|---|---|---|---|")
    found = {}
    for name, path in paths.items():
        volume, assessment, seconds = run(path, model)
        found[name] = assessment
        seen = "" if name not in PATIENTS or name in _UNSEEN else " (trained on, degraded)"
        print(line(name + seen, assessment, seconds), flush=True)
        if arguments.pictures:
            picture(name, volume, assessment, arguments.pictures)
    if singles:
        slices = [run(path, model)[1].slices[0] for path in singles]
        scores = [s.score for s in slices if s.score is not None]
        print(
            f"| {len(singles)} single slices of 10 patients | 1 each | {np.mean(scores):.2f} | {min(scores):.2f}-"
            f"{max(scores):.2f} | | {len(slices) - len(scores)} refused | |"
        )

    with (SAMPLE / "truth.csv").open(encoding="utf-8") as file:
        truth = list(csv.DictReader(file))
    scores = found["sample"].scores()
    known = np.isfinite(scores)
    for column in ("fidelity", "dose_view_score"):
        values = np.array([float(row[column]) for row in truth])
        print(f"sample: SROCC with the true {column} {stats.spearmanr(scores[known], values[known])[0]:.3f}")
    if (pair := "philips_chest_{}_lungdxA0001").format("soft") in found:
        soft, sharp = (found[pair.format(kernel)].scores() for kernel in ("soft", "sharp"))
        both = np.isfinite(soft) & np.isfinite(sharp)
        print(
            f"two kernels of one scan: the soft one scores higher in {(soft > sharp)[both].sum()} of {both.sum()} "
            f"slices, mean {soft[both].mean():.2f} against {sharp[both].mean():.2f}"
        )


if __name__ == "__main__":
    main()
