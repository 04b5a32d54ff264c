"""Spine, ribs with their cartilages, and the iliac crests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from Training.phantom.body import BodyWall
from Training.phantom.canvas import Array, Canvas
from Training.phantom.patient import ANGLES, Patient
from Training.phantom.shapes import Tube, capsule_2d, ellipsoid, smooth_curve, smooth_union
from Training.phantom.tissues import Tissue

#: Ribs are cut obliquely: their section is this much taller than wide.
_RIB_Z_SCALE = 0.5


@dataclass(frozen=True)
class Skeleton:
    """The patient's ribs as (tube of bone, tube of cartilage or None); the rest follows from the patient."""

    ribs: tuple[tuple[Tube, Tube | None], ...]


def build_skeleton(patient: Patient, wall: BodyWall, rng: np.random.Generator) -> Skeleton:
    """Lay the ribs along the chest wall."""
    ribs: list[tuple[Tube, Tube | None]] = []
    lowest = patient.vertebra_offset
    heights = lowest + patient.vertebra * np.arange(20)
    first = int(np.argmin(np.abs(heights - 0.60 * patient.height)))  # the twelfth thoracic vertebra
    drop = 0.46 * patient.height * rng.uniform(0.9, 1.1)
    for number, z0 in zip(range(12, 4, -1), heights[first:], strict=False):
        reach = {12: 0.55, 11: 1.2, 10: 1.5}.get(number, 1.72)
        for side in (-1, 1):
            bone, cartilage = _rib(patient, wall, z0 + 4, drop, reach, side, number < 11)
            ribs.append((bone, cartilage))
    return Skeleton(tuple(ribs))


def _rib(
    patient: Patient, wall: BodyWall, z0: float, drop: float, reach: float, side: int, cartilage: bool
) -> tuple[Tube, Tube | None]:
    """One rib from its vertebra along the wall; ``reach`` in radians from where it meets the wall."""

    def on_wall(turn: float, z: float) -> tuple[float, float, float]:
        angle = np.pi / 2 - (0.72 + turn)  # on the patient's left; mirrored below
        depth = 3.0 + 0.5 * 9.0
        index = angle if side > 0 else np.pi - angle
        radius = np.interp((index + np.pi) % (2 * np.pi) - np.pi, ANGLES, wall.muscle_radius(min(z, patient.height)))
        return side * (radius - depth) * np.cos(angle), (radius - depth) * np.sin(angle), z

    ys = patient.spine_y
    start = [(side * 25.0, ys + 4.0, z0), (side * 42.0, ys + 24.0, z0 - 3)]
    turns = np.linspace(0.0, reach, 14)
    path = start + [on_wall(t, z0 - 8 - drop * (t / 1.9) ** 0.85) for t in turns]
    points = smooth_curve(np.array(path), 5.0)
    bone = Tube(points, np.full(len(points), 3.6), z_scale=_RIB_Z_SCALE)
    if not cartilage:
        return bone, None
    turns = np.linspace(reach, reach + 0.75, 8)
    end = path[-1][2]
    rise = smooth_curve(np.array([on_wall(t, end + 70 * (t - reach)) for t in turns]), 5.0)
    return bone, Tube(rise, np.full(len(rise), 3.8), z_scale=_RIB_Z_SCALE)


def paint_ribs(canvas: Canvas, skeleton: Skeleton) -> None:
    """Paint the ribs that this plane cuts: cortex around marrow, and cartilage in front."""
    for bone, cartilage in skeleton.ribs:
        if bone.near(canvas.z, 2.0).size:
            distance, _ = bone.distance(canvas.x, canvas.y, canvas.z)
            canvas.paint(distance, Tissue.CORTICAL_BONE, 0.8 * canvas.hu_of[Tissue.CORTICAL_BONE])
            canvas.paint(distance + 1.3, Tissue.TRABECULAR_BONE)
        if cartilage is not None:
            canvas.paint_tube(cartilage, Tissue.CARTILAGE)


def paint_spine(canvas: Canvas, patient: Patient) -> None:
    """Paint the vertebra, or the disc, that this plane cuts, with its arch, processes and canal."""
    x, y = canvas.warped[0], canvas.warped[1]
    x = x - 0.5 * (canvas.warped[0] - canvas.grid[0])  # bone bends half as much as organs do
    y = y - 0.5 * (canvas.warped[1] - canvas.grid[1])
    ys, period = patient.spine_y, patient.vertebra
    t = (canvas.z - patient.vertebra_offset + period / 2) % period - period / 2
    level = canvas.z / patient.height
    size = 1.08 - 0.20 * level
    half_disc = (4.8 - 2.0 * level) * period / 35
    edge = period / 2 - half_disc - np.abs(t)  # distance to the endplate, positive inside the vertebra
    waist = 1 - 0.10 * np.clip(edge / 10, 0, 1)
    canal = ellipsoid(x, y, 0.0, (0.0, ys + 26.0, 0.0), (11.0, 8.5, 30.0))
    body = ellipsoid(x, y, 0.0, (0.0, ys, 0.0), (23.0 * size * waist, 16.5 * size * waist, 60.0))
    body = smooth_union(body, ellipsoid(np.abs(x), y, 0.0, (9.0, ys + 5, 0.0), (12.0 * size, 11.5, 60.0)), 6.0)
    body = np.maximum(body, -canal + 0.5)
    cortical, marrow = canvas.hu_of[Tissue.CORTICAL_BONE], canvas.hu_of[Tissue.TRABECULAR_BONE]
    if edge < 0:
        annulus = canvas.hu_of[Tissue.DISC] + 18 * np.clip(1 + body / 6, 0, 1)
        canvas.paint(body - 0.5, Tissue.DISC, annulus.astype(np.float32))
    else:
        plate = np.exp(-((edge / 1.6) ** 2))
        canvas.paint(body, Tissue.CORTICAL_BONE, 0.75 * cortical)
        trabeculae = marrow + 45 * canvas.fine + 0.5 * plate * (cortical - marrow)
        canvas.paint(body + 1.1, Tissue.TRABECULAR_BONE, trabeculae.astype(np.float32))
    _paint_arch(canvas, np.abs(x), y, t * 35 / period, ys)
    canvas.paint(canal, Tissue.VISCERAL_FAT, -60.0)
    canvas.paint(np.minimum(canal, 30) + 2.0, Tissue.SPINAL_CANAL)


def _paint_arch(canvas: Canvas, x: Array, y: Array, t: float, ys: float) -> None:
    """Pedicles, laminae, facets, transverse and spinous processes at offset ``t`` mm from mid vertebra."""

    def slab(distance: Array, low: float, high: float) -> Array:
        return np.maximum(distance, max(low - t, t - high))

    parts = [
        slab(capsule_2d(x, y, (14.0, ys + 10.0), (17.0, ys + 25.0), 4.8), 0.0, 12.0),
        slab(capsule_2d(x, y, (17.0, ys + 27.0), (2.0, ys + 38.0), 3.6), -13.0, 7.0),
        slab(capsule_2d(x, y, (0.0, ys + 38.0), (0.0, ys + 62.0), 3.2), -15.0, 2.0),
        slab(capsule_2d(x, y, (18.0, ys + 22.0), (42.0, ys + 27.0), 3.6), 1.0, 9.0),
        slab(ellipsoid(x, y, 0.0, (18.0, ys + 29.0, 0.0), (7.0, 7.5, 60.0)), -18.0, -7.0),
        slab(ellipsoid(x, y, 0.0, (18.0, ys + 29.0, 0.0), (6.0, 6.0, 60.0)), 8.0, 15.0),
    ]
    arch = parts[0]
    for part in parts[1:]:
        arch = smooth_union(arch, part, 3.0)
    cortical, marrow = canvas.hu_of[Tissue.CORTICAL_BONE], canvas.hu_of[Tissue.TRABECULAR_BONE]
    canvas.paint(arch, Tissue.CORTICAL_BONE, 0.85 * cortical)
    canvas.paint(arch + 1.5, Tissue.TRABECULAR_BONE, 1.3 * marrow)
    if -17 < t < -8:  # the facet joint
        gap = capsule_2d(x, y, (13.0, ys + 32.0), (20.0, ys + 25.0), 0.6)
        canvas.paint(gap, Tissue.CARTILAGE)


def paint_iliac(canvas: Canvas, patient: Patient) -> None:
    """Paint the iliac crests in the lowest planes."""
    crest = 0.13 * patient.height
    if canvas.z > crest:
        return
    x, y = np.abs(canvas.grid[0]), canvas.grid[1]
    half = 55.0 * np.sqrt(min((crest - canvas.z) / crest, 1.0)) + 4
    cx, cy, ys = 0.86 * patient.cavity_half_width, patient.spine_y + 12.0, patient.spine_y
    dx, dy = 0.62 * half, 0.78 * half
    blade = capsule_2d(x, y, (cx + 0.4 * dx, cy - 0.6 * dy), (max(cx - dx, 52.0), min(cy + dy, ys + 45.0)), 4.2)
    canvas.paint(blade - 9.0, Tissue.MUSCLE)
    canvas.paint(blade, Tissue.CORTICAL_BONE)
    canvas.paint(blade + 1.7, Tissue.TRABECULAR_BONE)
