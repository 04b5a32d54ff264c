"""MR: noise. Complex Gaussian noise in each pixel, of which the magnitude is taken, is Rician.

Gudbjartsson and Patz, Magn. Reson. Med. 34:910-914, 1995.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def add_rician_noise(
    image: NDArray[np.floating], snr: float, rng: np.random.Generator, *, signal: float
) -> NDArray[np.float32]:
    """Magnitude of the image with complex noise of standard deviation ``signal / snr`` in each of the two parts.

    Args:
        image: magnitudes of any shape.
        snr: signal-to-noise ratio of tissue that has the value ``signal``; infinity adds no noise.
        rng: of the noise.
        signal: mean magnitude of tissue.

    Raises:
        ValueError: a ratio or a signal that is not positive.
    """
    if not snr > 0 or not signal > 0:
        raise ValueError("signal and its ratio to the noise are above zero")
    sd = signal / snr
    real = image + np.float32(sd) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.hypot(real, np.float32(sd) * rng.standard_normal(image.shape, dtype=np.float32)).astype(np.float32)
