"""Makes a model bundle of a LIDnet run: denoiser and the detector that judged it, metadata, model card.

    python -m Training.export_lidnet runs/lidnet --to CTQualityAssessment/Resources/Models \\
        --evaluation build/evaluation_lidnet.json
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
from CTQualityAssessmentLib.networks.lesion_detector import LesionDetector, LesionDetectorConfig
from CTQualityAssessmentLib.networks.registry import build_denoiser

from Training.bundle_folder import write_bundle
from Training.data.dose_pairs import DosePair, read_pairs
from Training.data.lesion_crops import WINDOW
from Training.data.sources import PATIENTS, data_folder
from Training.lidnet_recipe import LIDnetRecipe, read_lidnet_recipe
from Training.model_card import card_head

STATEMENT = (
    "Trained on simulated dose reduction with inserted lesions, not on scans at two doses and not on real lesions. "
    "Denoising can remove what matters; not a medical device."
)
LIMITS = (
    "The noise is of 2D parallel-beam filtered back projection with five kernels: no iterative reconstruction, no fan "
    "or cone geometry, scatter, beam hardening, metal or motion.",
    "Slices are denoised one by one, along the patient nothing is compared.",
    "The images without noise come from slices that were averaged and smoothed first: fine texture of organs is not in "
    "them, and may be taken for noise.",
    "The lesions are discs and ellipses of our own in lung and soft tissue; the detector knows no others.",
    "Trained on chest and abdomen of adults in axial slices.",
    "The weight of the term that keeps faint lesions, and the rule that leaves strong edges alone, were chosen by "
    "looking at acrin001, which is held out, among others: its figures are no blind test. The arms below had 200 joint "
    "steps, the shipped one 350 at a higher rate.",
    "With sharp kernels the residual shows outlines of ribs, vertebrae and heart beside the noise, and the guard "
    "raises its flag.",
    "On the held-out slices below, LIDnet's joint training did not differ from the same denoiser trained alone for as "
    "long. The term that keeps faint lesions costs noise reduction, and the frozen detector found no more for it.",
)
INTENDED_USE = (
    "Research and quality work by radiologists and medical physicists who look at original, result and residual side "
    "by side. Not for diagnosis."
)


def export(run: Path, parent: Path, evaluation: list[dict[str, Any]] | None = None) -> Path:
    """Writes the bundle ``parent/<name of the recipe>`` and returns its folder; an older one is replaced at the end.

    Raises:
        ValueError: the weights are too large to ship.
    """
    from safetensors.torch import load_file

    recipe = read_lidnet_recipe(run / "recipe.json")
    denoiser = build_denoiser(recipe.denoiser, recipe.denoiser_config)
    denoiser.load_state_dict(load_file(run / "denoiser.safetensors"))
    judge = LesionDetector(LesionDetectorConfig.from_dict(recipe.detector_config))
    judge.load_state_dict(load_file(run / "judge.safetensors"))
    trained = [pair for pair in read_pairs(Path(recipe.data)) if pair.patient not in recipe.held_out]

    tensors = {f"denoiser.{k}": v.half() for k, v in denoiser.state_dict().items()}
    tensors |= {f"detector.{k}": v.half() for k, v in judge.state_dict().items()}
    return write_bundle(
        parent,
        recipe.to_dict(),
        tensors,
        lambda sha256: bundle_metadata(recipe, denoiser, judge, sha256, trained, evaluation or []),
        model_card,
        _INFERENCE,
    )


def bundle_metadata(
    recipe: LIDnetRecipe,
    denoiser: torch.nn.Module,
    judge: LesionDetector,
    sha256: str,
    trained: list[DosePair],
    evaluation: list[dict[str, Any]],
) -> dict[str, Any]:
    """``metadata.json``: MONAI's fields, and ours under "ctqa"."""
    import monai

    network = denoiser if recipe.denoiser == "light-denoiser" else denoiser.network
    image = {
        "type": "image",
        "format": "hounsfield",
        "modality": "CT",
        "num_channels": 1,
        "spatial_shape": [512, 512],
        "dtype": "float32",
        "is_patch_data": False,
    }
    patients = sorted({pair.patient for pair in trained})
    return {
        "version": __version__,
        "changelog": {__version__: "first weights"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.4"},
        "name": recipe.name,
        "task": "Noise reduction of CT slices",
        "description": f"LIDnet with the network {recipe.denoiser}, reconstructed from the abstract of arXiv "
        "2104.08845: noise of a slice in HU.",
        "authors": "CTQualityAssessment developers",
        "copyright": "Apache-2.0",
        "data_source": "; ".join(_collections(patients)) + "; lesions and noise are simulated",
        "data_type": "simulated",
        "intended_use": INTENDED_USE,
        "references": [
            "LIDnet, arXiv 2104.08845 (abstract)",
            "RED-CNN, IEEE TMI 36(12):2524, 2017",
            "CenterNet, arXiv 1904.07850",
        ],
        "eval_metrics": {
            f"{row['name']}, dose {row['dose']:.0%}, {row['part']}": {k: row[k][0] for k in _FIGURES}
            for row in evaluation
        },
        "network_data_format": {
            "inputs": {
                "image": {
                    **image,
                    "value_range": [0, 1],
                    "channel_def": {"0": f"window full, {WINDOW.lower:g} to {WINDOW.upper:g} HU"},
                }
            },
            "outputs": {
                "pred": {**image, "value_range": [-1024, 3072], "channel_def": {"0": "noise in HU, to be subtracted"}}
            },
        },
        "ctqa": {
            "network": recipe.denoiser,
            "network_config": network.config.to_dict(),
            "detector_config": judge.config.to_dict(),
            "window": WINDOW.name,
            "input_size": 512,
            "pixel_mm": [
                round(min(pair.spacing_mm for pair in trained), 3),
                round(max(pair.spacing_mm for pair in trained), 3),
            ],
            "sha256": sha256,
            "simulated_labels": True,
            "statement": STATEMENT,
            "limits": list(LIMITS),
            "parameters": sum(p.numel() for p in denoiser.parameters()),
            "detector_parameters": sum(p.numel() for p in judge.parameters()),
            "training_slices": len(trained),
            "training_patients": patients,
            "held_out_patients": list(recipe.held_out),
            "trained_with": {"python": platform.python_version(), "torch": torch.__version__},
            "evaluation": evaluation,
        },
    }


_FIGURES = ("psnr", "ssim", "rmse_hu", "ap_0.1", "ap_0.5")


def model_card(metadata: dict[str, Any]) -> str:
    """``docs/README.md`` from the metadata, so that the two never disagree."""
    ours = metadata["ctqa"]
    lines = [
        *card_head(metadata),
        "## Training data",
        f"{ours['training_slices']} slices of {len(ours['training_patients'])} patients "
        f"({', '.join(ours['training_patients'])}), each without noise and at 100, 25 and 10 % dose, with inserted "
        f"lesions. Never trained on: {', '.join(ours['held_out_patients'])}.",
        "",
        *[f"- {source}" for source in metadata["data_source"].split("; ")],
        "",
        "## Limits",
        *[f"- {limit}" for limit in ours["limits"]],
        "",
        "## Figures on the held-out patients",
        "Simulated dose and inserted lesions. Reference: the same reconstruction without noise, inside the body. PSNR",
        "and SSIM of the displayed grey values (W 350 / L 40, peak 1), RMSE in HU without a window, AP of the frozen",
        "detector at an overlap of 0.1 and 0.5; with the 95 % bootstrap interval over slices. Denoised as the engine",
        "does it, edges left alone. They say how well the network learned the simulation.",
        "",
        "| dose, part (slices, lesions) | image | PSNR (dB) | SSIM | RMSE (HU) | AP 0.1 | AP 0.5 |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ours["evaluation"]:
        cells = [
            f"{row[key][0]:.{digits}f} [{row[key][1]:.{digits}f}, {row[key][2]:.{digits}f}]"
            for key, digits in zip(_FIGURES, (2, 3, 1, 2, 2), strict=True)
        ]
        where = f"{row['dose']:.0%}, {row['part']} ({row['slices']}, {row['lesions']})"
        lines.append(f"| {where} | {row['name']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "## Identity",
        f"{ours['parameters']:,} parameters, and {ours['detector_parameters']:,} of the lesion detector, stored as "
        f"float16. SHA-256 of the weights: `{ours['sha256']}`.",
        f"Window `{ours['window']}`. Licence: Apache-2.0.",
    ]
    return "\n".join(lines)


def _collections(patients: list[str]) -> list[str]:
    """Title, DOI and licence of the collections that were trained on, from the data folder's manifest."""
    manifest = json.loads((data_folder() / "manifest.json").read_text(encoding="utf-8"))
    trained = {f"ct/volumes/{name}.nii.gz" for name, patient in PATIENTS.items() if patient in patients}
    return sorted({f"{entry['collection']}, {entry['licence']}" for entry in manifest if entry["file"] in trained})


#: Lets ``python -m monai.bundle run`` use the bundle; this project's engine does not read it.
_INFERENCE = {
    "imports": [
        "$from pathlib import Path",
        "$from CTQualityAssessmentLib.assessment.denoising import denoise_volume",
        "$from CTQualityAssessmentLib.models import load_denoiser",
        "$from CTQualityAssessmentLib.reading import read_volume",
        "$from CTQualityAssessmentLib.reporting.volume_file import write_volume",
    ],
    "bundle_root": ".",
    "image": "",
    "denoised": "denoised.nii.gz",
    "device": "auto",
    "model": "$load_denoiser(@bundle_root, @device)",
    "found": "$denoise_volume(read_volume(@image), @model)",
    "run": ["$write_volume(Path(@denoised), @found.volume)"],
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of Training.train_lidnet")
    parser.add_argument("--to", type=Path, required=True, help="folder that bundles live in")
    parser.add_argument("--evaluation", type=Path, help="table written by Training.evaluate_lidnet --out")
    arguments = parser.parse_args()
    evaluation = json.loads(arguments.evaluation.read_text(encoding="utf-8")) if arguments.evaluation else None
    print(export(arguments.run, arguments.to, evaluation))


if __name__ == "__main__":
    main()
