"""CT: fewer views. Every n-th view is kept, as the organisers of LDCTIQAG2023 describe; what is missing streaks."""

from __future__ import annotations

from dataclasses import replace

from Training.data.volume_degradations.ct_scan import CTScan


def keep_views(scan: CTScan, views: int) -> CTScan:
    """The scan with ``views`` over a full turn.

    Raises:
        ValueError: not an even divisor of the views that there are.
    """
    there = len(scan.angles)
    if views < 2 or views % 2 or there % (views // 2):
        raise ValueError(f"{views} views are no even divisor of {2 * there}")
    step = there // (views // 2)
    return replace(scan, integrals=scan.integrals[:, ::step], angles=scan.angles[::step])
