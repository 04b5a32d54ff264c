"""Holds the simulator against theory on a water disc, prints the figures and draws the noise power spectrum.

python -m Training.simulation.check --out Resources/Figures/simulation_noise.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from Training.simulation.ct import ELECTRONIC_SD, FULL_PHOTONS, simulate_ladder
from Training.simulation.theory import noise_sd_at_centre, radial_nps, water_disc

_SIZE, _SPACING, _DIAMETER = 512, 0.8, 350.0
_CENTRE = slice(_SIZE // 2 - 32, _SIZE // 2 + 32)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="PNG of the noise power spectra")
    parser.add_argument("--repeats", type=int, default=4)
    arguments = parser.parse_args()
    disc = water_disc(_SIZE, _SPACING, _DIAMETER)
    spectra = {}
    print(f"Water disc {_DIAMETER:.0f} mm, {_SIZE} px of {_SPACING} mm, {FULL_PHOTONS:.0e} photons, centre 64 x 64 px")
    print("| kernel | dose | views | SD measured (HU) | SD theory (HU) | ratio | SD x sqrt(dose) | mean (HU) |")
    print("|---|---|---|---|---|---|---|---|")
    for kernel in ("hann", "soft", "ramp"):
        doses = (1.0, 0.5, 0.25, 0.1) if kernel == "hann" else (1.0, 0.25)
        ladders = [
            simulate_ladder(disc, _SPACING, seed=seed, kernel=kernel, doses=doses)
            for seed in range(2 * arguments.repeats)
        ]
        for setting in ladders[0]:
            stack = np.array([ladder[setting][_CENTRE, _CENTRE] for ladder in ladders])
            noise = (stack[::2] - stack[1::2]) / np.sqrt(2)
            dose, views = setting
            theory = noise_sd_at_centre(
                _DIAMETER,
                _SPACING,
                photons=FULL_PHOTONS * dose,
                electronic_sd=ELECTRONIC_SD,
                views=views,
                kernel=kernel,
            )
            sd = noise.std()
            print(
                f"| {kernel} | {dose:.0%} | {views} | {sd:.2f} | {theory:.2f} | {sd / theory:.3f} "
                f"| {sd * np.sqrt(dose):.2f} | {stack.mean():.2f} |"
            )
            if views == 720:
                spectra[kernel, dose] = radial_nps(noise, _SPACING)
    if arguments.out:
        _draw(spectra, arguments.out)


def _draw(spectra: dict[tuple[str, float], tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for (kernel, dose), (frequency, power) in spectra.items():
        axes.plot(frequency, power / power.sum(), label=f"{kernel}, {dose:.0%}", alpha=0.8)
    axes.set(xlabel="spatial frequency (1/mm)", ylabel="noise power, normalised", title="Noise texture of a water disc")
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    figure.savefig(partial, format="png", dpi=110)
    partial.replace(path)


if __name__ == "__main__":
    main()
