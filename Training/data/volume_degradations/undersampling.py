"""MR: fewer phase-encoding lines, the others filled with zeros; the middle of k-space is always measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft


def sampled_lines(lines: int, acceleration: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which lines of k-space are measured, ``(lines,)`` with zero frequency in the middle.

    ``round(lines / acceleration)`` lines: a third of them around the middle, the others drawn at random.

    Raises:
        ValueError: an acceleration below 1.
    """
    if acceleration < 1:
        raise ValueError("an acceleration is 1 or more")
    wanted = max(1, round(lines / acceleration))
    measured = np.zeros(lines, dtype=bool)
    core = max(1, wanted // 3)
    first = lines // 2 - core // 2
    measured[first : first + core] = True
    measured[rng.choice(np.flatnonzero(~measured), wanted - core, replace=False)] = True
    return measured


def undersample(image: NDArray[np.floating], acceleration: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Magnitude of the zero-filled reconstruction from one in ``acceleration`` lines.

    Args:
        image: ``(slices, rows, columns)``; rows are the phase-encoding direction. All slices lose the same lines.
        acceleration: 1 keeps everything.
        rng: of the choice of lines.
    """
    measured = np.fft.ifftshift(sampled_lines(image.shape[1], acceleration, rng))
    spectrum = fft.fft(image, axis=1) * measured[:, None]
    return np.abs(fft.ifft(spectrum, axis=1)).astype(np.float32)
