"""The diaphragm and what lies above it: lungs and heart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from Training.phantom.canvas import Array, Canvas
from Training.phantom.patient import Patient
from Training.phantom.shapes import ellipsoid, smooth_union
from Training.phantom.tissues import Tissue


@dataclass(frozen=True)
class Diaphragm:
    """Two domes over the abdomen, flat on top and falling fastest to the side and behind.

    Attributes:
        domes: (x, y, z) of the two tops in mm, right and left.
        fall: how far a dome falls at its edge, in mm.
    """

    patient: Patient
    domes: tuple[Array, Array]
    fall: float

    def height(self, x: Array, y: Array) -> Array:
        """z of the diaphragm over the points (x, y)."""
        across, along = self.patient.size(0.55, 0.62, 0)[:2]
        tops = []
        for dome in self.domes:
            sideways = np.where(x * dome[0] > dome[0] ** 2, across, 1.7 * across)  # the central tendon sags little
            lengthwise = np.where(y > dome[1], along, 1.6 * along)
            q = ((x - dome[0]) / sideways) ** 2 + ((y - dome[1]) / lengthwise) ** 2
            tops.append(dome[2] - self.fall * q**2)
        return np.maximum(-smooth_union(-tops[0], -tops[1], 25.0), 0.57 * self.patient.height)

    def above(self, x: Array, y: Array, z: Array | float) -> Array:
        """Signed distance to the space below the diaphragm: positive above it. Roughly metric."""
        return 0.8 * (z - self.height(x, y))


def build_diaphragm(patient: Patient, rng: np.random.Generator) -> Diaphragm:
    """Raise the two domes; the right one is higher."""
    right = patient.at(-0.50, -0.40, rng.uniform(0.90, 0.95))
    left = patient.at(0.50, -0.40, rng.uniform(0.85, 0.89))
    return Diaphragm(patient, (right, left), 0.42 * patient.height)


def paint_chest(canvas: Canvas, patient: Patient, diaphragm: Diaphragm, cavity: Array) -> None:
    """Paint diaphragm, lungs and heart into the part of the cavity above the domes."""
    if canvas.z < 0.45 * patient.height:
        return
    x, y, z = canvas.warped
    above = diaphragm.above(x, y, z)
    mediastinum = ellipsoid(x, y, 0.0, (4.0, patient.spine_y - 22.0, 0.0), (34.0, 32.0, 60.0))
    front = ellipsoid(x, y, z, patient.at(0.14, -0.72, 1.08), patient.size(0.60, 0.46, 0.22))
    spine = ellipsoid(x, y, 0.0, (0.0, patient.spine_y + 6.0, 0.0), (31.0, 26.0, 60.0))
    # The pleura reaches behind the abdominal cavity, to the ribs.
    lung = np.maximum.reduce([cavity, -above, -mediastinum, -front, -spine])
    canvas.paint(np.maximum.reduce([np.abs(above + 1.0) - 1.2, cavity, -mediastinum]), Tissue.MUSCLE)
    vessels = 260 * np.clip(canvas.fine - 1.6, 0, 1) + 18 * canvas.coarse
    dependent = 0.25 * (y - patient.spine_y)
    canvas.paint(lung, Tissue.LUNG, (canvas.hu_of[Tissue.LUNG] + vessels + dependent).astype(np.float32))

    heart = ellipsoid(x, y, z, patient.at(0.16, -0.66, 1.07), patient.size(0.50, 0.42, 0.19))
    canvas.paint(heart, Tissue.HEART)
    blood = canvas.hu_of[Tissue.VENA_CAVA] * 0.5 + canvas.hu_of[Tissue.AORTA] * 0.5
    for centre, radii in (((0.28, -0.62, 1.08), (0.24, 0.20, 0.13)), ((-0.03, -0.74, 1.09), (0.22, 0.22, 0.13))):
        canvas.paint(ellipsoid(x, y, z, patient.at(*centre), patient.size(*radii)), Tissue.HEART, blood)
    if canvas.z < 0.74 * patient.height:
        return
    # Oesophagus, left of and in front of the aorta.
    gullet = ellipsoid(x, y, 0.0, (12.0, patient.spine_y - 48.0, 0.0), (9.0, 6.0, 60.0))
    canvas.paint(gullet, Tissue.STOMACH_WALL)
    canvas.paint(gullet + 4.6, Tissue.BOWEL_GAS, -150.0)
