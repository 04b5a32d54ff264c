"""Named intensity windows: Hounsfield units to the [0, 1] that networks read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Window:
    """An intensity window, given by its width and level in HU."""

    name: str
    width: float
    level: float

    @property
    def lower(self) -> float:
        """HU that maps to 0."""
        return self.level - self.width / 2

    @property
    def upper(self) -> float:
        """HU that maps to 1."""
        return self.level + self.width / 2

    def apply(self, hu: NDArray[np.generic]) -> NDArray[np.float32]:
        """HU of any shape to float32 in [0, 1], clipped at both ends."""
        scaled = np.asarray(hu, dtype=np.float32)
        scaled = (scaled - np.float32(self.lower)) * np.float32(1.0 / self.width)
        return np.clip(scaled, 0.0, 1.0, out=scaled)

    def invert(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """[0, 1] back to HU; what was clipped stays at the window's edge."""
        return np.asarray(values, dtype=np.float32) * np.float32(self.width) + np.float32(self.lower)


#: ``ldctiqa``: the scale of the LDCTIQAG2023 images. The organisers give no numbers; the peaks of fat, soft tissue and
#: air in images of the challenge's format fit -1050 ... 350 HU. ``soft-tissue`` is for display, surrogate labels and
#: networks of whole volumes that learn such labels, never for a challenge-trained network. ``lung`` and ``bone`` are
#: for display. ``full``, from air to dense bone, is what denoisers and lesion detectors read.
WINDOWS: dict[str, Window] = {
    w.name: w
    for w in (
        Window("ldctiqa", 1400.0, -350.0),
        Window("ldctiqa-benchmark", 1400.0, -300.0),
        Window("soft-tissue", 350.0, 40.0),
        Window("lung", 1500.0, -600.0),
        Window("bone", 1800.0, 400.0),
        Window("full", 4096.0, 1024.0),
    )
}
