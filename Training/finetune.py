"""Fits shipped weights to a hospital's own scores: a CSV of files and scores in, a bundle with its card out.

    python -m Training.finetune scores.csv --model clinreadnet-small-simulated --out my_models/our-ct

The backbone, and with it the attention and what is refused, stays as it is; the head, which turns what the backbone saw
into a score, goes on learning from its shipped weights. Each slice is scored once by a head that was not fitted on its
patient; these scores are the figures in the card, beside those of the shipped weights. The head in the bundle is fitted
on all slices. ``ctqa assess --model my_models/our-ct`` uses it. ``Training/README.md`` has a tutorial.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from CTQualityAssessmentLib import __version__
from CTQualityAssessmentLib.assessment.volume_scoring import network_pixels
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.models import LoadedModel, find_bundle, load_bundle
from CTQualityAssessmentLib.models.bundles import BundleInfo, bundle_tensors
from CTQualityAssessmentLib.networks.ordinal_scores import expected_score
from numpy.typing import NDArray
from torch import Tensor

from Training.bundle_folder import write_bundle
from Training.command import run_command
from Training.data.folds import patient_folds
from Training.data.score_table import RatedSlice, ScoreTable, read_score_table
from Training.evaluate import measure
from Training.export import INFERENCE
from Training.head import HeadFit, fit_head
from Training.losses.hrps import HRPSLoss
from Training.model_card import model_card

FIT = HeadFit(steps=600, batch=32, lr=5e-4, weight_decay=0.2)
_FOLDS, _SEED = 5, 1


class FineTuningError(CTQAError):
    """The weights cannot be fitted to other scores."""


def fine_tune(table: ScoreTable, name_or_folder: str, out: Path, fit: HeadFit = FIT, repeats: int = 500) -> Path:
    """Fits a bundle to the scores of a table and writes the bundle ``out``.

    Args:
        table: see :func:`read_score_table`.
        name_or_folder: an installed bundle, or the folder of one, with a ClinReadNet.
        out: folder of the new bundle, whose last part is its name.
        fit: of the head.
        repeats: of the bootstrap.

    Raises:
        FineTuningError: the bundle holds another network, or there is something at ``out``.
        BundleError: the bundle cannot be loaded.
    """
    info = find_bundle(name_or_folder)
    if info.network != "clinreadnet":
        raise FineTuningError(f"The model '{info.name}' is no ClinReadNet.", "Choose one that 'ctqa models' calls so.")
    if out.exists():
        raise FineTuningError("There is something at the place of the new bundle.", "Choose another name with --out.")
    model = load_bundle(name_or_folder)
    features = features_of(model, table.slices)
    scores = np.array([one.score for one in table.slices])
    own = np.empty(len(scores))
    for members in patient_folds(table.slices, _FOLDS, _SEED):
        others = np.setdiff1d(np.arange(len(scores)), members)
        head = _fitted(model, features[others], scores[others], fit)
        own[members] = _scores(head, features[members])
    rows = [
        asdict(measure(name, predicted, table.slices, repeats))
        for name, predicted in (
            (f"{info.name}, as it is", _scores(model.network.head, features)),
            ("fine-tuned, each slice by a head that was not fitted on its patient", own),
        )
    ]
    head = _fitted(model, features, scores, fit)
    refused = 0 if model.novelty is None else int((model.novelty(features.to(model.device)) > 1).sum())
    tensors = bundle_tensors(info) | {f"head.{k}": v.half() for k, v in head.state_dict().items()}
    recipe = {
        "name": out.name,
        "data": "scores.csv",
        "model": info.name,
        "sha256": info.sha256,
        "head_fit": asdict(fit),
    }
    return write_bundle(
        out.parent,
        recipe,
        tensors,
        lambda sha256: _metadata(info, out.name, sha256, table, rows, refused),
        model_card,
        INFERENCE,
    )


@torch.inference_mode()
def features_of(model: LoadedModel, slices: Sequence[RatedSlice]) -> Tensor:
    """What the head of a ClinReadNet reads of each slice, ``(N, F)`` float32 on the CPU."""
    found = [model.network(network_pixels(one.prepared, model)).features.float().cpu() for one in slices]
    return torch.cat(found)


def _fitted(model: LoadedModel, features: Tensor, scores: NDArray[np.floating], fit: HeadFit) -> torch.nn.Module:
    head = copy.deepcopy(model.network.head)
    rated = torch.tensor(scores, dtype=torch.float32)
    fit_head(head, features.clone(), rated, HRPSLoss(), fit, _SEED, fresh=False)
    return head


@torch.no_grad()
def _scores(head: torch.nn.Module, features: Tensor) -> NDArray[np.float64]:
    return expected_score(copy.deepcopy(head).cpu().eval()(features.clone())[0]).double().numpy()


def _metadata(
    base: BundleInfo, name: str, sha256: str, table: ScoreTable, rows: list[dict[str, Any]], refused: int
) -> dict[str, Any]:
    """The metadata of the bundle that it comes from, with what is true of this one."""
    patients = len({one.patient for one in table.slices})
    kind = "patients" if table.names_patients else "files"
    groups = f"{patients} {kind}"
    limits = [
        f"The backbone is that of {base.name}; what limits it still does: see its card.",
        f"{len(table.slices)} slices of {groups} are few: the intervals below say how little they prove elsewhere.",
    ]
    if not table.names_patients:
        limits.append(
            "The table names no patients, so slices of one may lie on both sides of the validation, whose figures are "
            "then too good."
        )
    if refused:
        limits.append(f"{refused} of the {len(table.slices)} slices are unlike what the backbone knows, and refused.")
    metadata = copy.deepcopy(base.metadata)
    metadata |= {
        "version": __version__,
        "changelog": {__version__: f"head fitted to other scores, from {base.name}"},
        "name": name,
        "description": f"{base.description} Head fitted to {table.rows} scores of a user's table.",
        "authors": "the user who gave the scores; backbone: CTQualityAssessment developers",
        "data_source": f"the user's own table of scores; backbone: {base.metadata.get('data_source', base.name)}",
        "data_type": "rated",
        "eval_metrics": {row["name"]: {k: v[0] for k, v in row["figures"].items()} for row in rows},
    }
    metadata["ctqa"] |= {
        "sha256": sha256,
        "simulated_labels": False,
        "statement": f"Backbone of {base.name}; its score was fitted to {table.rows} scores of a user's table. "
        "How they were given, their giver knows. Not a medical device.",
        "limits": limits,
        "training_data": f"rated slices of {groups}, for the head; the backbone was trained as {base.name} was",
        "training_images": len(table.slices),
        "training_patients": [],
        "figures": f"Against the scores of the table, in {_FOLDS} parts by {kind}, with the 95 % bootstrap interval "
        f"over {kind}.",
        "fine_tuned_from": {"name": base.name, "sha256": base.sha256},
        "evaluation": rows,
    }
    return metadata


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="CSV with the columns file, score and, optionally, patient and slice")
    parser.add_argument("--model", default="clinreadnet-small-simulated", help="bundle to begin with")
    parser.add_argument("--out", type=Path, required=True, help="folder of the new bundle")
    parser.add_argument("--steps", type=int, default=FIT.steps, help="of the head")
    parser.add_argument("--repeats", type=int, default=500, help="bootstrap repeats")
    arguments = parser.parse_args()
    table = read_score_table(arguments.table)
    print(f"{len(table.slices)} slices of {table.rows} rows", flush=True)
    fit = replace(FIT, steps=arguments.steps)
    bundle = fine_tune(table, arguments.model, arguments.out, fit, arguments.repeats)
    print((bundle / "docs" / "README.md").read_text(encoding="utf-8"))
    print(bundle)


if __name__ == "__main__":
    run_command(main)
