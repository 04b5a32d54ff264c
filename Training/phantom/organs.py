"""The solid organs of the upper abdomen, with gall bladder, stomach and lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from Training.phantom.canvas import Array, Canvas
from Training.phantom.chest import Diaphragm
from Training.phantom.patient import Patient
from Training.phantom.shapes import Tube, ellipsoid, smooth_curve, smooth_union
from Training.phantom.tissues import Tissue

#: Fat between an organ and its neighbours, in mm, modulated by a smooth field.
_HALO_MM = 1.3


@dataclass(frozen=True)
class Lesion:
    """A ball of another HU inside an organ; low contrast unless it is a cyst."""

    centre: NDArray[np.float64]
    radii: NDArray[np.float64]
    hu: float


@dataclass(frozen=True)
class Kidney:
    """Centre, half axes, tilt in radians (upper pole towards the spine), its pyramids and the side (-1 right)."""

    centre: NDArray[np.float64]
    radii: NDArray[np.float64]
    tilt: float
    side: int
    pyramids: NDArray[np.float64]

    def local(self, x: Array, y: Array, z: Array | float) -> tuple[Array, Array, Array]:
        """Coordinates along the kidney's own axes: lateral, posterior, towards its upper pole."""
        px, py, pz = self.side * (x - self.centre[0]), y - self.centre[1], z - self.centre[2]
        c, s = np.cos(self.tilt), np.sin(self.tilt)
        return c * px + s * pz, py, c * pz - s * px

    def distance(self, x: Array, y: Array, z: Array | float) -> Array:
        """Signed distance to the kidney with its sinus filled."""
        return ellipsoid(*self.local(x, y, z), (0.0, 0.0, 0.0), self.radii)


@dataclass(frozen=True)
class Organs:
    """Every organ that has one shape; HU of what lies inside stomach and gall bladder belong to the patient."""

    patient: Patient
    diaphragm: Diaphragm
    liver_parts: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    spleen: tuple[NDArray[np.float64], NDArray[np.float64]]
    kidneys: tuple[Kidney, Kidney]
    gall_bladder: tuple[NDArray[np.float64], NDArray[np.float64]]
    stomach: Tube
    stomach_level: float
    stomach_food: float
    pancreas: Tube
    adrenals: tuple[Tube, ...]
    lesions: tuple[Lesion, ...]

    def liver(self, x: Array, y: Array, z: Array | float) -> Array:
        """Signed distance to the liver, not yet bounded by the wall."""
        (c0, r0), *others = self.liver_parts
        shape = ellipsoid(x, y, z, c0, r0)
        for centre, radii in others:
            shape = smooth_union(shape, ellipsoid(x, y, z, centre, radii), 12.0)
        kidney = self.kidneys[0].distance(x, y, z)
        spine = ellipsoid(x, y, 0.0, (0.0, self.patient.spine_y - 8, 0.0), (34.0, 42.0, 60.0))
        return np.maximum.reduce([shape, self.diaphragm.above(x, y, z) + 3.0, 4.0 - kidney, -spine])

    def spleen_distance(self, x: Array, y: Array, z: Array | float) -> Array:
        """Signed distance to the spleen, hollowed by stomach and kidney, not yet bounded by the wall."""
        centre, radii = self.spleen
        hollow = ellipsoid(x, y, z, centre - self.patient.size(0.47, 0.20, 0.03), radii * (1.05, 0.95, 0.9))
        kidney = self.kidneys[1].distance(x, y, z)
        body = ellipsoid(x, y, z, centre, radii)
        return np.maximum.reduce([body, -hollow, 4.0 - kidney, self.diaphragm.above(x, y, z) + 3.0])


def build_organs(patient: Patient, diaphragm: Diaphragm, hu: dict[Tissue, float], rng: np.random.Generator) -> Organs:
    """Place and size the organs of one patient."""

    def jitter(x: float, y: float, z: float, by: float = 0.03) -> NDArray[np.float64]:
        return patient.at(*(np.array([x, y, z]) + rng.uniform(-by, by, 3)))

    grown = rng.uniform(0.94, 1.08, 3)
    left_lobe = rng.uniform(0.85, 1.2)
    liver = (
        (jitter(-0.60, -0.30, 0.64), patient.size(0.53, 0.80, 0.36) * grown),
        (jitter(-0.58, -0.22, 0.50), patient.size(0.42, 0.52, 0.28) * grown),
        (jitter(-0.08, -0.74, 0.72), patient.size(0.52 * left_lobe, 0.30, 0.20)),
        (jitter(-0.17, -0.42, 0.68, 0.015), patient.size(0.14, 0.16, 0.12)),
    )
    spleen = (jitter(0.72, -0.04, 0.68), patient.size(0.32, 0.60, 0.23) * rng.uniform(0.85, 1.1, 3))
    kidneys = tuple(
        Kidney(
            patient.at(0.47 * side, 0.08, level) + rng.uniform(-4, 4, 3),
            np.array([25.0, 26.0, 54.0]) * rng.uniform(0.92, 1.08, 3),
            rng.uniform(0.12, 0.25),
            side,
            _pyramids(rng),
        )
        for side, level in ((-1, 0.40), (1, 0.46))
    )
    gall = (jitter(-0.36, -0.66, 0.42), np.array([15.0, 18.0, 27.0]) * rng.uniform(0.75, 1.15, 3))
    size = patient.cavity_half_width / 135 * rng.uniform(0.85, 1.1)
    path = np.array(
        [
            [*jitter(0.40, -0.15, 0.80), 35.0 * size],
            [*jitter(0.48, -0.38, 0.72), 35.0 * size],
            [*jitter(0.42, -0.62, 0.62), 26.0 * size],
            [*jitter(0.24, -0.74, 0.53), 20.0 * size],
            [*jitter(0.02, -0.72, 0.49), 15.0 * size],
            [*jitter(-0.16, -0.60, 0.50), 10.0],
        ]
    )
    curve = smooth_curve(path, 5.0)
    stomach = Tube(curve[:, :3], curve[:, 3])
    pancreas_path = np.array(
        [
            [*jitter(-0.19, -0.36, 0.40, 0.015), 10.0],
            [*jitter(-0.18, -0.42, 0.45, 0.015), 13.5],
            [*jitter(-0.04, -0.52, 0.50, 0.015), 8.5],
            [*jitter(0.18, -0.50, 0.53, 0.015), 9.5],
            [*jitter(0.38, -0.28, 0.57, 0.015), 9.5],
            [*jitter(0.54, -0.14, 0.60, 0.015), 7.0],
        ]
    )
    curve = smooth_curve(pancreas_path, 4.0)
    pancreas = Tube(curve[:, :3], curve[:, 3])
    adrenals = tuple(_adrenal(k, patient) for k in kidneys)
    return Organs(
        patient,
        diaphragm,
        liver,
        spleen,
        (kidneys[0], kidneys[1]),
        gall,
        stomach,
        float(patient.at(0, -0.62 + rng.uniform(-0.08, 0.10), 0)[1]),
        float(rng.choice((0.0, 1.0), p=(0.5, 0.5))),
        pancreas,
        tuple(t for pair in adrenals for t in pair),
        _lesions(patient, hu, rng),
    )


def _pyramids(rng: np.random.Generator) -> NDArray[np.float64]:
    """Directions of the medullary pyramids, (n, 3) unit vectors that keep away from the hilum and from each other."""
    kept: list[NDArray[np.float64]] = []
    for direction in rng.standard_normal((400, 3)):
        direction /= np.linalg.norm(direction)
        if direction[0] > -0.55 and all(direction @ other < 0.72 for other in kept):
            kept.append(direction)
    return np.array(kept)


def _adrenal(kidney: Kidney, patient: Patient) -> tuple[Tube, Tube]:
    """Two thin limbs that meet in front of and above the upper pole."""
    x = kidney.side * (patient.cavity_half_width * 0.20 + 6.0)
    root = np.array([x, patient.spine_y - 22.0, kidney.centre[2] + 0.72 * kidney.radii[2]])
    limbs = []
    for offset in ((kidney.side * 10.0, 16.0, -9.0), (kidney.side * 1.0, 20.0, -9.0)):
        limbs.append(Tube(np.array([root, root + offset]), np.array([3.2, 2.2]), z_scale=0.35))
    return limbs[0], limbs[1]


def _lesions(patient: Patient, hu: dict[Tissue, float], rng: np.random.Generator) -> tuple[Lesion, ...]:
    """A few low-contrast lesions and cysts in the liver, now and then one in spleen or kidney."""
    found = []
    for _ in range(int(rng.integers(2, 7))):
        radius = rng.uniform(2.5, 10.0)
        cyst = rng.random() < 0.25
        contrast = rng.uniform(-38, -12) if rng.random() < 0.85 else rng.uniform(10, 25)
        found.append(
            Lesion(
                patient.at(rng.uniform(-0.85, -0.25), rng.uniform(-0.75, 0.1), rng.uniform(0.42, 0.82)),
                radius * rng.uniform(0.8, 1.2, 3),
                rng.uniform(2, 12) if cyst else hu[Tissue.LIVER] + contrast,
            )
        )
    if rng.random() < 0.5:
        found.append(Lesion(patient.at(0.66, 0.10, rng.uniform(0.42, 0.55)), np.full(3, rng.uniform(5, 13)), 8.0))
    if rng.random() < 0.3:
        found.append(Lesion(patient.at(0.78, 0.05, 0.7), np.full(3, rng.uniform(3, 8)), hu[Tissue.SPLEEN] - 30.0))
    return tuple(found)


def paint_halo(canvas: Canvas, distance: Array) -> None:
    """Keep a film of fat between an organ and what was painted before it."""
    width = _HALO_MM * np.clip(1 + 0.9 * canvas.coarse, 0, 3)
    canvas.paint(distance - width, Tissue.VISCERAL_FAT)


def paint_liver(canvas: Canvas, organs: Organs, cavity: Array) -> Array:
    """Paint the liver with its lesions and return its signed distance, (rows, columns)."""
    x, y, z = canvas.warped
    liver = np.maximum(organs.liver(x, y, z), cavity + 1.0)
    canvas.paint(liver, Tissue.LIVER)
    _paint_lesions(canvas, organs, liver)
    return liver


def paint_spleen(canvas: Canvas, organs: Organs, cavity: Array) -> None:
    """Paint the spleen; in the arterial phase its pulp enhances in waves."""
    x, y, z = canvas.warped
    spleen = np.maximum(organs.spleen_distance(x, y, z), cavity + 1.5)
    paint_halo(canvas, spleen)
    mean = canvas.hu_of[Tissue.SPLEEN]
    waves = 22 * np.sin(2.2 * canvas.coarse + 1.4 * canvas.fine) if organs.patient.phase == "arterial" else 0.0
    canvas.paint(spleen, Tissue.SPLEEN, mean + waves * np.ones_like(canvas.hu))
    _paint_lesions(canvas, organs, spleen)


def paint_kidneys(canvas: Canvas, organs: Organs) -> None:
    """Paint the kidneys: cortex, pyramids, sinus fat, pelvis."""
    for kidney in organs.kidneys:
        part = canvas.around(kidney.centre, kidney.radii + 22.0)
        if part is not None:
            _paint_kidney(part, organs, kidney)


def _paint_kidney(canvas: Canvas, organs: Organs, kidney: Kidney) -> None:
    px, py, pz = kidney.local(*canvas.warped)
    outer = ellipsoid(px, py, pz, (0.0, 0.0, 0.0), kidney.radii) + 0.8 * canvas.coarse
    hilum = ellipsoid(px, py, pz, (-22.0, -5.0, 0.0), (20.0, 9.0, 17.0))
    sinus = ellipsoid(px, py, pz, (-7.0, -2.0, 0.0), (11.0, 8.0, 30.0)) + 1.5 * canvas.coarse
    canvas.paint(outer - 3.0, Tissue.VISCERAL_FAT)
    outer = np.maximum(outer, -hilum)
    canvas.paint(outer, Tissue.KIDNEY_CORTEX)
    for direction in kidney.pyramids:
        centre = 0.60 * direction * kidney.radii
        if abs(centre[2] - (canvas.z - kidney.centre[2])) < 16:
            canvas.paint(ellipsoid(px, py, pz, centre, (7.5, 7.5, 8.0)), Tissue.KIDNEY_MEDULLA)
    canvas.paint(np.maximum(sinus, outer + 1.0), Tissue.VISCERAL_FAT)
    pelvis = ellipsoid(px, py, pz, (-14.0, -2.0, -2.0), (10.0, 4.5, 9.0))
    calyces = ellipsoid(px, py, np.abs(pz), (-7.0, -1.0, 15.0), (4.0, 3.5, 7.0))
    canvas.paint(np.minimum(pelvis, calyces), Tissue.KIDNEY_PELVIS)
    _paint_lesions(canvas, organs, outer)


def paint_pancreas(canvas: Canvas, organs: Organs) -> None:
    """Paint the pancreas, lobulated by fat, and the adrenals."""
    for limb in organs.adrenals:
        canvas.paint_tube(limb, Tissue.ADRENAL)
    if organs.pancreas.near(canvas.z, 3.0).size == 0:
        return
    distance, _ = organs.pancreas.distance(canvas.x, canvas.y, canvas.z, margin=8.0)
    distance = distance + 1.6 * canvas.fine + 1.2 * canvas.coarse
    paint_halo(canvas, distance)
    clefts = -70 * np.clip(canvas.fine - 0.9, 0, 1)
    canvas.paint(distance, Tissue.PANCREAS, (canvas.hu_of[Tissue.PANCREAS] + clefts).astype(np.float32))


def paint_gall_bladder(canvas: Canvas, organs: Organs) -> None:
    """Paint the gall bladder with its thin wall."""
    x, y, z = canvas.warped
    gall = ellipsoid(x, y, z, *organs.gall_bladder)
    paint_halo(canvas, gall - 1.0)
    canvas.paint(gall - 1.0, Tissue.BOWEL_WALL, 0.7 * canvas.hu_of[Tissue.BOWEL_WALL])
    canvas.paint(gall, Tissue.GALL_BLADDER)


def paint_stomach(canvas: Canvas, organs: Organs, cavity: Array) -> None:
    """Paint the stomach: wall with rugae, fluid or food, and gas above its level (the patient lies supine)."""
    if organs.stomach.near(canvas.z, 3.0).size == 0:
        return
    distance, _ = organs.stomach.distance(canvas.x, canvas.y, canvas.z, margin=8.0)
    x, y, z = canvas.warped
    wall = np.maximum.reduce([distance + 2.0 * canvas.coarse, cavity + 2.0, organs.diaphragm.above(x, y, z) + 3.0])
    paint_halo(canvas, wall)
    canvas.paint(wall, Tissue.STOMACH_WALL)
    lumen = wall + 3.5 + 1.2 * np.clip(canvas.fine, -1, 2)
    food = organs.stomach_food * np.where(canvas.fine > 0.8, -70.0, 22 * canvas.fine)
    canvas.paint(lumen, Tissue.BOWEL_CONTENT, (canvas.hu_of[Tissue.BOWEL_CONTENT] + food).astype(np.float32))
    canvas.paint(np.maximum(lumen, canvas.grid[1] - organs.stomach_level), Tissue.BOWEL_GAS)


def _paint_lesions(canvas: Canvas, organs: Organs, organ: Array) -> None:
    for lesion in organs.lesions:
        part = canvas.around(lesion.centre, lesion.radii + 14.0)
        if part is not None:
            ball = ellipsoid(*part.warped, lesion.centre, lesion.radii)
            r0, c0 = np.searchsorted(canvas.y, part.y[0]), np.searchsorted(canvas.x, part.x[0])
            inside = organ[r0 : r0 + part.y.size, c0 : c0 + part.x.size] + 0.5
            part.paint(np.maximum(ball, inside), Tissue.LESION, lesion.hu)
