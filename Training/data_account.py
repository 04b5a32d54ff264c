"""What a bundle tells about the data that it was trained on: computed labels and ratings never share words."""

from __future__ import annotations

import json
from dataclasses import dataclass

from Training.data.sources import PATIENTS, data_folder
from Training.model_card import SIMULATED_FIGURES

_LIMITS = (
    "Trained on axial slices; what is unlike the training images is out of scope.",
    "Noise lowers the score whatever its reason, so a sharp kernel may score lower even where it is the right choice.",
)


@dataclass(frozen=True)
class DataAccount:
    """What a bundle says about the data it was trained on; the card is written from it.

    Attributes:
        simulated: labels were computed, nobody rated.
        statement: one or two sentences that stand beside every score.
        images: what kind of images they are.
        sources: collections with their licences.
        limits: what the weights cannot stand for.
        figures: what the table of figures is measured on.
    """

    simulated: bool
    statement: str
    images: str
    sources: tuple[str, ...]
    limits: tuple[str, ...]
    figures: str


def simulated_account(held_out: tuple[str, ...]) -> DataAccount:
    """Of data that :mod:`Training.data.build` made."""
    return DataAccount(
        True,
        "Default weights: trained on simulated dose and view reduction with surrogate labels, not on radiologists' "
        "scores. A relative index of noise and streaks; not a clinical rating and not a medical device.",
        "simulated images",
        (*_collections(held_out), "and this project's own abdomen phantom"),
        (
            "The labels are a full-reference fidelity mapped to the published score distribution; no radiologist rated "
            "them.",
            "The images are 2D parallel-beam simulations from slices that were denoised first: no fan or cone "
            "geometry, scatter, beam hardening, metal or motion.",
            "Trained on chest and abdomen of adults, labelled in the soft-tissue window; head, extremities, children "
            "and MR are out of scope.",
            "Every image that it learned from was reconstructed by filtered back projection with fresh noise. The "
            "labels reward what takes noise away: do not use it alone to judge a denoiser or an iterative "
            "reconstruction.",
            _LIMITS[1],
        ),
        SIMULATED_FIGURES,
    )


def rated_account(data: str, split: str) -> DataAccount:
    """Of images that somebody rated, in the layout of the challenge.

    Args:
        data: name of the data folder.
        split: how the folds were made.
    """
    leak = " Variants of one slice lie on both sides of such folds, so these are too good." * (split == "stratified")
    return DataAccount(
        False,
        f"Trained on the scores that came with the images of '{data}', as they are; who gave them, and how, its "
        "source tells. Not a medical device.",
        "rated images",
        (f"the data set '{data}', in the layout of LDCTIQAG2023; see its source for origin and licence",),
        (
            *_LIMITS,
            "Weights trained on a data set are bound to its licence; whether they may be passed on, its source tells.",
        ),
        f"Against the scores of the data set, folds by {split}, with the 95 % bootstrap interval.{leak}",
    )


def _collections(held_out: tuple[str, ...]) -> list[str]:
    """Title, DOI and licence of the collections that were trained on, from the data folder's manifest."""
    manifest = json.loads((data_folder() / "manifest.json").read_text(encoding="utf-8"))
    trained = {f"ct/volumes/{name}.nii.gz" for name, patient in PATIENTS.items() if patient not in held_out}
    return sorted({f"{entry['collection']}, {entry['licence']}" for entry in manifest if entry["file"] in trained})
