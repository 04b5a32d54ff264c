"""Where the patient is in a slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.volume import Volume

#: Tissue is denser than this, the foam of a table and clothing mostly are not.
_TISSUE_HU = -300.0
#: Opening with this radius takes away table shells, blankets and tubes.
_OPENING_MM = 4.0
#: Parts smaller than this share of the largest one are not patient (arms beside the trunk are larger).
_SMALLEST_PART = 0.05


def body_mask(
    hu: NDArray[np.generic], spacing_mm: tuple[float, float], tissue_from: float = _TISSUE_HU
) -> NDArray[np.bool_]:
    """Pixels inside the patient's skin, lungs and bowel gas included, table excluded.

    Works slice by slice on a grid of about 256 pixels, which is as fine as a mask needs to be.

    Args:
        hu: ``(rows, columns)`` or ``(n, rows, columns)`` in HU, in the radiological view.
        spacing_mm: distance between rows and between columns.
        tissue_from: values above this are tissue; the default is for HU, see :func:`signal_floor` for MR.

    Returns:
        bool array of the shape of ``hu``; all False where there is no patient.
    """
    if hu.ndim == 3:
        masks = np.empty(hu.shape, dtype=bool)
        for slice_, mask in zip(hu, masks, strict=True):
            mask[:] = body_mask(slice_, spacing_mm, tissue_from)
        return masks
    from scipy import ndimage

    step = max(1, round(max(hu.shape) / 256))
    tissue = np.asarray(hu[::step, ::step]) > tissue_from
    radius = _OPENING_MM / (step * float(np.mean(spacing_mm)))
    # A distance threshold is an opening with a round element, at a cost that does not grow with the radius.
    core = ndimage.distance_transform_edt(np.pad(tissue, 1, mode="edge"))[1:-1, 1:-1] > radius
    parts, count = ndimage.label(core)
    if count == 0:
        return np.zeros(hu.shape, dtype=bool)
    sizes = np.bincount(parts.ravel())[1:]
    kept = np.isin(parts, 1 + np.flatnonzero(sizes >= _SMALLEST_PART * sizes.max()))
    grown = ndimage.distance_transform_edt(~kept) <= radius
    body = grown & tissue
    for edge in (body[0], body[-1], body[:, 0], body[:, -1]):
        # A patient wider than the field of view leaves lungs open at the edge: close them between the tissue there.
        touched = np.flatnonzero(edge)
        if touched.size:
            edge[touched[0] : touched[-1] + 1] = True
    filled = ndimage.binary_fill_holes(body)
    return np.repeat(np.repeat(filled, step, axis=0), step, axis=1)[: hu.shape[0], : hu.shape[1]]


def patient_mask(volume: Volume) -> NDArray[np.bool_]:
    """Where the patient is on the canonical slices of a volume, ``(n, rows, columns)``; of CT and of MR."""
    slices = volume.canonical_slices()
    column, row, _ = np.linalg.norm(slices.ijk_to_ras[:3, :3], axis=0)
    return body_mask(slices.hu, (float(row), float(column)), tissue_floor(volume))


def tissue_floor(volume: Volume) -> float:
    """The value above which a voxel is tissue: in HU fixed, of MR by its own signal."""
    return signal_floor(volume.hu[::4, ::4, ::4]) if volume.is_mr else _TISSUE_HU


def signal_floor(signal: NDArray[np.generic]) -> float:
    """The MR signal above which a voxel is tissue rather than noise of the air: a tenth of the 99th percentile."""
    return 0.1 * float(np.percentile(signal, 99))
