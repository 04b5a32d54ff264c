"""The abdomen phantom: one patient per seed, as noise-free HU with the tissue of every voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from Training.phantom.body import BodyWall, paint_body, paint_table
from Training.phantom.bowel import Bowel, build_bowel, paint_colon, paint_small_bowel
from Training.phantom.canvas import Canvas
from Training.phantom.chest import Diaphragm, build_diaphragm, paint_chest
from Training.phantom.fields import RandomField
from Training.phantom.organs import (
    Organs,
    build_organs,
    paint_gall_bladder,
    paint_kidneys,
    paint_liver,
    paint_pancreas,
    paint_spleen,
    paint_stomach,
)
from Training.phantom.patient import Patient, draw_patient
from Training.phantom.skeleton import Skeleton, build_skeleton, paint_iliac, paint_ribs, paint_spine
from Training.phantom.tissues import Tissue, draw_hu, texture_sd
from Training.phantom.vessels import Vessels, build_vessels, paint_free_vessels, paint_hepatic_vessels

#: Gaussian SD of the phantom's own unsharpness, in mm: tissue borders are never as sharp as a formula.
EDGE_BLUR_MM = 0.6
#: Smallest field of view that holds a patient.
MIN_FIELD_OF_VIEW_MM = 310.0
#: Corners in mm of the box that the random fields fill: one for every patient, so that sampling changes no anatomy.
_FIELD_BOX = ((-235.0, -185.0, -30.0), (235.0, 185.0, 280.0))
#: Five fields bend the organs (three coarsely, two finely), two give texture.
_FIELD_SCALES_MM = (22.0, 22.0, 22.0, 8.0, 8.0, 5.0, 1.8)


@dataclass(frozen=True)
class Phantom:
    """A noise-free CT volume with its tissues.

    Attributes:
        hu: (n, rows, columns) float32, -1024 ... 1500 HU. Slice 0 is the lowest (towards the feet); columns run to
            the patient's left and rows to posterior, so that every slice is in the radiological view.
        labels: (n, rows, columns) uint8 codes of :class:`Tissue`, at the middle of the slice.
        spacing_mm: along columns, rows and slices; ``thickness_mm`` of one slice, which may be less than the last.
        phase: contrast phase: native, arterial, portal or excretory.
        seed: what it was made from.
    """

    hu: NDArray[np.float32]
    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    thickness_mm: float
    phase: str
    seed: int


@dataclass(frozen=True)
class _Anatomy:
    patient: Patient
    hu: dict[Tissue, float]
    wall: BodyWall
    diaphragm: Diaphragm
    skeleton: Skeleton
    organs: Organs
    bowel: Bowel
    vessels: Vessels


def abdomen_phantom(
    seed: int,
    *,
    slices: int = 24,
    size: int = 512,
    spacing_mm: float = 0.75,
    thickness_mm: float = 5.0,
    increment_mm: float | None = None,
) -> Phantom:
    """Build the abdomen of one imagined patient, from the bases of the lungs to the iliac crests.

    Body size (280 to 420 mm wide where the field of view allows), fat, contrast phase, position and size of every
    organ, vessel trees, bowel and lesions depend on the seed alone; the same seed gives the same arrays.

    Args:
        seed: 0 or more.
        slices: number of slices.
        size: rows and columns.
        spacing_mm: distance between pixels; ``size * spacing_mm`` is the field of view, at least 310 mm.
        thickness_mm: each slice is the mean over this height.
        increment_mm: distance between slices. None spreads them over the whole modelled height (225 to 250 mm).

    Raises:
        ValueError: a size or count is not positive, or the field of view is too small for a patient.
    """
    if slices < 1 or size < 1 or min(spacing_mm, thickness_mm, increment_mm or 1.0) <= 0:
        raise ValueError("slices, size, spacing, thickness and increment must be positive")
    field_of_view = size * spacing_mm
    if field_of_view < MIN_FIELD_OF_VIEW_MM:
        raise ValueError(f"a field of view of {field_of_view:.0f} mm is too small for a patient; use at least 310 mm")
    rng = np.random.default_rng(seed)
    patient = draw_patient(rng, field_of_view)
    x = (np.arange(size) - (size - 1) / 2) * spacing_mm
    # The patient lies a little above the centre, so that the couch is in view.
    y = x + max(0.0, min(14.0, (field_of_view - patient.depth) / 4))
    anatomy = _build(patient, rng)
    step = patient.height / slices if increment_mm is None else increment_mm
    centres = patient.height / 2 + (np.arange(slices) - (slices - 1) / 2) * step

    fields = [RandomField(rng, *_FIELD_BOX, scale) for scale in _FIELD_SCALES_MM]
    texture = texture_sd()
    hu = np.empty((slices, size, size), dtype=np.float32)
    labels = np.empty((slices, size, size), dtype=np.uint8)
    # An odd number of planes about 2.5 mm apart, so that one lies in the middle of the slice.
    planes = 2 * int(np.ceil(thickness_mm / 5.0)) + 1 if thickness_mm > 1.5 else 1
    for k, centre in enumerate(centres):
        total = np.zeros((size, size), dtype=np.float32)
        for p in range(planes):
            z = float(centre + thickness_mm * ((p + 0.5) / planes - 0.5))
            canvas = _paint(anatomy, x, y, z, spacing_mm, fields)
            total += canvas.hu + texture[canvas.labels] * (0.75 * canvas.fine + 0.66 * canvas.coarse)
            if p == planes // 2:
                labels[k] = canvas.labels
        hu[k] = gaussian_filter(total / planes, EDGE_BLUR_MM / spacing_mm)
    np.clip(hu, -1024, 1500, out=hu)
    return Phantom(hu, labels, (spacing_mm, spacing_mm, float(step)), thickness_mm, patient.phase, seed)


def _build(patient: Patient, rng: np.random.Generator) -> _Anatomy:
    hu = draw_hu(rng, patient.phase)
    wall = BodyWall(patient)
    diaphragm = build_diaphragm(patient, rng)
    skeleton = build_skeleton(patient, wall, rng)
    organs = build_organs(patient, diaphragm, hu, rng)
    bowel = build_bowel(patient, organs, rng)
    vessels = build_vessels(patient, organs, bowel.points(), rng)
    return _Anatomy(patient, hu, wall, diaphragm, skeleton, organs, bowel, vessels)


def _paint(
    anatomy: _Anatomy,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    z: float,
    pixel: float,
    fields: list[RandomField],
) -> Canvas:
    wide = [f.plane(x, y, z) for f in fields]
    canvas = Canvas(
        x.astype(np.float32),
        y.astype(np.float32),
        z,
        pixel=pixel,
        displacement=(3.2 * wide[0] + 0.9 * wide[3], 3.2 * wide[1] + 0.9 * wide[4], 3.0 * wide[2]),
        fine=wide[6],
        coarse=wide[5],
        hu_of=anatomy.hu,
    )
    patient = anatomy.patient
    paint_table(canvas, patient)
    plane, margin = canvas, 0.06 * patient.width  # the outline departs from its two diameters by a few per cent
    half = patient.width / 2 + margin, patient.depth / 2 + margin
    canvas = plane.crop((-half[0], half[0]), (-half[1], half[1])) or plane
    cavity = paint_body(canvas, anatomy.wall)
    paint_chest(canvas, patient, anatomy.diaphragm, cavity)
    paint_ribs(canvas, anatomy.skeleton)
    paint_spine(canvas, patient)
    liver = paint_liver(canvas, anatomy.organs, cavity)
    paint_hepatic_vessels(canvas, anatomy.vessels, liver)
    paint_gall_bladder(canvas, anatomy.organs)
    paint_spleen(canvas, anatomy.organs, cavity)
    paint_small_bowel(canvas, anatomy.bowel)
    paint_colon(canvas, anatomy.bowel, cavity)
    paint_iliac(canvas, patient)
    paint_stomach(canvas, anatomy.organs, cavity)
    paint_pancreas(canvas, anatomy.organs)
    paint_kidneys(canvas, anatomy.organs)
    paint_free_vessels(canvas, anatomy.vessels)
    return plane
