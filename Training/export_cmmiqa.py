"""Makes a model bundle of a CMMIQA run: weights, metadata, model card.

python -m Training.export_cmmiqa runs/cmmiqa --to CTQualityAssessment/Resources/Models \\
    --evaluation build/evaluation_cmmiqa.json
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.networks.cmmiqa import CMMIQA

from Training.bundle_folder import write_bundle
from Training.cmmiqa_recipe import CMMIQARecipe, read_cmmiqa_recipe
from Training.command import run_command
from Training.data.sources import data_folder
from Training.data.volume_list import LabelledVolume, read_volume_list
from Training.data.volume_sources import CT_SOURCES, MR_SOURCES
from Training.evaluate_cmmiqa import MEASURES, load_network
from Training.model_card import card_head

SIMULATED = (
    "Trained on simulated degradations of public CT of chest and abdomen and of T1 MR of limbs with computed labels, "
    "not on the scores of readers: a relative index, not a radiologist's opinion."
)
RATED = "Trained on the scores of the readers of one list of volumes: it says what they would probably have said."
LIMITS = (
    "The labels are computed. Of CT: PSNR against the same volume without degradation, on the scale of the surrogate "
    "score. Of MR: a sum of penalties by the level of each degradation, whose weights are ours.",
    "CT was simulated as 2D parallel-beam filtered back projection of cleaned slices, with noise, fewer views, kernel, "
    "thickness and rigid motion. MR is T1 of limbs with soft-tissue sarcoma, bias-corrected, fat-normalised and "
    "cropped by its publishers; other sequences, organs and coils are unknown to the network.",
    "The noise that the MR sources bring themselves is not in their labels.",
    "Every n-th pixel is read, so that fine detail is seen as noise and not as sharpness.",
    "A handful of patients: the intervals below are over volumes, and too narrow.",
    "The profile has one value for every eight slices, interpolated between them; the maps are as coarse.",
    "Organs other than chest, abdomen and extremity were never told in training: such a word is an untrained vector.",
)
INTENDED_USE = (
    "Research and quality work by radiologists and medical physicists who compare volumes of one protocol. Not for "
    "diagnosis, not for accepting or rejecting an examination without looking at it."
)


def export(run: Path, parent: Path, evaluation: list[dict[str, Any]] | None = None) -> Path:
    """Writes the bundle ``parent/<name of the recipe>`` and returns its folder; an older one is replaced at the end.

    Raises:
        RunError: the run is not done.
        TrainingDataError: its list is not there any more.
        ValueError: the weights are too large to ship.
    """
    recipe = read_cmmiqa_recipe(run / "recipe.json")
    network = load_network(run, recipe)
    rows = read_volume_list(Path(recipe.data), recipe.score_max)
    trained = [row for row in rows if row.patient not in recipe.held_out]
    # Variances of faint noise are too small for half precision; they are few.
    tensors = {name: value.half() for name, value in network.named_parameters()} | dict(network.named_buffers())
    return write_bundle(
        parent,
        recipe.to_dict(),
        tensors,
        lambda sha256: bundle_metadata(recipe, network, sha256, trained, evaluation or []),
        model_card,
        _INFERENCE,
    )


def bundle_metadata(
    recipe: CMMIQARecipe,
    network: CMMIQA,
    sha256: str,
    trained: list[LabelledVolume],
    evaluation: list[dict[str, Any]],
) -> dict[str, Any]:
    """``metadata.json``: MONAI's fields, and ours under "ctqa"."""
    import monai

    simulated = any(row.levels for row in trained)
    patients = sorted({row.patient for row in trained})
    volume = {
        "type": "image",
        "format": "intensity",
        "modality": "CT, MR",
        "num_channels": 1,
        "spatial_shape": ["*", "*", "*"],
        "dtype": "float32",
        "is_patch_data": False,
    }
    return {
        "version": __version__,
        "changelog": {__version__: "first weights"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.4"},
        "name": recipe.name,
        "task": "Image quality of CT and MR volumes without a reference",
        "description": "Hybrid-convolution network with aware prompts, reconstructed from the abstract of CMMIQA: one "
        "score for a whole CT or MR volume, a profile along the patient, score and weight maps.",
        "authors": "CTQualityAssessment developers",
        "copyright": "Apache-2.0",
        "data_source": "; ".join(_collections(patients)) if simulated else "a list of scored volumes",
        "data_type": "simulated" if simulated else "nifti or dicom",
        "intended_use": INTENDED_USE,
        "references": ["CMMIQA, Quant. Imaging Med. Surg. 15(7):6326-6339, 2025 (abstract)"],
        "eval_metrics": {f"{row['name']}, {row['part']}": {k: row[k][0] for k in MEASURES} for row in evaluation},
        "network_data_format": {
            "inputs": {
                "image": {
                    **volume,
                    "value_range": [0, 1],
                    "channel_def": {"0": f"CT by the window {recipe.window}, MR by its 0.5 and 99.5 percentiles"},
                }
            },
            "outputs": {"pred": {**volume, "value_range": [0, 1], "channel_def": {"0": "score map and weight map"}}},
        },
        "ctqa": {
            "network": "cmmiqa",
            "network_config": network.config.to_dict(),
            "window": recipe.window,
            "input_size": recipe.input_size,
            "sha256": sha256,
            "simulated_labels": simulated,
            "statement": SIMULATED if simulated else RATED,
            "limits": list(LIMITS) if simulated else [],
            "parameters": sum(p.numel() for p in network.parameters()),
            "training_volumes": {m: sum(row.prompt.modality == m for row in trained) for m in ("CT", "MR")},
            "training_patients": patients,
            "held_out_patients": list(recipe.held_out),
            "trained_with": {"python": platform.python_version(), "torch": torch.__version__},
            "evaluation": evaluation,
        },
    }


def model_card(metadata: dict[str, Any]) -> str:
    """``docs/README.md`` from the metadata, so that the two never disagree."""
    ours = metadata["ctqa"]
    volumes = ours["training_volumes"]
    what = "degraded" if ours["simulated_labels"] else "scored"
    lines = [
        *card_head(metadata),
        "## Training data",
        f"{volumes['CT']} {what} CT and {volumes['MR']} {what} MR volumes of {len(ours['training_patients'])} patients "
        f"({', '.join(ours['training_patients'])}). Never trained on: {', '.join(ours['held_out_patients'])}.",
        "",
        *[f"- {source}" for source in metadata["data_source"].split("; ")],
        "",
        "## Limits",
        *[f"- {limit}" for limit in ours["limits"]],
        "",
        "## Figures on the held-out patients",
        "Scores on the scale of 0 to 1, with the 95 % bootstrap interval over volumes. A wrong prompt names the other",
        "modality and the organ brain.",
        "",
        "| scorer | volumes | SRCC | PLCC | RMSE |",
        "|---|---|---|---|---|",
    ]
    for row in ours["evaluation"]:
        cells = [f"{row[k][0]:.3f} [{row[k][1]:.3f}, {row[k][2]:.3f}]" for k in MEASURES]
        lines.append(f"| {row['name']} | {row['part']} ({row['volumes']}) | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Identity",
        f"{ours['parameters']:,} parameters, stored as float16. SHA-256 of the weights: `{ours['sha256']}`.",
        f"Window `{ours['window']}`, every n-th pixel so that the longer side comes closest to {ours['input_size']}. "
        "Licence: Apache-2.0.",
    ]
    return "\n".join(lines)


def _collections(patients: list[str]) -> list[str]:
    """Title, DOI and licence of the collections that were trained on, from the data folder's manifest."""
    manifest = json.loads((data_folder() / "manifest.json").read_text(encoding="utf-8"))
    folders = (("ct/volumes", CT_SOURCES), ("mr", MR_SOURCES))
    trained = {
        f"{folder}/{name}.nii.gz"
        for folder, sources in folders
        for name, (patient, _) in sources.items()
        if patient in patients
    }
    return sorted({f"{entry['collection']}, {entry['licence']}" for entry in manifest if entry["file"] in trained})


#: Lets ``python -m monai.bundle run`` use the bundle; this project's engine does not read it.
_INFERENCE = {
    "imports": [
        "$import json",
        "$from CTQualityAssessmentLib.assessment import assess_volume",
        "$from CTQualityAssessmentLib.models import load_bundle",
        "$from CTQualityAssessmentLib.reading import Wanted, read_volume",
    ],
    "bundle_root": ".",
    "image": "",
    "device": "auto",
    "model": "$load_bundle(@bundle_root, @device)",
    "volume": "$read_volume(@image, wanted=Wanted(('CT', 'MR')))",
    "assessment": "$assess_volume(@volume, @model)",
    "run": ["$print(json.dumps(@assessment.to_dict()))"],
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of Training.train_cmmiqa")
    parser.add_argument("--to", type=Path, required=True, help="folder that bundles live in")
    parser.add_argument("--evaluation", type=Path, help="table written by Training.evaluate_cmmiqa --out")
    arguments = parser.parse_args()
    evaluation = json.loads(arguments.evaluation.read_text(encoding="utf-8")) if arguments.evaluation else None
    print(export(arguments.run, arguments.to, evaluation))


if __name__ == "__main__":
    run_command(main)
