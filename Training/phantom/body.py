"""Skin, fat, the muscular wall, the back muscles and the couch."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from Training.phantom.canvas import Array, Canvas
from Training.phantom.patient import ANGLES, Patient
from Training.phantom.shapes import ellipsoid, smooth_union
from Training.phantom.tissues import Tissue

SKIN_MM = 2.0
#: Thickness of ribs and intercostal muscles, and of the muscles outside them.
RIB_RING_MM = 9.0


class BodyWall:
    """The nested polar outlines of one patient, from the skin to the peritoneum."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient

    def muscle_radius(self, z: float) -> Array:
        """Radius of the outside of the muscles at ``ANGLES``."""
        return self.patient.outline(z) - SKIN_MM - self.patient.fat(z)

    def wall_thickness(self, z: float) -> Array:
        """From the outside of the muscles to the peritoneum at ``ANGLES``: ribs above, three flat muscles below."""
        chest = np.clip((z / self.patient.height - 0.45) / 0.25, 0, 1)
        front = np.exp(-0.5 * ((ANGLES + np.pi / 2) / 0.45) ** 2)
        side = chest * (RIB_RING_MM + 6.0) + (1 - chest) * self.patient.wall
        return side * (1 - front) + front * (10.0 - 2 * chest)


def outline_distance(canvas: Canvas, radii: Array) -> Array:
    """(rows, columns) signed distance to the closed curve with these radii at ``ANGLES``."""
    x, y = canvas.grid
    steep = np.gradient(radii, ANGLES) / radii
    angle = np.arctan2(y, x)
    table = np.interp(angle, ANGLES, radii).astype(np.float32)
    cosine = np.interp(angle, ANGLES, 1 / np.sqrt(1 + steep**2)).astype(np.float32)
    return (np.hypot(x, y) - table) * cosine


def back_of_cavity(patient: Patient, canvas: Canvas) -> Array:
    """Signed distance to the half plane in front of the back muscles; it bulges backwards beside the spine."""
    x, y = canvas.grid
    beside = np.abs(x) / patient.cavity_half_width
    chest = np.clip((canvas.z / patient.height - 0.40) / 0.25, 0, 1)
    return y - (patient.spine_y + 14.0 + (26.0 + 34.0 * chest) * np.clip(beside, 0, 0.75) + 8.0 * chest)


def paint_body(canvas: Canvas, wall: BodyWall) -> Array:
    """Paint everything up to the peritoneum; the abdominal cavity is left full of fat.

    Returns:
        (rows, columns) signed distance to the abdominal cavity (ribs and muscles are outside it).
    """
    patient, z = wall.patient, canvas.z
    x, y = canvas.grid
    level = z / patient.height
    outline, muscle, thickness = patient.outline(z), wall.muscle_radius(z), wall.wall_thickness(z)
    skin = outline_distance(canvas, outline)
    canvas.paint(skin, Tissue.SKIN)
    # Fibrous septa: thin sheets where a smooth field changes its sign.
    septa = 28 * np.clip(1 - np.abs(canvas.coarse) / 0.09, 0, 1) * np.clip(canvas.fine, 0, 1)
    canvas.paint(skin + SKIN_MM, Tissue.SUBCUTANEOUS_FAT, canvas.hu_of[Tissue.SUBCUTANEOUS_FAT] + septa)

    outer = outline_distance(canvas, muscle)
    cavity = np.maximum(outline_distance(canvas, muscle - thickness), back_of_cavity(patient, canvas))
    # Fat between the muscles grows through them in old and stout patients.
    marbling = -55 * np.clip(canvas.fine - 1.5, 0, 1)
    flesh = (canvas.hu_of[Tissue.MUSCLE] + marbling).astype(np.float32)
    canvas.paint(outer, Tissue.VISCERAL_FAT)
    _paint_wall(canvas, patient, outer, np.interp(np.arctan2(y, x), ANGLES, thickness), flesh, level)
    _paint_back(canvas, patient, outer, flesh, level)
    canvas.paint(cavity, Tissue.VISCERAL_FAT, canvas.hu_of[Tissue.VISCERAL_FAT])
    _paint_psoas(canvas, patient, flesh, level)
    return np.broadcast_to(cavity, (y.size, x.size))


def _paint_wall(canvas: Canvas, patient: Patient, outer: Array, thickness: Array, flesh: Array, level: float) -> None:
    x, y = canvas.grid
    rectus_edge = 30.0 + 0.22 * patient.cavity_half_width
    front = y < 0
    lateral = np.where(front, rectus_edge + 1.0 - np.abs(x), -30.0)
    behind = y - (patient.spine_y + 26.0 + 60.0 * np.clip((level - 0.40) / 0.25, 0, 1))
    # Below the ribs: external oblique, internal oblique, transversus, each bounded by a film of fat.
    below = np.clip((level - 0.45) / 0.25, 0, 1)
    thickness = thickness * np.sqrt(np.clip(-behind / 22.0, 0.0, 1))  # they run out towards the back
    films = (0.0, 0.40, 0.78, 1.0) if below < 0.5 else (0.0, 0.36, 1.0, 1.0)
    for near, far in pairwise(films):
        if far > near:
            layer = np.maximum(outer + near * thickness + 0.5, -(outer + far * thickness) + 0.3)
            canvas.paint(
                np.maximum.reduce([layer, lateral + np.zeros_like(layer), behind + 0 * layer]), Tissue.MUSCLE, flesh
            )
    belly = 1 - 0.5 * np.clip((level - 0.6) / 0.3, 0, 1)
    middle, half = rectus_edge / 2 + 2.5, rectus_edge / 2 - 1.5
    lens = np.sqrt(np.clip(1 - ((np.abs(x) - middle) / half) ** 2, 0, 1)) ** 0.6
    rectus = np.maximum(outer + 0.5, -(outer + 1 + thickness * belly * lens))
    sides = np.abs(np.abs(x) - middle) - half
    canvas.paint(np.where(front, np.maximum(rectus, sides), 30.0), Tissue.MUSCLE, flesh)
    # Linea alba and the sheaths that carry the flat muscles to it.
    sheath = np.maximum(np.abs(outer + 1.0) - 0.6, np.abs(x) - rectus_edge - 8)
    canvas.paint(np.where(front, sheath, 30.0), Tissue.MUSCLE)


def _paint_back(canvas: Canvas, patient: Patient, outer: Array, flesh: Array, level: float) -> None:
    x, y, z = np.abs(canvas.warped[0]), canvas.warped[1], canvas.z
    s, ys = patient.muscle, patient.spine_y
    # Latissimus dorsi: a thin sheet behind and beside, above the crest.
    sheet = np.abs(outer + 2.5) - (1.2 + 1.6 * np.clip(level - 0.2, 0, 0.6))
    behind = np.maximum(20.0 - y, 30.0 - x)
    canvas.paint(np.maximum(sheet, behind), Tissue.MUSCLE, flesh)
    erector = ellipsoid(x, y, z, (36.0 * s, ys + 47.0, z), (31.0 * s, 20.0 * s, 50.0))
    erector = smooth_union(erector, ellipsoid(x, y, z, (18.0, ys + 47.0, z), (16.0, 21.0 * s, 50.0)), 6.0)
    canvas.paint(np.maximum(erector, outer + 1.0), Tissue.MUSCLE, flesh)
    cleft = np.abs(x - 40.0 * s + 0.35 * (y - ys - 47.0)) - 0.5  # between longissimus and iliocostalis
    canvas.paint(np.maximum.reduce([cleft, erector, ys + 40.0 - y]), Tissue.VISCERAL_FAT)


def _paint_psoas(canvas: Canvas, patient: Patient, flesh: Array, level: float) -> None:
    x, y, z = np.abs(canvas.warped[0]), canvas.warped[1], canvas.z
    s, ys = patient.muscle, patient.spine_y
    if level < 0.62:
        grown = np.clip((0.60 - level) / 0.5, 0, 1) ** 0.7
        radius = 5.0 + 17.0 * grown * s
        canvas.paint(
            ellipsoid(x, y, z, (27.0 + 12.0 * grown, ys + 4.0 - 4 * grown, z), (0.85 * radius, 1.1 * radius, 50.0)),
            Tissue.MUSCLE,
            flesh,
        )
        if level < 0.5:
            lumborum = ellipsoid(x, y + 0.12 * (x - 64.0), z, (64.0 * s, ys + 25.0, z), (19.0 * s, 7.5 * s, 50.0))
            canvas.paint(lumborum, Tissue.MUSCLE, flesh)
    if 0.42 < level < 0.78:  # the crura of the diaphragm hug the aorta
        crus = ellipsoid(x, y, z, (17.0, ys - 19.0, z), (4.0, 10.0, 50.0))
        canvas.paint(crus, Tissue.MUSCLE, flesh)


def paint_table(canvas: Canvas, patient: Patient) -> None:
    """The couch: a curved carbon shell filled with foam, 4 mm under the back."""
    x, y = canvas.grid
    top = patient.depth / 2 + 4.0
    sag = top - 0.00045 * x**2
    inside = np.maximum.reduce([sag - y, y - sag - 26.0 + 0.0004 * x**2, np.abs(x) - 215.0 + 0 * y])
    canvas.paint(inside, Tissue.TABLE)
    canvas.paint(inside + 2.2, Tissue.TABLE, -960.0)
