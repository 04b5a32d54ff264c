"""Real CT of scanners that no weights were trained on, changed in ways that leave its quality as it is.

    python -m Testing.benchmarks.real_ct_moved [--model NAME]

Mirrored, moved by up to 40 pixels, and with air in place of everything around the patient, a slice has the same
quality and should keep its score; no pixel of the patient is resampled. Beside it, white noise of 20 HU, which should
cost points.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from CTQualityAssessmentLib.assessment.body import body_mask
from CTQualityAssessmentLib.models import load_bundle
from CTQualityAssessmentLib.reading import read_volume
from numpy.typing import NDArray

from Testing.benchmarks.real_ct_made_worse import scores
from Training.data.sources import data_folder

SERIES = (
    "dicom/siemens_abdomen_kits00072",
    "dicom/siemens_abdomen_jpeg2000",
    "dicom/siemens_chest_lungdxA0002",
    "volumes/ge_abdomen_contrast_crlm1006.nii.gz",
    "volumes/ge_abdomen_pelvis_acrin001.nii.gz",
)
SLICES, MOVED_PX, NOISE_HU, AIR_HU = 6, 40, 20.0, -1000.0
Slice = NDArray[np.float32]


def around_the_patient(hu: Slice, spacing_mm: tuple[float, float]) -> Slice:
    """Air instead of table, clothes and cables."""
    return np.where(body_mask(hu, spacing_mm), hu, np.float32(AIR_HU))


def moved(hu: Slice, spacing_mm: tuple[float, float]) -> Slice:
    """Up or down, to where there is more room, by at most some pixels and never out of the picture."""
    rows = np.flatnonzero(body_mask(hu, spacing_mm).any(axis=1))
    above, below = rows[0], len(hu) - 1 - rows[-1]
    by = min(MOVED_PX, below) if below > above else -min(MOVED_PX, above)
    found = np.full_like(hu, AIR_HU)
    found[max(by, 0) : len(hu) + min(by, 0)] = hu[max(-by, 0) : len(hu) - max(by, 0)]
    return found


def noisier(hu: Slice, spacing_mm: tuple[float, float]) -> Slice:
    """With white noise."""
    return hu + np.random.default_rng(0).normal(0, NOISE_HU, hu.shape).astype(np.float32)


CHANGES: dict[str, Callable[[Slice, tuple[float, float]], Slice]] = {
    "as it is": lambda hu, _: hu,
    "mirrored": lambda hu, _: np.ascontiguousarray(hu[:, ::-1]),
    f"{MOVED_PX} px up or down": moved,
    "air around": around_the_patient,
    f"+{NOISE_HU:g} HU noise": noisier,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="bundle name or folder")
    model = load_bundle(name) if (name := parser.parse_args().model) else load_bundle()
    print(f"{model.identity.name}, SHA-256 {model.identity.sha256[:12]}..., mean of {SLICES} slices each")
    print("| CT | " + " | ".join(CHANGES) + " |\n|" + "---|" * (len(CHANGES) + 1))
    for name in SERIES:
        volume = read_volume(data_folder() / "ct" / name).canonical_slices()
        columns_mm, rows_mm = np.linalg.norm(volume.ijk_to_ras[:3, :2], axis=0)
        chosen = np.linspace(0.15 * len(volume.hu), 0.85 * len(volume.hu), SLICES).astype(int)
        slices = [volume.hu[k].astype(np.float32) for k in chosen]
        found = [
            scores(model, [change(hu, (rows_mm, columns_mm)) for hu in slices]).mean() for change in CHANGES.values()
        ]
        print(f"| {name.partition('/')[2]} | " + " | ".join(f"{value:.2f}" for value in found) + " |", flush=True)


if __name__ == "__main__":
    main()
