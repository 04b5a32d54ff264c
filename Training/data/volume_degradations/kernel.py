"""CT: the reconstruction kernel. A soft one hides fine detail, a sharp one shows the noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from Training.data.volume_degradations.ct_scan import CTScan

#: From soft to sharp.
KERNELS_BY_SHARPNESS = ("soft", "hann", "cosine", "shepp-logan", "ramp")


def reconstruct_with(scan: CTScan, kernel: str, every: int = 1) -> NDArray[np.float32]:
    """HU of the scan by one of :data:`KERNELS_BY_SHARPNESS`; arguments as for :meth:`CTScan.reconstruct`.

    Raises:
        ValueError: no kernel of that name.
    """
    if kernel not in KERNELS_BY_SHARPNESS:
        raise ValueError(f"a kernel is one of {', '.join(KERNELS_BY_SHARPNESS)}")
    return scan.reconstruct(kernel, every)
