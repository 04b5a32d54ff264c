"""Great vessels and vessel trees that grow towards the tissue they feed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from Training.phantom.canvas import Array, Canvas
from Training.phantom.organs import Organs
from Training.phantom.patient import Patient
from Training.phantom.shapes import Tube, smooth_curve
from Training.phantom.tissues import Tissue


@dataclass(frozen=True)
class Vessels:
    """Tubes to paint, each with its tissue: ``free`` in the fat of the abdomen, ``hepatic`` only inside the liver."""

    free: tuple[tuple[Tissue, Tube], ...]
    hepatic: tuple[tuple[Tissue, Tube], ...]


def grow_tree(
    trunk: NDArray[np.float64],
    targets: NDArray[np.float64],
    leaf_radius: float,
    root_radius: float,
    rng: np.random.Generator,
) -> list[Tube]:
    """Join every target to the nearest place of a growing tree.

    A branch leaves its parent upstream of the nearest place, so that it forks at an acute angle, and bends a little
    on its way. Radii follow Murray's law (r^3 adds up at a fork).

    Args:
        trunk: (n, 3) points of the trunk in the direction of branching.
        targets: (m, 3) points to reach, nearest to the trunk first or in any order.
        leaf_radius, root_radius: radii in mm at the tips and at most at the root.

    Returns:
        One tube for every segment between two nodes.
    """
    nodes = [np.asarray(p, dtype=np.float64) for p in trunk]
    parent = [-1, *range(len(nodes) - 1)]
    order = np.argsort([np.min(np.linalg.norm(np.array(nodes) - t, axis=1)) for t in targets])
    for target in np.asarray(targets)[order]:
        nearest = int(np.argmin(np.linalg.norm(np.array(nodes) - target, axis=1)))
        start = parent[nearest] if parent[nearest] >= 0 else nearest
        span = np.linalg.norm(target - nodes[start])
        steps = max(int(span / 8.0), 1)
        bend = rng.normal(0, 0.08 * span, 3)
        for s in range(1, steps + 1):
            f = s / steps
            nodes.append(nodes[start] + f * (target - nodes[start]) + bend * f * (1 - f) * 2)
            parent.append(start if s == 1 else len(nodes) - 2)
    flow = np.zeros(len(nodes))
    flow[list(set(range(len(nodes))) - set(parent))] = 1.0
    for i in range(len(nodes) - 1, 0, -1):
        flow[parent[i]] += flow[i]
    radii = np.minimum(leaf_radius * np.cbrt(np.maximum(flow, 1)), root_radius)
    return [
        Tube(np.array([nodes[p], nodes[i]]), np.array([radii[i], radii[i]])) for i, p in enumerate(parent) if p >= 0
    ]


def _moved(point: NDArray[np.float64], x: float, y: float, z: float) -> tuple[float, float, float]:
    return float(point[0] + x), float(point[1] + y), float(point[2] + z)


def build_vessels(patient: Patient, organs: Organs, bowel: NDArray[np.float64], rng: np.random.Generator) -> Vessels:
    """The patient's vessels; ``bowel`` (n, 3) are points on the gut that the mesenteric trees reach."""
    ys, height = patient.spine_y, patient.height
    side = rng.uniform(4.0, 11.0)

    def smooth(points: list[tuple[float, float, float]], radii: list[float]) -> Tube:
        curve = smooth_curve(np.column_stack([np.array(points), radii]), 5.0)
        return Tube(curve[:, :3], curve[:, 3])

    wide = rng.uniform(0.9, 1.15)
    split = 0.06 * height
    aorta = smooth(
        [
            (side + 4, ys - 26, 1.2 * height),
            (side, ys - 33, 0.75 * height),
            (side, ys - 34, 0.4 * height),
            (side - 3, ys - 30, split),
        ],
        [12.5 * wide, 11.5 * wide, 9.5 * wide, 8.5 * wide],
    )
    top = patient.at(-0.16, -0.52, 0)
    cava = smooth(
        [
            (-22, ys - 20, -0.1 * height),
            (-24, ys - 27, 0.3 * height),
            (-27, ys - 33, 0.55 * height),
            (-28, top[1], 0.85 * height),
            (-20, top[1] - 14, 1.08 * height),
        ],
        [9.5, 10.5, 11.5, 12.5, 13.0],
    )
    free: list[tuple[Tissue, Tube]] = [(Tissue.VENA_CAVA, cava), (Tissue.AORTA, aorta)]
    for direction in (-1, 1):
        end = (direction * 38.0, ys - 18, -0.1 * height)
        free.append(
            (Tissue.AORTA, smooth([(side - 3, ys - 30, split + 4), (direction * 16.0, ys - 30, 0.0), end], [6.5, 6, 6]))
        )
        kidney = organs.kidneys[(direction + 1) // 2]
        hilum = kidney.centre - (direction * 14.0, 2.0, 0)
        level = kidney.centre[2] + 10
        free.append(
            (
                Tissue.ARTERY,
                smooth([(side, ys - 32, level), (direction * 30.0, ys - 17, level - 3), tuple(hilum)], [3.2, 2.8, 2.5]),
            )
        )
        free.append(
            (
                Tissue.VENA_CAVA,
                smooth(
                    [
                        (-22.0, ys - 36, level),
                        (direction * 14.0, ys - 46 + 8 * (direction < 0), level - 2),
                        _moved(hilum, 0, -3, -4),
                    ],
                    [5.5, 5, 4.5],
                ),
            )
        )

    # Portal vein: confluence behind the neck of the pancreas, to the hilum of the liver.
    confluence, porta = patient.at(-0.06, -0.40, 0.50), patient.at(-0.30, -0.42, 0.60)
    spleen_hilum = organs.spleen[0] - patient.size(0.17, 0.08, 0.04)
    middle = patient.at(0.28, -0.34, 0.56)
    free.append(
        (
            Tissue.PORTAL_VEIN,
            smooth([tuple(confluence), _moved((confluence + porta) / 2, 0, 2, 0), tuple(porta)], [7, 7, 7]),
        )
    )
    free.append((Tissue.PORTAL_VEIN, smooth([tuple(confluence), tuple(middle), tuple(spleen_hilum)], [5.5, 4.5, 4])))
    celiac = np.array([side, ys - 52.0, 0.585 * height])
    free.append(
        (
            Tissue.ARTERY,
            smooth(
                [
                    (side, ys - 40, 0.58 * height),
                    tuple(celiac),
                    _moved(middle, 0, -7, 8),
                    _moved(spleen_hilum, 0, -4, 6),
                ],
                [4, 3.4, 2.6, 2.2],
            ),
        )
    )
    free.append(
        (
            Tissue.ARTERY,
            smooth([tuple(celiac), _moved((celiac + porta) / 2, 0, -6, 0), _moved(porta, 6, -8, 4)], [3.2, 2.6, 2.4]),
        )
    )
    foot = patient.at(-0.03, -0.55, 0.12)
    sma = smooth_curve(
        np.array(
            [
                (side, ys - 42, 0.545 * height),
                (side - 2, ys - 56, 0.47 * height),
                (2, ys - 58, 0.3 * height),
                (0, foot[1], foot[2]),
            ]
        ),
        8.0,
    )
    smv = sma[3:] + np.array((-14.0, -3.0, 0.0))
    near = bowel[rng.permutation(len(bowel))[:70]]
    free += [(Tissue.ARTERY, t) for t in grow_tree(sma, near[::2], 0.75, 3.8, rng)]
    free += [(Tissue.PORTAL_VEIN, t) for t in grow_tree(smv, near, 1.0, 5.5, rng)]
    free.append((Tissue.PORTAL_VEIN, smooth([tuple(smv[0]), tuple(confluence)], [5.5, 6])))

    seeds = np.stack([rng.uniform(lo, hi, 2600) for lo, hi in ((-1.1, 0.4), (-1.1, 0.4), (0.3, 0.95))], axis=1)
    inside = np.array([patient.at(*s) for s in seeds])
    inside = inside[organs.liver(*inside.T) < -5.0]
    split_porta = np.array([porta, _moved(porta, -18, 2, 6), _moved(porta, -34, 0, 12)])
    hepatic = [(Tissue.PORTAL_VEIN, t) for t in grow_tree(split_porta, inside[:75], 1.05, 6.0, rng)]
    gather = cava.points[np.argmin(np.abs(cava.points[:, 2] - 0.83 * height))]
    for lobe in (-0.75, -0.45, -0.05):
        reach = inside[75:][
            np.abs(inside[75:, 0] - lobe * patient.cavity_half_width) < 0.17 * patient.cavity_half_width
        ]
        if len(reach):
            aim = reach[np.argmax(np.linalg.norm(reach - gather, axis=1))]
            trunk = np.linspace(gather, gather + 0.45 * (aim - gather) * (1, 1, 0.5), 6)
            hepatic += [(Tissue.HEPATIC_VEIN, t) for t in grow_tree(trunk, reach[:18], 1.0, 5.0, rng)]
    return Vessels(tuple(free), tuple(hepatic))


def paint_hepatic_vessels(canvas: Canvas, vessels: Vessels, liver: Array) -> None:
    """Paint the trees inside the liver."""
    for tissue, tube in vessels.hepatic:
        canvas.paint_tube(tube, tissue, inside=liver + 2.0)


def paint_free_vessels(canvas: Canvas, vessels: Vessels) -> None:
    """Paint the vessels outside the liver."""
    for tissue, tube in vessels.free:
        canvas.paint_tube(tube, tissue)
