"""Colon and small bowel: tubes with wall, content and gas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from Training.phantom.canvas import Array, Canvas
from Training.phantom.organs import Organs, paint_halo
from Training.phantom.patient import Patient
from Training.phantom.shapes import Tube, smooth_curve
from Training.phantom.tissues import Tissue


@dataclass(frozen=True)
class Bowel:
    """The gut below the stomach.

    Attributes:
        colon: its ``values`` are (y of the gas level in mm, share of stool 0 ... 1).
        loops: pieces of small bowel; their ``values`` are (y of the gas level in mm, HU of the content).
    """

    colon: Tube
    loops: tuple[Tube, ...]

    def points(self) -> NDArray[np.float64]:
        """(n, 3) points along the small bowel."""
        return np.concatenate([loop.points[::3] for loop in self.loops])


def build_bowel(patient: Patient, organs: Organs, rng: np.random.Generator) -> Bowel:
    """Lay the colon around the cavity and fill the middle with loops that avoid it and the organs."""
    colon = _colon(patient, rng)
    return Bowel(colon, _loops(patient, organs, colon, rng))


def _colon(patient: Patient, rng: np.random.Generator) -> Tube:
    sag = rng.uniform(0.16, 0.40)
    stations = [
        (-0.76, -0.12, -0.15),
        (-0.80, -0.10, 0.10),
        (-0.80, -0.16, 0.28),
        (-0.70, -0.46, 0.37),
        (-0.46, -0.78, 0.36),
        (-0.05, -0.86, sag),
        (0.36, -0.82, 0.36 + 0.3 * (sag - 0.2)),
        (0.72, -0.48, 0.58),
        (0.82, -0.06, 0.60),
        (0.85, 0.06, 0.40),
        (0.84, 0.04, 0.15),
        (0.78, 0.02, -0.15),
    ]
    size = rng.uniform(0.85, 1.15)
    calibre = [26, 26, 24, 22, 19, 19, 18, 18, 17, 14, 13, 13]
    rows = [
        [*patient.at(*(np.array(s) + rng.uniform(-0.03, 0.03, 3))), size * r * rng.uniform(0.85, 1.15)]
        for s, r in zip(stations, calibre, strict=True)
    ]
    curve = smooth_curve(np.array(rows), 3.5)
    along = 3.5 * np.arange(len(curve))
    haustra = 1 + 0.17 * np.abs(np.sin(np.pi * along / 27.0 + rng.uniform(0, 3))) - 0.08
    radii = np.clip(curve[:, 3] * haustra, 8.0, 34.0)
    knots = np.linspace(0, along[-1], 14)
    fill = np.interp(along, knots, rng.uniform(-1.1, 0.8, 14))
    stool = np.interp(along, knots, rng.uniform(0, 1, 14))
    return Tube(curve[:, :3], radii, np.column_stack([curve[:, 1] + fill * radii, stool]))


def _loops(patient: Patient, organs: Organs, colon: Tube, rng: np.random.Generator) -> tuple[Tube, ...]:
    """Random walks that keep clear of each other; a walk that is stuck ends there."""
    taken = [
        np.column_stack([colon.points, colon.radii]),
        np.column_stack([organs.stomach.points, organs.stomach.radii]),
    ]
    taken.append(np.column_stack([organs.pancreas.points, organs.pancreas.radii]))
    blocked = np.concatenate(taken)
    oral = rng.random() < 0.35
    loops: list[Tube] = []
    for _ in range(420):
        radius = rng.uniform(8.0, 13.0)
        place = patient.at(rng.uniform(-0.62, 0.66), rng.uniform(-0.88, -0.12), rng.uniform(-0.10, 0.48))
        heading = rng.standard_normal(3) * (1, 0.7, 0.8)
        walk: list[NDArray[np.float64]] = []
        for _ in range(int(rng.integers(6, 20))):
            if not _is_free(place, radius, blocked, organs):
                break
            walk.append(place)
            for _ in range(5):  # turn where the way ahead is taken
                turn = heading + 0.5 * rng.standard_normal(3) * (1, 0.7, 0.8)
                place = walk[-1] + 8.0 * turn / np.linalg.norm(turn)
                if _is_free(place, radius, blocked, organs):
                    break
            heading = turn / np.linalg.norm(turn)
        if len(walk) < 3:
            continue
        points = np.array(walk)
        curve = smooth_curve(points, 4.0)
        radii = radius * (1 + 0.10 * np.sin(np.arange(len(curve)) * rng.uniform(0.6, 1.2)))
        gas = rng.random() < 0.25
        content = rng.uniform(180, 320) if oral and rng.random() < 0.6 else rng.uniform(8, 45)
        level = np.full(len(curve), curve[:, 1].mean() + rng.uniform(-0.6, 0.6) * radius if gas else -1e3)
        loops.append(Tube(curve, radii, np.column_stack([level, np.full(len(curve), content)])))
        blocked = np.concatenate([blocked, np.column_stack([curve, radii])])
    return tuple(loops)


def _is_free(place: NDArray[np.float64], radius: float, blocked: NDArray[np.float64], organs: Organs) -> bool:
    patient = organs.patient
    x, y = (place - patient.at(0, 0, 0))[:2] / patient.size(1, 1, 1)[:2]
    if not (abs(x) < 0.74 and -0.98 + radius / patient.cavity_depth < y < -0.05 and place[2] < 0.5 * patient.height):
        return False
    if abs(place[0]) < 34 and place[1] > patient.spine_y - 48 - radius:  # the great vessels
        return False
    if abs(place[0]) < 62 + radius and place[1] > patient.spine_y - 20 - radius:  # psoas
        return False
    if np.hypot(x / 0.98, (y + 0.05) / 0.97) > 0.93:
        return False
    gap = np.linalg.norm(blocked[:, :3] - place, axis=1) - blocked[:, 3]
    if gap.min() < 0.72 * radius:
        return False
    point = [np.array([c]) for c in place]
    solid = [organs.liver(*point), organs.spleen_distance(*point), *(k.distance(*point) for k in organs.kidneys)]
    return bool(min(d[0] for d in solid) > radius)


def paint_small_bowel(canvas: Canvas, bowel: Bowel) -> None:
    """Paint the loops of small bowel: wall with folds, fluid or contrast medium, a little gas."""
    for loop in bowel.loops:
        if loop.near(canvas.z, 2.0).size == 0:
            continue
        distance, (level, content) = loop.distance(canvas.x, canvas.y, canvas.z)
        distance = distance + 0.9 * canvas.coarse + 0.5 * canvas.fine
        paint_halo(canvas, distance)
        canvas.paint(distance, Tissue.BOWEL_WALL)
        lumen = distance + 2.0 + 1.3 * np.clip(canvas.fine, -0.5, 2)
        canvas.paint(lumen, Tissue.BOWEL_CONTENT, content + 6 * canvas.fine)
        canvas.paint(np.maximum(lumen, canvas.grid[1] - level), Tissue.BOWEL_GAS)


def paint_colon(canvas: Canvas, bowel: Bowel, cavity: Array) -> None:
    """Paint the colon: haustra, stool mottled with gas, gas in front."""
    if bowel.colon.near(canvas.z, 2.0).size == 0:
        return
    distance, (level, stool) = bowel.colon.distance(canvas.x, canvas.y, canvas.z, margin=6.0)
    wall = np.maximum(distance + 1.2 * canvas.coarse, cavity + 2.5)
    paint_halo(canvas, wall)
    canvas.paint(wall, Tissue.BOWEL_WALL)
    lumen = wall + 2.2
    mottle = np.where(canvas.fine > 1.0, -400.0, 28 * canvas.fine + 15) * stool
    canvas.paint(lumen, Tissue.BOWEL_CONTENT, canvas.hu_of[Tissue.BOWEL_CONTENT] + 10 + mottle)
    canvas.paint(np.maximum(lumen, canvas.grid[1] - level), Tissue.BOWEL_GAS)
