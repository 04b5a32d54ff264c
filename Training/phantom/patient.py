"""Size and build of one patient, and the frame in which organs are placed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from Training.phantom.tissues import PHASES

Array = NDArray[np.floating]

#: Polar angles of the tables that describe the body's outline: 0 is the patient's left, pi/2 posterior.
ANGLES: NDArray[np.float64] = np.linspace(-np.pi, np.pi, 721)


@dataclass(frozen=True)
class Patient:
    """The build of one patient. Lengths in mm; the origin is the middle of the body, z = 0 below the iliac crest.

    Attributes:
        width: of the body at its widest slice.
        depth: anterior-posterior diameter there.
        height: of the modelled part, from the iliac crest to above the dome of the liver.
        fat_front, fat_side, fat_back: subcutaneous fat.
        wall: muscle of the lateral abdominal wall.
        muscle: size of the back muscles relative to an average adult.
        phase: contrast phase, one of ``PHASES``.
        ripple: (4, 2) cosine and sine amplitudes of the outline's departures from symmetry, relative to the radius.
        vertebra: distance between two vertebrae; ``vertebra_offset``: z of the centre of the lowest one.
    """

    width: float
    depth: float
    height: float
    fat_front: float
    fat_side: float
    fat_back: float
    wall: float
    muscle: float
    phase: str
    ripple: Array
    vertebra: float
    vertebra_offset: float

    @property
    def spine_y(self) -> float:
        """y of the centre of the vertebral bodies."""
        return self.depth / 2 - 2 - self.fat_back - 72.0

    @property
    def cavity_half_width(self) -> float:
        """Half width of the abdominal cavity at its widest."""
        return self.width / 2 - 2 - self.fat_side - self.wall

    @property
    def cavity_depth(self) -> float:
        """From the anterior peritoneum to the centre of the vertebral bodies."""
        return self.depth / 2 - 2 - self.fat_front - 12.0 + self.spine_y

    def at(self, x: float, y: float, z: float) -> NDArray[np.float64]:
        """Place by build: x in cavity half widths, y in cavity depths from the spine, z in heights -> mm."""
        return np.array([x * self.cavity_half_width, self.spine_y + y * self.cavity_depth, z * self.height])

    def size(self, x: float, y: float, z: float) -> NDArray[np.float64]:
        """Lengths in the units of :meth:`at` -> mm."""
        return np.array([x * self.cavity_half_width, y * self.cavity_depth, z * self.height])

    def outline(self, z: float) -> Array:
        """Radius of the skin at :data:`ANGLES`, at height ``z``."""
        level = z / self.height
        hips = 0.05 * np.exp(-0.5 * ((level + 0.05) / 0.15) ** 2)
        waist = -0.045 * np.exp(-0.5 * ((level - 0.28) / 0.16) ** 2)
        half_width = self.width / 2 * (0.97 + hips + waist + 0.03 * np.clip(level, 0, 1))
        cosine, sine = np.cos(ANGLES), np.sin(ANGLES)
        behind = sine > 0
        half_depth = self.depth / 2 * np.where(behind, 1.0, 1.0 - 0.05 * np.clip(level - 0.6, -0.3, 0.6))
        power = np.where(behind, 2.9, 2.25)
        radius = (np.abs(cosine / half_width) ** power + np.abs(sine / half_depth) ** power) ** (-1 / power)
        for k, (a, b) in enumerate(self.ripple, start=2):
            radius *= 1 + a * np.cos(k * ANGLES + level) + b * np.sin(k * ANGLES)
        from_back = np.abs(ANGLES - np.pi / 2)
        from_front = np.abs(ANGLES + np.pi / 2)
        radius -= (3.0 + 0.12 * self.fat_back) * np.exp(-0.5 * (from_back / 0.07) ** 2)
        navel = np.exp(-0.5 * ((level - 0.1) / 0.035) ** 2)
        return radius - (1.5 + navel * 0.6 * self.fat_front) * np.exp(-0.5 * (from_front / 0.055) ** 2)

    def fat(self, z: float) -> Array:
        """Thickness of the subcutaneous fat at :data:`ANGLES`; thins out towards the chest."""
        front, back = np.clip(-np.sin(ANGLES), 0, 1) ** 2, np.clip(np.sin(ANGLES), 0, 1) ** 2
        side = 1 - front - back
        flank = 1 + 0.35 * np.exp(-0.5 * ((np.abs(ANGLES - np.pi / 2) - 0.95) / 0.25) ** 2)
        taper = 1 - 0.45 * np.clip(z / self.height - 0.25, 0, 0.75)
        return (front * self.fat_front + side * self.fat_side + back * self.fat_back) * flank * taper


def draw_patient(rng: np.random.Generator, field_of_view: float) -> Patient:
    """One patient who fits into 93 % of a field of view in mm; widths spread over 280 ... 420 mm where they fit."""
    width = rng.uniform(280.0, min(420.0, 0.93 * field_of_view))
    stout = (width - 280.0) / 140.0
    depth = width * rng.uniform(0.66, 0.73)
    fat_front = 7.0 + 26.0 * (0.55 * stout + 0.45 * rng.random())
    vertebra = rng.uniform(32.0, 37.0)
    return Patient(
        width=width,
        depth=depth,
        height=rng.uniform(225.0, 250.0),
        fat_front=fat_front,
        fat_side=fat_front * rng.uniform(0.6, 0.95),
        fat_back=4.0 + fat_front * rng.uniform(0.35, 0.65),
        wall=rng.uniform(13.0, 20.0),
        muscle=rng.uniform(0.88, 1.08),
        phase=PHASES[int(rng.choice(len(PHASES), p=(0.25, 0.15, 0.5, 0.1)))],
        ripple=rng.normal(0, 1, (4, 2)) * np.array([[0.008], [0.008], [0.004], [0.003]]),
        vertebra=vertebra,
        vertebra_offset=rng.uniform(0, vertebra),
    )
