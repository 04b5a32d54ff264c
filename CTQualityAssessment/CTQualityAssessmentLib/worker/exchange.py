"""Volumes to the worker and results back, as files in a private folder."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from CTQualityAssessmentLib.assessment.difference import VolumeDifference
from CTQualityAssessmentLib.calls import finished
from CTQualityAssessmentLib.denoising import DenoisingReport
from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.measures import PhysicalMeasures
from CTQualityAssessmentLib.results import AttentionMap, VolumeAssessment, VolumeMap
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import AcquisitionFacts, SliceExposure, Volume
from CTQualityAssessmentLib.worker.protocol import SubtractRequest, VolumeRequest

_ = marks_of(__file__)

#: Bytes in a step.
_READ = 4_000_000

ASSESSMENT = "assessment.json"
ATTENTION = "attention.npz"
VOLUME_MAPS = "volume_maps.npz"
MEASURES = "measures.json"
#: With the strength asked for; the network's own answer, where that is another one.
DENOISED, FULLY_DENOISED = "denoised.npy", "fully_denoised.npy"
DENOISING = "denoising.json"
DIFFERENCE, DIFFERENCE_FACTS = "difference.npy", "difference.json"


class ExchangeError(CTQAError):
    """A file between host and worker is missing or damaged."""

    def __init__(self) -> None:
        super().__init__(
            _("A temporary file of the run is missing or damaged."),
            _("Check that the disk is not full, and run again."),
        )


def write_volume(path: Path, volume: Volume) -> dict[str, Any]:
    """Write the voxels to ``path`` (``.npy``) and return the fields of the request that describe the volume."""
    part = path.with_name(f".{path.name}")
    with part.open("wb") as file:
        np.save(file, volume.hu, allow_pickle=False)
    part.replace(path)
    return {
        "array": str(path),
        "ijk_to_ras": volume.ijk_to_ras.tolist(),
        "acquisition_axis": volume.acquisition_axis,
        "facts": volume.facts.known(),
        "warnings": list(volume.warnings),
        "units": volume.units,
        "exposures": [[one.tube_current_ma, one.exposure_mas, one.ctdivol_mgy] for one in volume.exposures],
    }


def read_volume_file(request: VolumeRequest) -> Volume:
    """The volume of a request with an ``array``; an ``.npy`` is mapped, not read.

    Raises:
        ExchangeError: the file is missing, damaged or describes no volume.
    """
    try:
        loaded = np.load(request.array, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                loaded = loaded["hu"]
        return Volume(
            loaded,
            np.array(request.ijk_to_ras, dtype=np.float64),
            request.acquisition_axis,
            AcquisitionFacts(**request.facts),
            tuple(request.warnings),
            request.units,
            tuple(SliceExposure(*one) for one in request.exposures),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ExchangeError from error


def read_second_volume(request: SubtractRequest) -> Volume:
    """The volume that is compared, mapped.

    Raises:
        ExchangeError: the file is missing, damaged or describes no volume.
    """
    fields = {"id": request.id, "folder": request.folder, "array": request.second}
    return read_volume_file(
        VolumeRequest(**fields, ijk_to_ras=request.second_ijk_to_ras, acquisition_axis=request.second_acquisition_axis)
    )


def write_result(folder: Path, assessment: VolumeAssessment) -> None:
    """Write the assessment and its maps into ``folder``, each complete or not at all."""
    if assessment.attention:
        arrays: dict[str, NDArray[Any]] = {}
        for n, one in enumerate(assessment.attention):
            arrays |= {f"values_{n}": one.values, f"affine_{n}": one.ijk_to_ras}
        names = [[one.kind, one.name, str(one.stage or "")] for one in assessment.attention]
        part = folder / f".{ATTENTION}"
        with part.open("wb") as file:
            np.savez(file, names=np.array(names), **arrays)
        part.replace(folder / ATTENTION)
    if assessment.volume_maps:
        stored = {f"values_{one.name}": one.values for one in assessment.volume_maps}
        stored |= {f"affine_{one.name}": one.ijk_to_ras for one in assessment.volume_maps}
        part = folder / f".{VOLUME_MAPS}"
        with part.open("wb") as file:
            np.savez(file, names=np.array([one.name for one in assessment.volume_maps]), **stored)
        part.replace(folder / VOLUME_MAPS)
    part = folder / f".{ASSESSMENT}"
    part.write_text(json.dumps(assessment.to_dict(), allow_nan=False), encoding="utf-8")
    part.replace(folder / ASSESSMENT)


def read_result(folder: Path) -> VolumeAssessment:
    """The assessment that :func:`write_result` wrote, with its maps.

    Raises:
        ExchangeError: a file is missing or damaged.
    """
    return finished(result_steps(folder))[0]


def result_steps(folder: Path) -> Generator[None, None, tuple[VolumeAssessment, str]]:
    """As :func:`read_result`, in steps; gives the assessment, and without its maps as JSON.

    Raises:
        ExchangeError: a file is missing or damaged.
    """
    try:
        text = (folder / ASSESSMENT).read_text(encoding="utf-8")
        plain = json.loads(text)
        yield
        assessment = VolumeAssessment.from_dict(plain)
        yield
        attention = yield from _attention(folder / ATTENTION)
        maps = tuple(_volume_maps(folder / VOLUME_MAPS))
        return replace(assessment, attention=tuple(attention), volume_maps=maps), text
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ExchangeError from error


def write_measured(folder: Path, measures: PhysicalMeasures) -> None:
    """Write the physical measures into ``folder``, complete or not at all."""
    part = folder / f".{MEASURES}"
    part.write_text(json.dumps(measures.to_dict(), allow_nan=False), encoding="utf-8")
    part.replace(folder / MEASURES)


def read_measured(folder: Path) -> PhysicalMeasures:
    """The measures that :func:`write_measured` wrote.

    Raises:
        ExchangeError: the file is missing or damaged.
    """
    try:
        return PhysicalMeasures.from_dict(json.loads((folder / MEASURES).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExchangeError from error


def write_denoised(folder: Path, denoised: Volume, report: DenoisingReport, full: Volume | None = None) -> None:
    """Write voxels and report into ``folder``, each complete or not at all.

    Args:
        folder: of the request.
        denoised: int16 HU with the report's strength.
        report: what was done.
        full: the network's own answer, where it was computed and is another one than ``denoised``.
    """
    for name, volume in ((FULLY_DENOISED, full), (DENOISED, denoised)):
        if volume is not None:
            write_volume(folder / name, volume)
    write_denoising(folder, report)


def write_denoising(folder: Path, report: DenoisingReport) -> None:
    """Write the report alone, in place of the one before, complete or not at all."""
    part = folder / f".{DENOISING}"
    part.write_text(json.dumps(report.to_dict(), allow_nan=False), encoding="utf-8")
    part.replace(folder / DENOISING)


def read_denoising(folder: Path) -> DenoisingReport:
    """The report that :func:`write_denoising` wrote.

    Raises:
        ExchangeError: the file is missing or damaged.
    """
    try:
        return DenoisingReport.from_dict(json.loads((folder / DENOISING).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExchangeError from error


def read_denoised(folder: Path, original: Volume, *, full: bool = False) -> tuple[Volume, DenoisingReport]:
    """What :func:`write_denoised` wrote.

    Args:
        folder: of the request.
        original: the volume that was denoised; its grid and facts are the result's.
        full: the network's own answer instead of the voxels with the strength asked for.

    Raises:
        ExchangeError: a file is missing, damaged or of another volume.
    """
    try:
        report = read_denoising(folder)
        name = FULLY_DENOISED if full and not report.strength.full else DENOISED
        hu = np.load(folder / name, allow_pickle=False)
        if hu.shape != original.hu.shape or hu.dtype != np.int16:
            raise ValueError("another volume")
        return replace(original, hu=hu), report
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ExchangeError from error


def _volume_maps(path: Path) -> Iterable[VolumeMap]:
    if not path.exists():
        return
    with np.load(path, allow_pickle=False) as stored:
        for name in stored["names"].tolist():
            yield VolumeMap(name, stored[f"values_{name}"], stored[f"affine_{name}"])


def write_difference(folder: Path, found: VolumeDifference) -> None:
    """Write a difference into ``folder``, complete or not at all."""
    part = folder / f".{DIFFERENCE}"
    with part.open("wb") as file:
        np.save(file, found.hu, allow_pickle=False)
    part.replace(folder / DIFFERENCE)
    plain = {name: value for name, value in vars(found).items() if name != "hu"}
    part = folder / f".{DIFFERENCE_FACTS}"
    part.write_text(json.dumps(plain, allow_nan=False), encoding="utf-8")
    part.replace(folder / DIFFERENCE_FACTS)


def read_difference(folder: Path) -> VolumeDifference:
    """The difference that :func:`write_difference` wrote; its voxels are mapped, not read.

    Raises:
        ExchangeError: a file is missing or damaged.
    """
    try:
        plain = json.loads((folder / DIFFERENCE_FACTS).read_text(encoding="utf-8"))
        plain["slices"] = tuple(None if one is None else tuple(one) for one in plain["slices"])
        return VolumeDifference(hu=np.load(folder / DIFFERENCE, mmap_mode="r", allow_pickle=False), **plain)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ExchangeError from error


def _attention(path: Path) -> Generator[None, None, list[AttentionMap]]:
    found: list[AttentionMap] = []
    if not path.exists():
        return found
    with np.load(path, allow_pickle=False) as stored:
        names, affines = stored["names"].tolist(), [stored[f"affine_{n}"] for n in range(len(stored["names"]))]
    for n, ((kind, name, stage), affine) in enumerate(zip(names, affines, strict=True)):
        values = yield from _array(path, f"values_{n}")
        found.append(AttentionMap(name, int(stage) if stage else None, values, affine, kind))
    return found


def _array(path: Path, name: str) -> Generator[None, None, NDArray[np.float32]]:
    """An array of an ``.npz``, a few megabytes a step: numpy itself would read a fine map in one."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
        values = np.empty(shape, dtype, order="F" if in_columns else "C")
        waiting = memoryview(values.ravel(order="K").view(np.uint8)) if values.size else b""
        while waiting:
            count = file.readinto(waiting[:_READ])
            if not count:
                raise EOFError
            waiting = waiting[count:]
            yield
    return values
