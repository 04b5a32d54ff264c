"""Stacks of slices to degrade: cleaned public CT, public MR as it is.

CT is averaged along the patient to about 5 mm, binned to 256 pixels and denoised (see :mod:`Training.data.sources` for
why), so that each volume starts without noise of its own. MR is left alone: its own noise is low and there is no
simulation of a whole acquisition to put in its place, which flatters no volume and is said in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.reading.wanted import Wanted
from CTQualityAssessmentLib.volume import Volume
from numpy.typing import NDArray

from Training.data.sources import clean_slice, data_folder, load_slices
from Training.phantom import abdomen_phantom

#: Pixels along a side of a CT source.
CT_SIZE = 256
_THICKNESS_MM = 5.0
#: Volume -> (patient, organ). The two kernels of one scan are one patient, of which the soft one is used.
CT_SOURCES: dict[str, tuple[str, str]] = {
    "ge_abdomen_contrast_crlm1006": ("crlm1006", "abdomen"),
    "ge_abdomen_pelvis_acrin001": ("acrin001", "abdomen"),
    "ge_abdomen_sharp_cptac00189": ("cptac00189", "abdomen"),
    "ge_chest_rider0117": ("rider0117", "chest"),
    "ge_chest_sharp_cmbcrc01068": ("cmbcrc01068", "chest"),
    "philips_chest_lidc0314": ("lidc0314", "chest"),
    "philips_chest_soft_lungdxA0001": ("lungdxA0001", "chest"),
    "siemens_chest_lungfcp01": ("lungfcp01", "chest"),
    "siemens_thorax_abdomen_acrin013": ("acrin013", "chest"),
}
MR_SOURCES: dict[str, tuple[str, str]] = {
    f"t1_softtissue_sts{number}": (f"sts{number}", "extremity")
    for number in ("001", "005", "006", "010", "011", "014", "017", "022")
}


#: Imagined patients (:mod:`Training.phantom`) beside them: nine real ones are few, and the network learned their looks.
PHANTOM_SEEDS = range(10)
#: 384 mm across.
_PHANTOM_PIXEL_MM = 1.5
CT_SOURCES |= {f"phantom{seed:03d}": (f"phantom{seed:03d}", "abdomen") for seed in PHANTOM_SEEDS}


@dataclass(frozen=True)
class VolumeSource:
    """A stack to degrade.

    Attributes:
        patient: name of the split.
        modality: "CT" or "MR".
        organ: as in ``prompts.ORGANS``.
        values: HU or signal, float32 ``(slices, rows, columns)`` in the radiological view.
        spacing_mm: between slices, rows and columns.
    """

    patient: str
    modality: str
    organ: str
    values: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]


def read_source(name: str, ct_slices: int, mr_slices: int) -> VolumeSource:
    """One of :data:`CT_SOURCES` or :data:`MR_SOURCES`: so many slices from the middle of it, or all that it has."""
    return _ct_source(name, ct_slices) if name in CT_SOURCES else _mr_source(name, mr_slices)


def _ct_source(name: str, count: int) -> VolumeSource:
    patient, organ = CT_SOURCES[name]
    if name.startswith("phantom"):
        return _phantom_source(patient, organ, count)
    hu, (pixel, interval) = load_slices(data_folder() / "ct" / "volumes" / f"{name}.nii.gz")
    reach = max(0, round((_THICKNESS_MM / interval - 1) / 2))
    first = max(reach, (len(hu) - count) // 2)
    bins = hu.shape[1] // CT_SIZE
    slices = []
    for k in range(first, min(first + count, len(hu) - reach)):
        mean = hu[k - reach : k + reach + 1].astype(np.float32).mean(axis=0)
        slices.append(clean_slice(mean.reshape(CT_SIZE, bins, CT_SIZE, bins).mean(axis=(1, 3))))
    return VolumeSource(patient, "CT", organ, np.stack(slices), (interval, pixel * bins, pixel * bins))


def _phantom_source(patient: str, organ: str, count: int) -> VolumeSource:
    phantom = abdomen_phantom(
        int(patient.removeprefix("phantom")),
        slices=count,
        size=CT_SIZE,
        spacing_mm=_PHANTOM_PIXEL_MM,
        thickness_mm=_THICKNESS_MM,
        increment_mm=_THICKNESS_MM,
    )
    columns, rows, interval = phantom.spacing_mm
    return VolumeSource(patient, "CT", organ, phantom.hu, (interval, rows, columns))


def _mr_source(name: str, count: int) -> VolumeSource:
    patient, organ = MR_SOURCES[name]
    slices = read_mr(name).canonical_slices()
    column, row, interval = (float(n) for n in np.linalg.norm(slices.ijk_to_ras[:3, :3], axis=0))
    first = max(0, (len(slices.hu) - count) // 2)
    values = slices.hu[first : first + count].astype(np.float32)
    return VolumeSource(patient, "MR", organ, values, (interval, row, column))


def read_mr(name: str) -> Volume:
    """One of :data:`MR_SOURCES`; the files do not say that they are MR."""
    return read_volume(data_folder() / "mr" / f"{name}.nii.gz", wanted=Wanted(("MR",), "MR"))
