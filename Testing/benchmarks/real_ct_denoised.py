"""The shipped denoiser on every public CT of the development data: what it keeps, what it changes, how it looks.

    python -m Testing.benchmarks.real_ct_denoised [--every K] [--pictures DIR] [--model NAME]

Prints, for each volume: seconds a slice, noise before and after, lesions kept, largest change of a tissue's mean HU.
``--pictures`` writes original, result and residual of the middle slice of each volume: look for anatomy in
the residual.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.assessment.denoising import (
    denoise_volume,
    lesions_kept,
    residual,
    slice_denoiser,
    tissue_bias,
)
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.models import DEFAULT_DENOISER, load_denoiser
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.volume import Volume

from Training.data.sources import data_folder


def inputs() -> list[Path]:
    """The volumes, and the DICOM series with more than a few slices."""
    series = [path for path in sorted((data_folder() / "ct" / "dicom").iterdir()) if path.is_dir()]
    return [*sorted((data_folder() / "ct" / "volumes").glob("*.nii.gz")), *series]


def thinned(volume: Volume, every: int) -> Volume:
    """Every k-th slice, for a machine that has no time."""
    if every == 1 or volume.acquisition_axis != 2:
        return volume
    matrix = volume.ijk_to_ras.copy()
    matrix[:, 2] *= every
    return replace(volume, hu=volume.hu[::every], ijk_to_ras=matrix, exposures=())


def picture(path: Path, original: Volume, denoised: Volume, taken: Volume) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(18, 6.2), layout="constrained")
    k = original.slice_count // 2
    middle = [one.canonical_slices().hu[k] for one in (original, denoised, taken)]
    chest = (middle[0][::4, ::4] < -700).mean() > 0.25 and (np.abs(middle[0] + 800) < 100).mean() > 0.08
    low, high = (-1350, 150) if chest else (-135, 215)
    for axis, image, limits, name in zip(
        axes, middle, ((low, high), (low, high), (-60, 60)), ("original", "denoised", "taken away"), strict=True
    ):
        axis.imshow(image, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="nearest")
        axis.set_title(f"{name}, {limits[0]} to {limits[1]} HU")
        axis.axis("off")
    figure.savefig(path, dpi=70)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take every k-th slice only")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--model", default=DEFAULT_DENOISER)
    arguments = parser.parse_args()
    model = load_denoiser(arguments.model, "cpu")
    for path in inputs():
        try:
            volume = thinned(read_volume(path), arguments.every)
            found = denoise_volume(volume, model)
        except CTQAError as error:
            print(f"{path.name}: {error}", flush=True)
            continue
        kept = lesions_kept(volume, slice_denoiser(model))
        noise = [measure_volume(one).volume.noise_hu for one in (volume, found.volume)]
        bias = {name: one.bias_hu for name, one in tissue_bias(volume, found.volume).items()}
        worst = max(bias, key=lambda name: abs(bias[name])) if bias else None
        shares = ", ".join(
            f"{100 * one.kept:.0f} % ({one.diameter_mm:g} mm, {one.contrast_hu:g} HU, {one.tissue})"
            for one in kept
            if one.kept is not None
        )
        print(
            f"{path.name}: {sum(found.denoised)} slices, {found.seconds / max(1, sum(found.denoised)):.2f} s each; "
            f"noise {' to '.join('n/a' if one is None else f'{one:.1f}' for one in noise)} HU; kept {shares}; "
            f"largest change {worst} {bias.get(worst, 0):+.1f} HU",
            flush=True,
        )
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            name = path.name.split(".")[0]
            picture(arguments.pictures / f"{name}.png", volume, found.volume, residual(volume, found.volume))


if __name__ == "__main__":
    main()
