"""Real CT of scanners that no weights were trained on, as it is and made worse by simulated dose and view reduction.

    python -m Testing.benchmarks.real_ct_made_worse [--model NAME]

A clean routine scan should score high and fall when it is made worse. Each slice is projected and reconstructed again
with added counting noise, so that the scan's own noise stays in it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from CTQualityAssessmentLib.models import LoadedModel, load_bundle
from CTQualityAssessmentLib.networks.ordinal_scores import expected_score
from CTQualityAssessmentLib.reading import read_volume

from Training.data.challenge import as_seen
from Training.data.sources import data_folder
from Training.simulation.ct import FULL_PHOTONS, simulate_ladder

SERIES = ("siemens_abdomen_kits00072", "siemens_abdomen_jpeg2000", "siemens_chest_lungdxA0002")
DOSES, VIEWS, SLICES = (1.0, 0.5, 0.25, 0.1), (720, 360, 180), 4


@torch.inference_mode()
def scores(model: LoadedModel, slices: list[np.ndarray]) -> np.ndarray:
    """Expected score of each slice, without refusals: the question is what the network says."""
    pixels = np.stack([as_seen(model.window.apply(hu.astype(np.float32)), model.picture) for hu in slices])[:, None]
    return expected_score(model.network(torch.from_numpy(pixels)).fine_logits).numpy()


def ladder_scores(path: Path, model: LoadedModel) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the slices as they are ``(S,)`` and of their degradations ``(S, doses, views)``."""
    volume = read_volume(path).canonical_slices()
    spacing = float(np.linalg.norm(volume.ijk_to_ras[:3, 0]))
    chosen = np.linspace(1, len(volume.hu) - 2, SLICES).round().astype(int)
    degraded = []
    for k in chosen:
        ladder = simulate_ladder(
            volume.hu[k].astype(np.float32), spacing, doses=DOSES, views=VIEWS, seed=int(k), photons=FULL_PHOTONS
        )
        degraded.append(scores(model, [ladder[dose, views] for dose in DOSES for views in VIEWS]))
    as_is = scores(model, [volume.hu[k] for k in chosen])
    return as_is, np.stack(degraded).reshape(SLICES, len(DOSES), len(VIEWS))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="bundle name or folder")
    model = load_bundle(name) if (name := parser.parse_args().model) else load_bundle()
    print(f"{model.identity.name}, SHA-256 {model.identity.sha256[:12]}..., mean of {SLICES} slices each")
    settings = [f"{round(100 * dose)} %" for dose in DOSES] + [f"{views} views" for views in VIEWS[1:]]
    print("| CT | as it is | " + " | ".join(settings) + " | steps in order |\n|" + "---|" * (len(settings) + 3))
    for name in SERIES:
        as_is, degraded = ladder_scores(data_folder() / "ct" / "dicom" / name, model)
        cells = [*degraded[:, :, 0].mean(axis=0), *degraded[:, 0, 1:].mean(axis=0)]
        steps = np.concatenate([np.diff(degraded, axis=axis).ravel() for axis in (1, 2)])
        row = " | ".join(f"{value:.2f}" for value in (as_is.mean(), *cells))
        print(f"| {name} | {row} | {(steps < 0).sum()} of {len(steps)} |", flush=True)


if __name__ == "__main__":
    main()
