"""Draws the extension's icon from the shipped sample: a slice whose right half carries the quality colours.

python -m Testing.visual.icon
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from CTQualityAssessmentLib.colours import QUALITY
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.windows import WINDOWS

ROOT = Path(__file__).parents[2]
_SIZE = 128


def main() -> None:
    """Write ``Resources/Icons/CTQualityAssessment.png``."""
    from matplotlib.image import imsave

    slices = read_volume(ROOT / "Resources" / "SampleData" / "CTQA-phantom" / "dicom").canonical_slices()
    hu = slices.hu[22].astype(np.float32)
    body = np.argwhere(hu > -200)
    (top, left), (bottom, right) = body.min(axis=0), body.max(axis=0)
    side = int(max(bottom - top, right - left) * 1.04)
    middle = ((top + bottom) // 2, (left + right) // 2)
    rows, columns = (np.linspace(m - side / 2, m + side / 2 - 1, _SIZE).round().astype(int) for m in middle)
    inside = (rows >= 0) & (rows < hu.shape[0])
    grey = np.zeros((_SIZE, _SIZE))
    grey[inside] = WINDOWS["soft-tissue"].apply(hu[rows[inside]][:, columns])
    picture = np.repeat(grey[..., None], 3, axis=2)
    bands = QUALITY.rgb(5)[(np.arange(_SIZE) * 5 // _SIZE)][::-1, None]
    patient = np.maximum.accumulate(grey > 0, axis=1) & np.maximum.accumulate(grey[:, ::-1] > 0, axis=1)[:, ::-1]
    coloured = np.where(patient[..., None], 0.35 * picture + 0.65 * bands, picture)
    picture[:, _SIZE // 2 :] = coloured[:, _SIZE // 2 :]
    target = ROOT / "Resources" / "Icons"
    target.mkdir(parents=True, exist_ok=True)
    imsave(target / "CTQualityAssessment.png", picture)


if __name__ == "__main__":
    main()
