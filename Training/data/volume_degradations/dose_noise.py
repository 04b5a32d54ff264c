"""CT: less dose. Photon counts are Poisson, the electronics add Gaussian noise, the logarithm follows."""

from __future__ import annotations

import numpy as np

from Training.data.volume_degradations.ct_scan import CTScan
from Training.simulation.ct import ELECTRONIC_SD, photon_counts_to_integrals


def add_dose_noise(
    scan: CTScan, dose: float, rng: np.random.Generator, *, photons: float, electronic_sd: float = ELECTRONIC_SD
) -> CTScan:
    """The scan at a share of the full dose; the variance of a reading p is about ``exp(p) / (2 photons dose)``.

    Args:
        scan: noise-free.
        dose: in (0, 1]; infinity adds no noise.
        rng: of the noise.
        photons: per ray and view at full dose. A full turn measures each ray of the half turn twice, hence the 2.
        electronic_sd: in counts.

    Raises:
        ValueError: a dose that is not positive.
    """
    if not dose > 0:
        raise ValueError("a dose is above zero")
    noisy = photon_counts_to_integrals(scan.integrals, 2 * photons * dose, np.sqrt(2) * electronic_sd, rng)
    return scan.with_integrals(noisy)
