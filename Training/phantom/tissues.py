"""The tissues of the phantom: label codes, CT numbers at 120 kVp by contrast phase, and texture.

CT numbers are round textbook values; no measurement of a patient is in them.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Tissue(IntEnum):
    """Label codes in ``Phantom.labels``."""

    AIR = 0
    TABLE = 1
    SKIN = 2
    SUBCUTANEOUS_FAT = 3
    VISCERAL_FAT = 4
    MUSCLE = 5
    CORTICAL_BONE = 6
    TRABECULAR_BONE = 7
    DISC = 8
    SPINAL_CANAL = 9
    CARTILAGE = 10
    LUNG = 11
    HEART = 12
    LIVER = 13
    SPLEEN = 14
    KIDNEY_CORTEX = 15
    KIDNEY_MEDULLA = 16
    KIDNEY_PELVIS = 17
    PANCREAS = 18
    GALL_BLADDER = 19
    ADRENAL = 20
    STOMACH_WALL = 21
    BOWEL_WALL = 22
    BOWEL_CONTENT = 23
    BOWEL_GAS = 24
    AORTA = 25
    VENA_CAVA = 26
    PORTAL_VEIN = 27
    HEPATIC_VEIN = 28
    ARTERY = 29
    LESION = 30


#: Contrast phases: unenhanced, late arterial, portal venous, excretory.
PHASES: tuple[str, ...] = ("native", "arterial", "portal", "excretory")

#: HU of the tissues that take up contrast medium, in the order of PHASES.
_ENHANCING: dict[Tissue, tuple[float, float, float, float]] = {
    Tissue.MUSCLE: (52.0, 55.0, 60.0, 58.0),
    Tissue.HEART: (42.0, 110.0, 120.0, 90.0),
    Tissue.LIVER: (60.0, 72.0, 110.0, 92.0),
    Tissue.SPLEEN: (50.0, 115.0, 122.0, 95.0),
    Tissue.KIDNEY_CORTEX: (35.0, 165.0, 185.0, 145.0),
    Tissue.KIDNEY_MEDULLA: (33.0, 85.0, 165.0, 150.0),
    Tissue.KIDNEY_PELVIS: (8.0, 8.0, 14.0, 380.0),
    Tissue.PANCREAS: (44.0, 105.0, 96.0, 78.0),
    Tissue.ADRENAL: (28.0, 70.0, 68.0, 52.0),
    Tissue.STOMACH_WALL: (45.0, 75.0, 85.0, 72.0),
    Tissue.BOWEL_WALL: (42.0, 85.0, 95.0, 75.0),
    Tissue.AORTA: (42.0, 280.0, 165.0, 115.0),
    Tissue.ARTERY: (42.0, 260.0, 160.0, 112.0),
    Tissue.VENA_CAVA: (40.0, 85.0, 145.0, 112.0),
    Tissue.PORTAL_VEIN: (41.0, 120.0, 175.0, 116.0),
    Tissue.HEPATIC_VEIN: (40.0, 74.0, 165.0, 114.0),
}

#: HU of the others as (mean, spread between patients).
_FIXED: dict[Tissue, tuple[float, float]] = {
    Tissue.AIR: (-1000.0, 0.0),
    Tissue.TABLE: (150.0, 60.0),
    Tissue.SKIN: (20.0, 12.0),
    Tissue.SUBCUTANEOUS_FAT: (-103.0, 4.0),
    Tissue.VISCERAL_FAT: (-98.0, 5.0),
    Tissue.CORTICAL_BONE: (950.0, 100.0),
    Tissue.TRABECULAR_BONE: (215.0, 40.0),
    Tissue.DISC: (85.0, 8.0),
    Tissue.SPINAL_CANAL: (28.0, 5.0),
    Tissue.CARTILAGE: (105.0, 15.0),
    Tissue.LUNG: (-850.0, 20.0),
    Tissue.GALL_BLADDER: (9.0, 5.0),
    Tissue.BOWEL_CONTENT: (25.0, 8.0),
    Tissue.BOWEL_GAS: (-985.0, 5.0),
    Tissue.LESION: (45.0, 5.0),
}

#: Standard deviation in HU of the smooth texture inside a tissue (correlated over several mm); 2 where none is given.
_TEXTURE: dict[Tissue, float] = {
    Tissue.AIR: 0.0,
    Tissue.TABLE: 0.0,
    Tissue.SUBCUTANEOUS_FAT: 2.5,
    Tissue.VISCERAL_FAT: 4.0,
    Tissue.MUSCLE: 7.0,
    Tissue.CORTICAL_BONE: 60.0,
    Tissue.TRABECULAR_BONE: 32.0,
    Tissue.LUNG: 22.0,
    Tissue.LIVER: 4.0,
    Tissue.KIDNEY_CORTEX: 6.0,
    Tissue.KIDNEY_MEDULLA: 6.0,
    Tissue.PANCREAS: 7.0,
    Tissue.HEART: 6.0,
    Tissue.BOWEL_CONTENT: 6.0,
    Tissue.BOWEL_GAS: 4.0,
}


def draw_hu(rng: np.random.Generator, phase: str) -> dict[Tissue, float]:
    """HU of every tissue of one patient in one of :data:`PHASES`; about 4 % apart between patients."""
    column = PHASES.index(phase)
    drawn = {tissue: values[column] * rng.uniform(0.95, 1.05) for tissue, values in _ENHANCING.items()}
    drawn.update({tissue: mean + spread * rng.uniform(-1, 1) for tissue, (mean, spread) in _FIXED.items()})
    return drawn


def texture_sd() -> NDArray[np.float32]:
    """Texture SD in HU by label code, shape ``(31,)``."""
    return np.array([_TEXTURE.get(tissue, 2.0) for tissue in Tissue], dtype=np.float32)
