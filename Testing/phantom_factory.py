"""Slices of this project's own phantom at several doses and views, with a score each; small, so that tests are fast."""

from __future__ import annotations

import numpy as np

from Training.data.surrogate import dose_view_score
from Training.phantom import abdomen_phantom
from Training.simulation.ct import simulate_ladder

SIZE, SPACING = 96, 4.0
DOSES, VIEWS = (1.0, 0.25), (720, 180)


def degraded_slices(seed: int, count: int) -> list[list[tuple[float, np.ndarray]]]:
    """For each of ``count`` slices of one patient its four settings: score by dose and views, and HU ``(96, 96)``."""
    phantom = abdomen_phantom(seed, slices=count, size=SIZE, spacing_mm=SPACING, thickness_mm=1.0)
    found = []
    for k, hu in enumerate(phantom.hu):
        ladder = simulate_ladder(hu, SPACING, doses=DOSES, views=VIEWS, seed=k, photons=1e5)
        found.append([(dose_view_score(dose, views), image) for (dose, views), image in ladder.items()])
    return found
