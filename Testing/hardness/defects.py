"""Defects that real archives hold, made with pydicom; drawn by the number of a case.

The list is that of the defects which scanners, exports and anonymisers are known for: geometry, values, objects.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from CTQualityAssessmentLib.reading.quiet import quiet
from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.uid import generate_uid

from Testing.dicom_factory import AXIAL, body, enhanced_dataset, save, write_series
from Testing.hardness.cases import look_at

Change = Callable[[int, FileDataset], None]


@dataclass
class Planned:
    """A series that is about to be written: voxels, how, and what becomes of each slice."""

    hu: NDArray[np.int16]
    keywords: dict[str, Any] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    after: list[Callable[[Path, list[Path]], None]] = field(default_factory=list)


def archive_defect(seed: int, folder: Path) -> tuple[str, str, str]:
    """A case for :func:`~Testing.hardness.pool.run_cases`: a series with one to three of the defects."""
    rng = Random(seed)
    planned = Planned(body(rng.choice((2, 5, 9)), 40, 40))
    done = rng.sample(DEFECTS, rng.choice((1, 1, 2, 3)))
    for spoil in done:
        spoil(rng, planned)

    def change(k: int, dataset: FileDataset) -> None:
        for one in planned.changes:
            one(k, dataset)

    # What a writer refuses to write ends the series there; what it has written by then is looked at.
    with quiet(), suppress(Exception):
        paths = write_series(folder, planned.hu, change=change, **planned.keywords)
        for one in planned.after:
            one(folder, paths)
    return " ".join(spoil.__name__ for spoil in done), *look_at(folder)


def tilt(rng: Random, planned: Planned) -> None:
    """A tilted gantry, told or not."""
    degrees = rng.choice((18.0, -23.0, 30.0, 0.5))
    planned.keywords["step"] = (0.0, 2.5 * np.sin(np.radians(degrees)), 2.5 * np.cos(np.radians(degrees)))
    planned.keywords["GantryDetectorTilt"] = rng.choice((str(degrees), "0", None, str(-degrees)))


def turned(rng: Random, planned: Planned) -> None:
    """Head first or feet first, prone, decubitus, coronal, sagittal, oblique."""
    row = np.array(rng.choice(((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, 1), (0.7071, 0.7071, 0), (0.6, 0.8, 0))))
    other = np.array(rng.choice(((0, 1, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1), (-0.7071, 0.7071, 0), (-0.8, 0.6, 0))))
    planned.keywords["orientation"] = (*row, *other)  # may be no plane at all
    planned.keywords["step"] = tuple(rng.choice((2.5, -2.5)) * np.cross(row, other))


def turning(rng: Random, planned: Planned) -> None:
    """The orientation changes by two degrees in the middle."""
    c, s = np.cos(np.radians(2)), np.sin(np.radians(2))
    planned.changes.append(
        lambda k, d: setattr(d, "ImageOrientationPatient", [c, s, 0, -s, c, 0] if k > 2 else list(AXIAL))
    )


def other_pixels(rng: Random, planned: Planned) -> None:
    """The pixel spacing changes in the middle, is not square, or is none."""
    spacing = rng.choice(([0.8, 0.71], [0.5, 0.9], [0, 0], [-0.7, 0.7], [1e-9, 1e-9], [500, 500]))
    first = rng.choice((0, 2))
    planned.changes.append(lambda k, d: setattr(d, "PixelSpacing", spacing) if k >= first else None)


def spacing_told(rng: Random, planned: Planned) -> None:
    """A slice distance in the header that the positions contradict."""
    value = rng.choice((-2.5, 0, 1e6, 5))
    planned.changes.append(lambda k, d: setattr(d, "SpacingBetweenSlices", value))


def positions(rng: Random, planned: Planned) -> None:
    """Interleaved stacks, later times at the same places, gaps, random places, one place."""
    count = len(planned.hu)
    ways = {
        "interleaved": [2.5 * (k % 2) * 0.5 + 2.5 * k for k in range(count)],
        "twice": [2.5 * (k // 2) for k in range(count)],
        "gaps": [2.5 * (k + 3 * (k > 1)) for k in range(count)],
        "scattered": [rng.uniform(-500, 500) for _ in range(count)],
        "one": [0.0] * count,
        "far": [1e7 * k for k in range(count)],
    }
    chosen = ways[rng.choice(sorted(ways))]
    planned.keywords["positions"] = [(-10.0, -20.0, z) for z in chosen]


def times(rng: Random, planned: Planned) -> None:
    """Slices of several acquisitions, or of none."""
    value = rng.choice(([1, 2], [1, None], ["", 3]))
    planned.changes.append(lambda k, d: setattr(d, "AcquisitionNumber", value[k % 2]))


def scale(rng: Random, planned: Planned) -> None:
    """Slopes and intercepts of every vendor, and of none."""
    planned.keywords["slope"] = rng.choice((1, 2, 0.5, 0.017))
    planned.keywords["intercept"] = rng.choice((0, -1000, -1024, -8192))
    planned.keywords["signed"] = True
    planned.hu = np.clip(planned.hu, -1000, 3000)


def padding(rng: Random, planned: Planned) -> None:
    """Padding outside the circle of view, told or not; in GE's images a fifth of each slice."""
    value = rng.choice((-2000, -3024, -1024, 63536 - 65536))
    planned.hu = planned.hu.copy()
    planned.hu[:, : rng.choice((1, 8, 30))] = value
    planned.keywords |= {"signed": True, "intercept": 0}
    told = rng.choice((value % 65536, None, 0, 40))
    if told is not None:
        planned.changes.append(lambda k, d: d.add_new(0x00280120, "US", told))


def bits(rng: Random, planned: Planned) -> None:
    """Twelve bits, or a header whose bits contradict one another."""
    stored, high = rng.choice(((12, 11), (16, 11), (12, 15), (0, 0), (17, 16), (8, 7)))
    planned.changes.append(lambda k, d: (setattr(d, "BitsStored", stored), setattr(d, "HighBit", high)) and None)


def colours(rng: Random, planned: Planned) -> None:
    """MONOCHROME1, or no monochrome image."""
    name = rng.choice(("MONOCHROME1", "RGB", "PALETTE COLOR", "YBR_FULL", "", "MONOCHROME2 "))
    planned.changes.append(lambda k, d: setattr(d, "PhotometricInterpretation", name))


def metal(rng: Random, planned: Planned) -> None:
    """Beyond the scale of twelve bits."""
    planned.hu = planned.hu.copy()
    planned.hu[:, 10:14, 10:14] = rng.choice((3072, 20000, 31743))


def constant(rng: Random, planned: Planned) -> None:
    """A slice, or all, of one value."""
    planned.hu = planned.hu.copy()
    planned.hu[rng.choice((slice(0, 1), slice(None)))] = rng.choice((-1000, 0, 40, 3000))


def other_kind(rng: Random, planned: Planned) -> None:
    """PET, MR, a scout or a secondary capture among the slices, or instead of them."""
    tags = rng.choice(
        (
            {"Modality": "PT"},
            {"Modality": "MR"},
            {"Modality": ""},
            {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
            {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"},
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128"},
            {"SOPClassUID": "1.2.3.4"},
        )
    )
    every = rng.random() < 0.4

    def change(k: int, dataset: FileDataset) -> None:
        if every or k == 0:
            for keyword, value in tags.items():
                setattr(dataset, keyword, value)

    planned.changes.append(change)


def missing(rng: Random, planned: Planned) -> None:
    """Elements that an anonymiser emptied or took away."""
    keywords = (
        "RescaleSlope RescaleIntercept ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness "
        "SeriesInstanceUID StudyInstanceUID SOPInstanceUID FrameOfReferenceUID Modality ImageType InstanceNumber "
        "AcquisitionNumber KVP PatientID Rows BitsStored PixelRepresentation PixelData SamplesPerPixel"
    ).split()
    gone = rng.sample(keywords, rng.choice((1, 2, 6)))
    emptied = rng.random() < 0.5

    def change(k: int, dataset: FileDataset) -> None:
        for keyword in gone:
            if keyword not in dataset:
                continue
            if emptied and keyword not in ("Rows", "BitsStored", "PixelRepresentation", "PixelData", "SamplesPerPixel"):
                setattr(dataset, keyword, None)
            elif keyword != "SOPInstanceUID":  # pydicom does not write without it
                delattr(dataset, keyword)

    planned.changes.append(change)


def characters(rng: Random, planned: Planned) -> None:
    """Character sets that are empty, wrong, or contradict the names."""
    planned.changes.append(
        lambda k, d: setattr(d, "SpecificCharacterSet", rng.choice(("", "ISO_IR 192", "ISO 2022 IR 87", "latin-1")))
    )
    planned.changes.append(lambda k, d: d.add_new(0x00180015, "CS", "BODY PART THAT IS TOO LONG FOR IT"))


def compressed(rng: Random, planned: Planned) -> None:
    """RLE, JPEG-LS, JPEG 2000, deflated, implicit."""
    planned.keywords["syntax"] = rng.choice(
        (
            "1.2.840.10008.1.2.5",
            "1.2.840.10008.1.2.4.80",
            "1.2.840.10008.1.2.4.90",
            "1.2.840.10008.1.2.1.99",
            "1.2.840.10008.1.2",
        )
    )


def beside(rng: Random, planned: Planned) -> None:
    """Another series, an Enhanced object or a scout of another matrix in the same folder."""

    def add(folder: Path, paths: list[Path]) -> None:
        kind = rng.choice(("series", "enhanced", "matrix", "same uid"))
        if kind == "enhanced":
            save(enhanced_dataset(body(3, 40, 40)), folder / "enhanced.dcm")
        elif kind == "series":
            write_series(folder, body(3, 40, 40), prefix="other", ConvolutionKernel="B70f")
        else:
            uid = str(generate_uid())
            shape = rng.choice(((256, 256), (768, 20), (1024, 8)))
            write_series(folder, body(2, *shape), prefix="x", series_uid=uid, step=(0, 0, 1))

    planned.after.append(add)


def cut_files(rng: Random, planned: Planned) -> None:
    """Files cut short, emptied or doubled on their way."""

    def spoil(folder: Path, paths: list[Path]) -> None:
        path = rng.choice(paths)
        content = path.read_bytes()
        way = rng.choice(("cut", "empty", "double", "no meta"))
        ways = {"cut": content[: len(content) * 2 // 3], "empty": b"", "double": 2 * content, "no meta": content[132:]}
        path.write_bytes(ways[way])

    planned.after.append(spoil)


DEFECTS: tuple[Callable[[Random, Planned], None], ...] = (
    tilt,
    turned,
    turning,
    other_pixels,
    spacing_told,
    positions,
    times,
    scale,
    padding,
    bits,
    colours,
    metal,
    constant,
    other_kind,
    missing,
    characters,
    compressed,
    beside,
    cut_files,
)
