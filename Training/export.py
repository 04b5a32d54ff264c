"""Makes a model bundle of a training run: weights, novelty statistics, metadata, model card.

python -m Training.export runs/clinreadnet --to CTQualityAssessment/Resources/Models --evaluation build/evaluation.json

With a bundle in the place of the run, only the figures in its metadata and card are renewed.
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
from CTQualityAssessmentLib.models.novelty import NoveltyModel
from CTQualityAssessmentLib.networks.clinreadnet import clinreadnet
from CTQualityAssessmentLib.windows import WINDOWS

from Training.bundle_folder import write_bundle
from Training.data.challenge import LabelledImage, read_challenge_folder
from Training.data.sources import PATIENTS, data_folder
from Training.model_card import model_card
from Training.recipe import Recipe, read_recipe
from Training.train import split
from Training.whole_files import write_text

STATEMENT = (
    "Default weights: trained on simulated dose and view reduction with surrogate labels, not on radiologists' scores. "
    "A relative index of noise and streaks; not a clinical rating and not a medical device."
)
LIMITS = (
    "The labels are a full-reference fidelity mapped to the published score distribution; no radiologist rated them.",
    "The images are 2D parallel-beam simulations from slices that were denoised first: no fan or cone geometry, "
    "scatter, beam hardening, metal or motion.",
    "Trained on chest and abdomen of adults, labelled in the soft-tissue window; head, extremities, children and MR "
    "are out of scope.",
    "Every image that it learned from was reconstructed by filtered back projection with fresh noise. The labels "
    "reward what takes noise away: do not use it alone to judge a denoiser or an iterative reconstruction.",
    "Noise lowers the label whatever its reason, so a sharp kernel may score lower even where it is the right choice.",
)
INTENDED_USE = (
    "Research and quality work by radiologists and medical physicists who compare CT acquisitions. Not for diagnosis, "
    "not for accepting or rejecting an examination without looking at it."
)
_TEMPERATURE_NAMES = {2.0: "scan", 1.0: "read", 0.5: "focus"}


@torch.inference_mode()
def fit_novelty(network: torch.nn.Module, images: list[LabelledImage], native: list[np.ndarray]) -> NoveltyModel:
    """Novelty statistics from training images and from the untouched slices of the training patients.

    The untouched slices carry the noise texture of real scanners, which the simulation does not have.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.eval().to(device)
    features = []
    pixels = [image.read() for image in images] + native
    for start in range(0, len(pixels), 8):
        batch = torch.from_numpy(np.stack(pixels[start : start + 8]))[:, None].to(device)
        features.append(network(batch).features.cpu())
    return NoveltyModel.fit(torch.cat(features))


def native_slices(held_out: tuple[str, ...], every: int = 4) -> list[np.ndarray]:
    """Untouched slices of the training patients, windowed, ``(512, 512)`` float32 each."""
    from CTQualityAssessmentLib.reading import read_volume

    found = []
    for name, patient in PATIENTS.items():
        path = data_folder() / "ct" / "volumes" / f"{name}.nii.gz"
        if patient not in held_out and path.is_file():
            slices = read_volume(path).canonical_slices().hu[::every]
            found += [WINDOWS["ldctiqa"].apply(hu) for hu in slices]
    return found


def export(run: Path, parent: Path, evaluation: list[dict[str, Any]] | None = None) -> Path:
    """Writes the bundle ``parent/<name of the recipe>`` and returns its folder; an older one is replaced at the end.

    Raises:
        ValueError: the run is not finished, the data were not simulated, so that the card's account of them would be
            false, or the weights are too large to ship.
    """
    from safetensors.torch import load_file

    if not (run / "weights.safetensors").is_file():
        raise ValueError("the run has no weights.safetensors, so it is not finished: call Training.train again with it")
    recipe = read_recipe(run / "recipe.json")
    if not (Path(recipe.data) / "surrogate.json").is_file():
        raise ValueError("only runs on data of Training.data.build can be exported: the model card describes those")
    network = clinreadnet(**recipe.network)
    weights = load_file(run / "weights.safetensors")
    network.load_state_dict(weights)
    trained, _ = split(recipe, read_challenge_folder(Path(recipe.data)))
    chosen = trained[:: max(1, len(trained) // 300)]
    novelty = fit_novelty(network, chosen, native_slices(recipe.held_out))

    tensors = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    tensors |= {f"novelty.{k}": v.float() for k, v in novelty.tensors().items()}
    return write_bundle(
        parent,
        recipe.to_dict(),
        tensors,
        lambda sha256: bundle_metadata(recipe, network, sha256, trained, evaluation),
        model_card,
        _INFERENCE,
    )


def renew_evaluation(bundle: Path, evaluation: list[dict[str, Any]]) -> Path:
    """Writes figures measured after a bundle was made into its metadata and card; the weights stay as they are."""
    file = bundle / "configs" / "metadata.json"
    metadata = json.loads(file.read_text(encoding="utf-8"))
    metadata["eval_metrics"] = _eval_metrics(evaluation)
    metadata["ctqa"]["evaluation"] = evaluation
    for path, content in (
        (file, json.dumps(metadata, indent=2)),
        (bundle / "docs" / "README.md", model_card(metadata)),
    ):
        write_text(path, content + "\n")
    return bundle


def _eval_metrics(evaluation: list[dict[str, Any]] | None) -> dict[str, dict[str, float]]:
    return {row["name"]: {k: v[0] for k, v in row["figures"].items()} for row in evaluation or []}


def bundle_metadata(
    recipe: Recipe,
    network: torch.nn.Module,
    sha256: str,
    trained: list[LabelledImage],
    evaluation: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    """``metadata.json``: MONAI's fields, and ours under "ctqa"."""
    import monai

    sources = _collections(recipe.held_out)
    return {
        "version": __version__,
        "changelog": {__version__: "first weights"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.4", "einops": "0.7"},
        "name": recipe.name,
        "task": "No-reference image quality of CT slices",
        "description": f"ClinReadNet {recipe.network.get('size', 'small')}, reconstructed from the abstract of arXiv "
        "2606.10372: score 0-4 a slice.",
        "authors": "CTQualityAssessment developers",
        "copyright": "Apache-2.0",
        "data_source": "; ".join(sources) + "; and this project's own abdomen phantom",
        "data_type": "simulated",
        "intended_use": INTENDED_USE,
        "references": [
            "ClinReadNet, arXiv 2606.10372 (abstract)",
            "Lee et al., Med. Image Anal. 99:103343, 2025 (LDCTIQAC2023)",
        ],
        "eval_metrics": _eval_metrics(evaluation),
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "hounsfield",
                    "modality": "CT",
                    "num_channels": 1,
                    "spatial_shape": [512, 512],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": False,
                    "channel_def": {"0": "window ldctiqa, -1050 to 350 HU"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "probabilities",
                    "format": "classification",
                    "num_channels": 21,
                    "spatial_shape": [],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": False,
                    "channel_def": {str(k): f"score {k / 5:.1f}" for k in range(21)},
                }
            },
        },
        "ctqa": {
            "network": "clinreadnet",
            "network_config": network.config.to_dict(),
            "temperatures": [_TEMPERATURE_NAMES.get(t, f"temperature {t:g}") for t in network.config.temperatures],
            "window": "ldctiqa",
            "input_size": 512,
            "sha256": sha256,
            "simulated_labels": True,
            "statement": STATEMENT,
            "limits": list(LIMITS),
            "parameters": sum(p.numel() for p in network.parameters()),
            "training_images": len(trained),
            "training_patients": sorted({i.patient for i in trained}),
            "held_out_patients": list(recipe.held_out),
            "trained_with": {"python": platform.python_version(), "torch": torch.__version__},
            "evaluation": evaluation or [],
        },
    }


def _collections(held_out: tuple[str, ...]) -> list[str]:
    """Title, DOI and licence of the collections that were trained on, from the data folder's manifest."""
    manifest = json.loads((data_folder() / "manifest.json").read_text(encoding="utf-8"))
    trained = {f"ct/volumes/{name}.nii.gz" for name, patient in PATIENTS.items() if patient not in held_out}
    return sorted({f"{entry['collection']}, {entry['licence']}" for entry in manifest if entry["file"] in trained})


#: Lets ``python -m monai.bundle run`` use the bundle; this project's engine does not read it.
_INFERENCE = {
    "imports": [
        "$import json",
        "$from CTQualityAssessmentLib.assessment import assess_volume",
        "$from CTQualityAssessmentLib.models import load_bundle",
        "$from CTQualityAssessmentLib.reading import read_volume",
    ],
    "bundle_root": ".",
    "image": "",
    "device": "auto",
    "model": "$load_bundle(@bundle_root, @device)",
    "assessment": "$assess_volume(read_volume(@image), @model)",
    "run": ["$print(json.dumps(@assessment.to_dict()))"],
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of Training.train, or a bundle")
    parser.add_argument("--to", type=Path, help="folder that bundles live in")
    parser.add_argument("--evaluation", type=Path, help="table written by Training.evaluate --out")
    arguments = parser.parse_args()
    evaluation = json.loads(arguments.evaluation.read_text(encoding="utf-8")) if arguments.evaluation else None
    if (arguments.run / "configs").is_dir():
        if evaluation is None:
            parser.error("a bundle needs --evaluation: the figures to write into it")
        print(renew_evaluation(arguments.run, evaluation))
    elif arguments.to is None:
        parser.error("a run needs --to: the folder to put the bundle into")
    else:
        print(export(arguments.run, arguments.to, evaluation))


if __name__ == "__main__":
    main()
