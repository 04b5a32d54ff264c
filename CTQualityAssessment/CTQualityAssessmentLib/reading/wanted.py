"""Which modalities a caller can use, and the values of files that name none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.calls import Cancelled
from CTQualityAssessmentLib.reading.errors import NotHounsfieldError, UnknownModalityError
from CTQualityAssessmentLib.reading.hounsfield import settle
from CTQualityAssessmentLib.reading.signal import settle_signal

#: ``Volume.units`` of MR.
SIGNAL = "signal"


@dataclass(frozen=True)
class Wanted:
    """What may be read.

    Attributes:
        modalities: "CT", and "MR" for networks that read both.
        of_files: what an image file is that does not name its modality; None where its values have to decide, which
            they can for CT only.
    """

    modalities: tuple[str, ...] = ("CT",)
    of_files: str | None = None


CT_ONLY = Wanted()


@dataclass(frozen=True)
class Settled:
    """Values of an image file ``[k, j, i]``, their unit, the modality where it is known, and warnings."""

    values: NDArray[np.generic]
    units: str
    modality: str | None
    warnings: tuple[str, ...]


def settle_as(
    wanted: Wanted,
    modality: str | None,
    stored: NDArray[np.generic],
    slope: float,
    intercept: float,
    cancelled: Cancelled,
) -> Settled:
    """Values as HU, or as MR signal where the file or the caller says that they are.

    Args:
        wanted: see there.
        modality: as the file names it; None where it does not.
        stored, slope, intercept: as for :func:`~CTQualityAssessmentLib.reading.hounsfield.settle`.

    Raises:
        UnknownModalityError: nobody says what it is, MR could be read as well, and the values are no HU.
        NotHounsfieldError, NonFiniteValuesError, ReadingCancelledError: as their names say.
    """
    if (modality or wanted.of_files) == "MR":
        values, warnings = settle_signal(stored, slope, intercept, cancelled)
        return Settled(values, SIGNAL, "MR", warnings)
    try:
        hu, warnings = settle(stored, slope, intercept, cancelled)
    except NotHounsfieldError:
        if modality is None and wanted.of_files is None and "MR" in wanted.modalities:
            raise UnknownModalityError from None
        raise
    return Settled(hu, "HU", modality, warnings)
