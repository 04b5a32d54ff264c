"""Scores as MRML tables, for the table and plot views.

Saved tables keep six digits, and a cell with a double quote comes back damaged. Tables are therefore for looking at:
they hold rounded numbers, and the exact result travels as JSON in the text node (see ``assessment_nodes``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import vtk

from CTQualityAssessmentLib.results import FAIR_SCORE, VolumeAssessment


@dataclass(frozen=True)
class _Column:
    name: str
    title: str
    unit: str
    values: Sequence[int] | Sequence[float | None] | Sequence[str]
    digits: int | None = None


def add_slice_table(scene: slicer.vtkMRMLScene, assessment: VolumeAssessment) -> slicer.vtkMRMLTableNode:
    """One row per slice, in the order of the volume; what is unknown or refused is NaN or empty.

    Columns: ``slice`` (index from 0), ``position`` (mm from slice 0), ``score``, ``snapped``, ``grade``, ``sd``,
    ``entropy`` (bits), ``novelty``, ``body`` (%), ``refusal``.
    """
    slices = assessment.slices
    first = np.array(slices[0].centre_ras)
    return _add_table(
        scene,
        "Quality of slices",
        [
            _Column("slice", "Slice", "", [s.index for s in slices]),
            _Column(
                "position", "Position", "mm", [float(np.linalg.norm(np.array(s.centre_ras) - first)) for s in slices], 1
            ),
            _Column("score", "Score (0-4)", "", [s.score for s in slices], 2),
            _Column("snapped", "Score in steps of 0.2", "", [s.snapped for s in slices], 1),
            _Column("grade", "Grade", "", [s.grade or "" for s in slices]),
            _Column("sd", "SD", "", [s.sd for s in slices], 2),
            _Column("entropy", "Entropy", "bit", [s.entropy for s in slices], 2),
            _Column("novelty", "Novelty", "", [s.novelty for s in slices], 2),
            _Column("body", "Body", "%", [100.0 * s.body_fraction for s in slices], 0),
            _Column("refusal", "Not scored because", "", [s.refusal.reason if s.refusal else "" for s in slices]),
        ],
    )


def add_summary_table(scene: slicer.vtkMRMLScene, assessment: VolumeAssessment) -> slicer.vtkMRMLTableNode:
    """The volume in words and numbers: columns ``measure`` and ``value``, both text."""
    s = assessment.summary
    rows = [
        *([("Score of the volume", _number(assessment.volume_score))] if assessment.volume_score is not None else []),
        *([("The network was told", assessment.prompt.text)] if assessment.prompt else []),
        ("Slices", f"{s.scored} of {s.slices} scored"),
        ("Mean score", _number(s.mean)),
        ("Median score", _number(s.median)),
        ("10th percentile", _number(s.percentile_10)),
        ("Range", f"{_number(s.minimum)} to {_number(s.maximum)}" if s.scored else ""),
        ("Under 2 (Fair)", "" if s.share_below_fair is None else f"{100 * s.share_below_fair:.0f} % of scored slices"),
        ("Grade", f"{s.grade}: {s.meaning}" if s.grade else ""),
        ("Worst slices", ", ".join(map(str, s.worst))),
        ("Scored range", "" if s.scored_range_mm is None else f"{s.scored_range_mm:.0f} mm"),
        ("Model", f"{assessment.model.name} {assessment.model.version}"),
        ("Please note", assessment.model.statement),
        *(("Warning", warning) for warning in assessment.warnings),
        *([("Incomplete", "The run was stopped before the last slice.")] if assessment.partial else []),
    ]
    measures, values = zip(*rows, strict=True)
    return _add_table(
        scene, "Quality summary", [_Column("measure", "Measure", "", measures), _Column("value", "Value", "", values)]
    )


def add_threshold_table(scene: slicer.vtkMRMLScene, assessment: VolumeAssessment) -> slicer.vtkMRMLTableNode:
    """The two ends of the line at grade Fair, from the first to the last slice, for the plot."""
    ends = [assessment.slices[0].index, assessment.slices[-1].index]
    table = _add_table(
        scene,
        "Quality threshold",
        [_Column("slice", "Slice", "", ends), _Column("score", "Score (0-4)", "", [FAIR_SCORE, FAIR_SCORE], 1)],
    )
    table.SetHideFromEditors(True)  # of use to the plot only
    return table


def add_before_after_table(scene: slicer.vtkMRMLScene, rows: Sequence[tuple[str, str, str]]) -> slicer.vtkMRMLTableNode:
    """What denoising changed: columns ``measure``, ``before`` and ``after``, all text."""
    measures, before, after = zip(*rows, strict=True)
    return _add_table(
        scene,
        "Before and after denoising",
        [
            _Column("measure", "Measure", "", measures),
            _Column("before", "Before", "", before),
            _Column("after", "After", "", after),
        ],
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _add_table(scene: slicer.vtkMRMLScene, name: str, columns: Sequence[_Column]) -> slicer.vtkMRMLTableNode:
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
    node.SetUseColumnTitleAsColumnHeader(True)  # else views show the names as a first row and count one row too many
    for column in columns:
        node.AddColumn(_vtk_array(column))
        node.SetColumnTitle(column.name, column.title)
        if column.unit:
            node.SetColumnUnitLabel(column.name, column.unit)
    node.SetLocked(True)
    return node


def _vtk_array(column: _Column) -> vtk.vtkAbstractArray:
    if column.digits is not None:
        array = vtk.vtkDoubleArray()
        values = [float("nan") if v is None else round(float(v), column.digits) for v in column.values]
    elif isinstance(column.values[0], str):
        array = vtk.vtkStringArray()
        values = [" ".join(v.replace('"', "'").split()) for v in column.values]
    else:
        array = vtk.vtkIntArray()
        values = list(column.values)
    array.SetName(column.name)
    array.SetNumberOfValues(len(values))
    for row, value in enumerate(values):
        array.SetValue(row, value)
    return array
