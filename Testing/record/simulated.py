"""A department of which the truth is known: months of simulated results, with or without a drift.

Nothing here was measured on a scanner or a patient. The scores follow kernel and dose, with a spread between series as
seen in the simulated test set; the drift is planted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from CTQualityAssessmentLib.batch.records import SCORED
from CTQualityAssessmentLib.record.store import Result

MODEL, SETTINGS = "d" * 64, "e" * 64
#: Maker, model and pseudonym of each scanner; two are of one model.
SCANNERS = (("Maker", "Model 1", "a1a1a1"), ("Maker", "Model 1", "b2b2b2"), ("Other", "Model 9", "c3c3c3"))
#: Body part, usual CTDIvol in mGy, and how often.
PROTOCOLS = (("CHEST", 4.0, 0.5), ("ABDOMEN", 8.0, 0.35), ("HEAD", 40.0, 0.15))
#: Kernel, level of the score at the usual dose, and how often.
KERNELS = (("Br40", 3.0, 0.6), ("Bf56", 2.3, 0.25), ("Bl64", 1.6, 0.15))
SPREAD = 0.25


@dataclass(frozen=True)
class Drift:
    """From a month on (counted from 0) the scores of a scanner change; its dose by a factor."""

    scanner: int
    month: int
    change: float = 0.0
    dose: float = 1.0


def name_of(scanner: int) -> str:
    """As the page calls it."""
    maker, model, unit = SCANNERS[scanner]
    return f"{maker} {model} #{unit}"


def month_name(number: int, first: int = 2025 * 12) -> str:
    return f"{(first + number) // 12:04d}-{(first + number) % 12 + 1:02d}"


def department(
    seed: int,
    months: int = 12,
    each: int = 20,
    drifts: tuple[Drift, ...] = (),
    other_mix: tuple[int, int] | None = None,
) -> list[Result]:
    """Results of all scanners.

    Args:
        seed: of everything.
        months: how many, from January 2025 on.
        each: series of a scanner in a month.
        drifts: what is planted.
        other_mix: a scanner and a month from which on it mostly makes the sharpest kernel, which is no drift.
    """
    rng = np.random.default_rng(seed)
    found = []
    for month in range(months):
        for scanner, (maker, model, unit) in enumerate(SCANNERS):
            for _ in range(each):
                part, usual, _ = PROTOCOLS[rng.choice(3, p=[p[2] for p in PROTOCOLS])]
                sharp = other_mix and scanner == other_mix[0] and month >= other_mix[1]
                kernel, level, _ = KERNELS[rng.choice(3, p=(0.1, 0.2, 0.7) if sharp else [k[2] for k in KERNELS])]
                now = [one for one in drifts if one.scanner == scanner and month >= one.month]
                factor = rng.lognormal(0, 0.25) * math.prod(one.dose for one in now)
                score = level + 0.5 * math.log2(factor) + rng.normal(0, SPREAD) + sum(one.change for one in now)
                figures = {
                    "manufacturer": maker,
                    "scanner_model": model,
                    "scanner_unit": unit,
                    "body_part": part,
                    "kvp": 120.0,
                    "kernel": kernel,
                    "ctdivol_mgy": round(usual * factor, 3),
                    "mean": round(min(max(score, 0.0), 4.0), 3),
                    "month": month_name(month),
                }
                found.append(Result(rng.bytes(8).hex(), MODEL, SETTINGS, SCORED, None, figures))
    return found
