"""MR: ghosts. The signal of every second phase-encoding line differs, as with motion from line to line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft


def add_ghosts(image: NDArray[np.floating], amplitude: float, every: int = 2) -> NDArray[np.float32]:
    """Magnitude of the image plus copies of itself, shifted by ``rows / every`` along the phase-encoding direction.

    Every n-th line of k-space is measured with ``1 + every * amplitude`` of its signal and all lines with
    ``1 - amplitude``: the image stays, and each of the ``every - 1`` ghosts has ``amplitude`` of it.

    Args:
        image: ``(slices, rows, columns)``; rows are the phase-encoding direction.
        amplitude: of a ghost, in [0, 1).
        every: 2 for one ghost half a field of view away.

    Raises:
        ValueError: an amplitude or a number outside of these ranges.
    """
    if not 0 <= amplitude < 1 or every < 2:
        raise ValueError("the amplitude of ghosts is in [0, 1), and every second line or fewer differ")
    gain = np.full(image.shape[1], 1.0 - amplitude, dtype=np.float32)
    gain[::every] += every * amplitude
    spectrum = fft.fft(image, axis=1) * gain[:, None]
    return np.abs(fft.ifft(spectrum, axis=1)).astype(np.float32)
