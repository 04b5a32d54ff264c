"""Colour maps of our own: perceptually uniform, ordered by lightness, readable with any colour vision.

A map is a Bézier curve in OKLab (B. Ottosson, "A perceptual color space for image processing", 2020) walked at
constant speed. Equal steps of a score are therefore equal steps of colour, and because lightness only rises the order
survives colour-vision deficiency and a black-and-white print.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: OKLab to the cube roots of the cone responses, and cone responses to linear sRGB (Ottosson 2020).
_OKLAB_TO_CONE_ROOTS = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_CONES_TO_LINEAR_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)

#: Points on the curve from which the constant-speed walk is interpolated; more changes no 8-bit colour.
_FINE = 4001
#: Colours of one half of a diverging map; finer than any display.
_HALF = 1025


@dataclass(frozen=True)
class ColourMap:
    """A sequential colour map.

    Attributes:
        name: neutral name, used for nodes and legends.
        control_points: Bézier control points in OKLCh: lightness 0 to 1, chroma 0 to about 0.3, hue in degrees.
    """

    name: str
    control_points: tuple[tuple[float, float, float], ...]

    def rgb(self, n: int = 256) -> NDArray[np.float64]:
        """``n`` colours from the low to the high end, ``(n, 3)`` gamma-encoded sRGB in 0 ... 1.

        Raises:
            ValueError: fewer than two colours were asked for.
        """
        if n < 2:
            raise ValueError("a colour map has at least two colours")
        fine = self._curve(np.linspace(0.0, 1.0, _FINE))
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
        wanted = np.linspace(0.0, length[-1], n)
        lab = np.stack([np.interp(wanted, length, fine[:, c]) for c in range(3)], axis=1)
        return np.clip(_encode_srgb(_oklab_to_linear_rgb(lab)), 0.0, 1.0)

    def _curve(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """OKLab at parameter ``t`` in 0 ... 1 by de Casteljau's algorithm, ``(len(t), 3)``."""
        lightness, chroma, hue = np.array(self.control_points, dtype=np.float64).T
        angle = np.deg2rad(hue)
        points = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=1)
        layer = np.broadcast_to(points[:, None, :], (len(points), len(t), 3))
        while len(layer) > 1:
            layer = layer[:-1] * (1 - t[:, None]) + layer[1:] * t[:, None]
        return layer[0]


@dataclass(frozen=True)
class DivergingMap:
    """Two maps that begin with the same dark colour: one for values below zero, one for those above.

    Attributes:
        name: as for :class:`ColourMap`.
        below, above: from zero outwards.
    """

    name: str
    below: ColourMap
    above: ColourMap

    def rgb(self, n: int = 256) -> NDArray[np.float64]:
        """``n`` colours from the most negative over zero to the most positive value, as :meth:`ColourMap.rgb`.

        Raises:
            ValueError: fewer than two colours were asked for.
        """
        if n < 2:
            raise ValueError("a colour map has at least two colours")
        both = np.concatenate([self.below.rgb(_HALF)[:0:-1], self.above.rgb(_HALF)])
        wanted = np.linspace(0, len(both) - 1, n)
        return np.stack([np.interp(wanted, np.arange(len(both)), both[:, c]) for c in range(3)], axis=1)


def _oklab_to_linear_rgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    return (lab @ _OKLAB_TO_CONE_ROOTS.T) ** 3 @ _CONES_TO_LINEAR_RGB.T


def _encode_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """IEC 61966-2-1 transfer function, odd-symmetric so that a colour outside the gamut stays visible as such."""
    magnitude = np.abs(linear)
    curve = np.where(magnitude <= 0.0031308, 12.92 * magnitude, 1.055 * magnitude ** (1 / 2.4) - 0.055)
    return np.copysign(curve, linear)


#: Scores 0 (bad, deep blue) to 4 (excellent, yellow). Starts well above black so that it shows on a dark image.
QUALITY = ColourMap(
    "Quality",
    ((0.33, 0.19, 275.0), (0.39, 0.06, 258.0), (0.65, 0.22, 221.0), (0.85, 0.13, 132.0), (0.94, 0.185, 107.0)),
)

#: Attention, from black (least) over orange to near white (most).
ATTENTION = ColourMap(
    "Attention",
    ((0.17, 0.01, 40.0), (0.48, 0.06, 17.0), (0.55, 0.31, 45.0), (0.70, 0.11, 80.0), (0.975, 0.03, 100.0)),
)

_NO_DIFFERENCE = (0.24, 0.0, 0.0)
#: Differences: blue below zero, dark grey at zero, orange above. Blue and orange differ for every colour vision, and
#: the dark middle keeps what is equal dark, as on a workstation.
DIFFERENCE = DivergingMap(
    "Difference",
    below=ColourMap(
        "Difference below", (_NO_DIFFERENCE, (0.46, 0.17, 262.0), (0.72, 0.16, 235.0), (0.96, 0.03, 215.0))
    ),
    above=ColourMap("Difference above", (_NO_DIFFERENCE, (0.46, 0.14, 45.0), (0.72, 0.19, 60.0), (0.96, 0.06, 90.0))),
)
