"""Water-equivalent diameter and size-specific dose estimate.

AAPM Report 220 (2014): the diameter of the water cylinder that attenuates like the patient. AAPM Reports 204 (2011) and
220: the size-specific dose estimate is CTDIvol times a factor that falls exponentially with that diameter.
"""

from __future__ import annotations

import math

import numpy as np

from CTQualityAssessmentLib.assessment.measures.slice_grid import SliceGrid, grown

#: Factor ``a exp(-b Dw)``, Dw in cm, by the diameter in cm of the phantom that CTDIvol refers to (Report 204, A.1).
_CONVERSION = {32: (3.704369, 0.03671937), 16: (1.874799, 0.03871313)}
#: The fit was made over these diameters in mm.
FITTED_MM = (80.0, 450.0)


def water_equivalent_diameter(grid: SliceGrid) -> float:
    """Diameter in mm of the water disc with the patient's attenuation: ``2 sqrt(sum(1 + HU / 1000) area / pi)``.

    The patient's mask is taken one block wider: air adds nothing to the sum, and no skin is cut off. The caller sees to
    it that the whole patient is in the field of view.
    """
    attenuation = (1.0 + grid.means[grown(grid.body)] / 1000.0).sum() * grid.block_area_mm2
    return float(2 * np.sqrt(max(float(attenuation), 0.0) / np.pi))


def size_specific_dose(ctdivol_mgy: float, diameter_mm: float, phantom_cm: int = 32) -> float:
    """Size-specific dose estimate in mGy.

    Args:
        ctdivol_mgy: of the scan.
        diameter_mm: water-equivalent diameter, within :data:`FITTED_MM`.
        phantom_cm: diameter of the phantom that CTDIvol refers to, 32 (body) or 16 (head).
    """
    a, b = _CONVERSION[phantom_cm]
    return ctdivol_mgy * a * math.exp(-b * diameter_mm / 10)
