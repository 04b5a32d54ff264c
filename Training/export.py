"""Makes a model bundle of a training run: weights, novelty statistics, metadata, model card.

python -m Training.export runs/clinreadnet --to CTQualityAssessment/Resources/Models --evaluation build/evaluation.json

The run is one of :mod:`Training.train` or :mod:`Training.train_tfkt`. With a bundle in its place, only the figures in
the metadata and card are renewed.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.models.bundles import ANYTHING, AXIAL_TRUNK
from CTQualityAssessmentLib.models.novelty import NoveltyModel
from CTQualityAssessmentLib.networks.grad_cam import TfktScorer
from CTQualityAssessmentLib.networks.tfkt import Tfkt
from CTQualityAssessmentLib.windows import WINDOWS

from Training.bundle_folder import write_bundle
from Training.command import run_command
from Training.data.challenge import as_seen
from Training.data.folds import Rated
from Training.data.sources import PATIENTS, data_folder
from Training.data_account import DataAccount, rated_account, simulated_account
from Training.loop import RunError
from Training.model_card import model_card
from Training.network_account import NetworkAccount, clinreadnet_account, tfkt_account
from Training.recipe import Recipe, read_recipe
from Training.resnet import build_network
from Training.tfkt_recipe import TfktRecipe, is_tfkt, read_tfkt_recipe
from Training.train import read_images, split
from Training.train_tfkt import ct_images
from Training.whole_files import write_text

INTENDED_USE = (
    "Research and quality work by radiologists and medical physicists who compare CT acquisitions. Not for diagnosis, "
    "not for accepting or rejecting an examination without looking at it."
)


@dataclass(frozen=True)
class FinishedRun:
    """What a bundle is made of.

    Attributes:
        recipe: as it is stored beside the weights; :class:`Recipe` and :class:`TfktRecipe` share the fields used here.
        scorer: with the weights, on the CPU, in evaluation mode; what it returns has ``features``.
        network: its network.
        trained: images that it was trained on.
        account: what metadata and card say about the network.
    """

    recipe: Recipe | TfktRecipe
    scorer: Callable[[torch.Tensor], Any]
    network: torch.nn.Module
    trained: Sequence[Rated]
    account: NetworkAccount

    @property
    def picture(self) -> str:
        """What of an image the network was trained on; TFKT sees all of it."""
        return self.recipe.picture if isinstance(self.recipe, Recipe) else "whole"


@torch.inference_mode()
def fit_novelty(
    scorer: Callable[[torch.Tensor], Any], images: Sequence[Rated], native: list[np.ndarray]
) -> NoveltyModel:
    """Novelty statistics from training images and from the untouched slices of the training patients.

    The untouched slices carry the noise texture of real scanners, which the simulation does not have.
    """
    features = []
    pixels = [image.read() for image in images] + native
    for start in range(0, len(pixels), 8):
        batch = torch.from_numpy(np.stack(pixels[start : start + 8]))[:, None]
        features.append(scorer(batch).features)
    return NoveltyModel.fit(torch.cat(features))


def native_slices(held_out: tuple[str, ...], picture: str, every: int = 4) -> list[np.ndarray]:
    """Untouched slices of the training patients, windowed, ``(512, 512)`` float32 each."""
    from CTQualityAssessmentLib.reading import read_volume

    found = []
    for name, patient in PATIENTS.items():
        path = data_folder() / "ct" / "volumes" / f"{name}.nii.gz"
        if patient not in held_out and path.is_file():
            slices = read_volume(path).canonical_slices().hu[::every]
            found += [as_seen(WINDOWS["ldctiqa"].apply(hu), picture) for hu in slices]
    return found


def export(run: Path, parent: Path, evaluation: list[dict[str, Any]] | None = None) -> Path:
    """Writes the bundle ``parent/<name of the recipe>`` and returns its folder; an older one is replaced at the end.

    Raises:
        RunError: the run is not finished.
        ValueError: the weights are too large to ship.
    """
    found = read_run(run)
    recipe = found.recipe
    simulated = (Path(recipe.data) / "surrogate.json").is_file()
    chosen = found.trained[:: max(1, len(found.trained) // 300)]
    novelty = fit_novelty(found.scorer, chosen, native_slices(recipe.held_out, found.picture) if simulated else [])
    account = simulated_account(recipe.held_out) if simulated else rated_account(Path(recipe.data).name, recipe.split)

    weights = found.network.state_dict()
    tensors = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    tensors |= {f"novelty.{k}": v.float() for k, v in novelty.tensors().items()}
    return write_bundle(
        parent,
        recipe.to_dict(),
        tensors,
        lambda sha256: bundle_metadata(found, sha256, evaluation, account),
        model_card,
        INFERENCE,
    )


def read_run(run: Path) -> FinishedRun:
    """A run of :mod:`Training.train` or :mod:`Training.train_tfkt`, with its weights.

    Raises:
        RunError: the run is not finished.
    """
    from safetensors.torch import load_file

    file = run / "weights.safetensors"
    if not file.is_file():
        raise RunError("The run is not finished: it has no weights.safetensors.", "Call its training command again.")
    if is_tfkt(run / "recipe.json"):
        tfkt_recipe = read_tfkt_recipe(run / "recipe.json")
        tfkt = Tfkt(tfkt_recipe.config)
        tfkt.load_state_dict(load_file(file))
        about = tfkt_account(tfkt_recipe.size, tfkt, tfkt_recipe.natural_words)
        return FinishedRun(tfkt_recipe, TfktScorer(tfkt.eval()), tfkt, ct_images(tfkt_recipe)[0], about)
    recipe = read_recipe(run / "recipe.json")
    network = build_network(recipe.network)
    network.load_state_dict(load_file(file))
    trained, _ = split(recipe, read_images(recipe))
    about = clinreadnet_account(recipe.network.get("size", "small"), network)
    return FinishedRun(recipe, network.eval(), network, trained, about)


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
    run: FinishedRun, sha256: str, evaluation: list[dict[str, Any]] | None, account: DataAccount
) -> dict[str, Any]:
    """``metadata.json``: MONAI's fields, and ours under "ctqa"."""
    import monai

    patients = (
        sorted({i.patient for i in run.trained}) if account.simulated else []
    )  # a hospital's are nobody's business
    return {
        "version": __version__,
        "changelog": {__version__: "first weights"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"safetensors": "0.4", "einops": "0.7"},
        "name": run.recipe.name,
        "task": "No-reference image quality of CT slices",
        "description": run.account.description,
        "authors": "CTQualityAssessment developers",
        "copyright": "Apache-2.0",
        "data_source": "; ".join(account.sources),
        "data_type": "simulated" if account.simulated else "rated",
        "intended_use": INTENDED_USE,
        "references": [
            *run.account.references,
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
                    "channel_def": {"0": f"window ldctiqa, -1050 to 350 HU; picture: {run.picture}"},
                }
            },
            "outputs": {
                "pred": {**run.account.output, "spatial_shape": [], "dtype": "float32", "is_patch_data": False}
            },
        },
        "ctqa": {
            **run.account.ours,
            "window": "ldctiqa",
            "picture": run.picture,
            # Simulated sets are axial slices of trunks; what a hospital rated is what it rated.
            "scope": AXIAL_TRUNK if account.simulated else ANYTHING,
            "input_size": 512,
            "sha256": sha256,
            "simulated_labels": account.simulated,
            "statement": account.statement,
            "limits": [*account.limits, *run.account.limits, *_limits_of(run.recipe)],
            "training_data": account.images,
            "figures": account.figures,
            "parameters": sum(p.numel() for p in run.network.parameters()),
            "training_images": len(run.trained),
            "training_patients": patients,
            "held_out_patients": list(run.recipe.held_out),
            "trained_with": {"python": platform.python_version(), "torch": torch.__version__},
            "evaluation": evaluation or [],
        },
    }


def _limits_of(recipe: Recipe | TfktRecipe) -> list[str]:
    if not isinstance(recipe, Recipe):
        return []
    found = []
    if recipe.picture == "patient":
        found.append(
            "It sees the patient alone, with air around and in the middle of the picture; a slice that its mask of the "
            "body cuts is judged by the rest."
        )
    if recipe.start is not None and not recipe.phases:
        start = Path(recipe.start).name
        seen = recipe.head_fit.images if recipe.head_fit is not None else None
        images = f"{seen} of the images" if seen else "the images"
        found.append(
            f"Only the head was fitted by this recipe, on {images}; all before it has the weights of '{start}'."
        )
    return found


#: Lets ``python -m monai.bundle run`` use the bundle; this project's engine does not read it.
INFERENCE = {
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
    parser.add_argument(
        "--evaluation", type=Path, help="table of Training.evaluate --out, or report.json of Training.challenge"
    )
    arguments = parser.parse_args()
    evaluation = json.loads(arguments.evaluation.read_text(encoding="utf-8")) if arguments.evaluation else None
    if isinstance(evaluation, dict):
        evaluation = evaluation["rows"]
    if (arguments.run / "configs").is_dir():
        if evaluation is None:
            parser.error("a bundle needs --evaluation: the figures to write into it")
        print(renew_evaluation(arguments.run, evaluation))
    elif arguments.to is None:
        parser.error("a run needs --to: the folder to put the bundle into")
    else:
        print(export(arguments.run, arguments.to, evaluation))


if __name__ == "__main__":
    run_command(main)
