"""Voxels and sizes that no patient has, drawn by the number of a case."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import nibabel
import numpy as np
from numpy.typing import NDArray

from Testing.dicom_factory import body, save, slice_dataset
from Testing.hardness.cases import look_at


def strange_voxels(seed: int, folder: Path) -> tuple[str, str, str]:
    """A case for :func:`~Testing.hardness.pool.run_cases`: voxels and sizes that no patient has, in two formats."""
    rng = Random(seed)
    numbers = np.random.default_rng(seed)
    shape = rng.choice(
        ((1, 32, 32), (3, 32, 32), (1, 1, 1), (2, 2, 2), (4, 96, 33), (300, 8, 8), (1, 2048, 2048), (3, 512, 512))
    )
    fill = rng.choice(sorted(_FILLS))
    values = _FILLS[fill](numbers, shape)
    tried = f"{fill}, {shape[0]} of {shape[2]} x {shape[1]}"
    if rng.random() < 0.5:
        kind = rng.choice((np.float32, np.float64, np.int16))
        affine = np.diag([-rng.choice((0.5, 2.0)), -2.0, 3.0, 1.0])
        with np.errstate(all="ignore"):
            nibabel.save(nibabel.Nifti1Image(values.T.astype(kind), affine), folder / "a.nii")
        if rng.random() < 0.2:  # nibabel itself writes no such place
            content = bytearray((folder / "a.nii").read_bytes())
            at, number = 280 + 4 * rng.randrange(12), rng.choice((np.nan, np.inf, 0.0, 1e30))
            content[at : at + 4] = struct.pack("<f", number)
            (folder / "a.nii").write_bytes(content)
        return f"{tried}, NIfTI", *look_at(folder / "a.nii")
    with np.errstate(all="ignore"):
        stored = np.nan_to_num(values, nan=0, posinf=31743, neginf=-1024).clip(-1024, 31743).astype(np.int16)
    for k, plane in enumerate(stored):
        save(slice_dataset(plane, (0, 0, 3.0 * k), series_uid="1.2.3", number=k + 1), folder / f"{k}.dcm")
    return f"{tried}, DICOM", *look_at(folder)


def _some(value: float, share: float) -> Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]:
    def fill(numbers: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
        hu = body(*shape).astype(np.float64)
        hu[numbers.random(shape) < share] = value
        return hu

    return fill


_FILLS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float64]]] = {
    "air": lambda numbers, shape: np.full(shape, -1000.0),
    "bone": lambda numbers, shape: np.full(shape, 1200.0),
    "water": lambda numbers, shape: np.zeros(shape),
    "noise": lambda numbers, shape: numbers.normal(0, 500, shape),
    "salt and pepper": lambda numbers, shape: numbers.choice((-1024.0, 31743.0), shape),
    "a patient": lambda numbers, shape: body(*shape).astype(np.float64),
    "some NaN": _some(np.nan, 0.01),
    "mostly NaN": _some(np.nan, 0.99),
    "some infinite": _some(np.inf, 0.001),
    "huge numbers": _some(1e30, 0.01),
    "tiny numbers": lambda numbers, shape: numbers.random(shape) * 1e-300,
    "a gradient": lambda numbers, shape: np.linspace(-1024, 3000, int(np.prod(shape))).reshape(shape),
}
