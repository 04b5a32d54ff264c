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
from vtk.util.numpy_support import numpy_to_vtk

from CTQualityAssessmentLib.results import FAIR_SCORE, VolumeAssessment
from CTQualityAssessmentLib.translation import said, texts_of

_ = texts_of(__file__)


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
    centres = np.array([s.centre_ras for s in slices])
    positions = np.linalg.norm(centres - centres[0], axis=1).tolist()
    return _add_table(
        scene,
        _("Quality of slices"),
        [
            _Column("slice", _("Slice"), "", [s.index for s in slices]),
            _Column(
                "position",
                _("Position"),
                "mm",
                positions,
                1,
            ),
            _Column("score", _("Score (0-4)"), "", [s.score for s in slices], 2),
            _Column("snapped", _("Score in steps of 0.2"), "", [s.snapped for s in slices], 1),
            _Column("grade", _("Grade"), "", [said(s.grade or "") for s in slices]),
            _Column("sd", _("SD"), "", [s.sd for s in slices], 2),
            _Column("entropy", _("Entropy"), "bit", [s.entropy for s in slices], 2),
            _Column("novelty", _("Novelty"), "", [s.novelty for s in slices], 2),
            _Column("body", _("Body"), "%", [100.0 * s.body_fraction for s in slices], 0),
            _Column(
                "refusal", _("Not scored because"), "", [said(s.refusal.reason) if s.refusal else "" for s in slices]
            ),
        ],
    )


def add_summary_table(scene: slicer.vtkMRMLScene, assessment: VolumeAssessment) -> slicer.vtkMRMLTableNode:
    """The volume in words and numbers: columns ``measure`` and ``value``, both text."""
    s = assessment.summary
    below = "" if s.share_below_fair is None else f"{100 * s.share_below_fair:.0f}"
    span = {"low": _number(s.minimum), "high": _number(s.maximum)}
    rows = [
        *(
            [(_("Score of the volume"), _number(assessment.volume_score))]
            if assessment.volume_score is not None
            else []
        ),
        *([(_("The network was told"), said(assessment.prompt.text))] if assessment.prompt else []),
        (_("Slices"), _("{scored} of {slices} scored").format(scored=s.scored, slices=s.slices)),
        (_("Mean score"), _number(s.mean)),
        (_("Median score"), _number(s.median)),
        (_("10th percentile"), _number(s.percentile_10)),
        (_("Range"), _("{low} to {high}").format(**span) if s.scored else ""),
        (_("Under 2 (Fair)"), _("{share} % of scored slices").format(share=below) if below else ""),
        (_("Grade"), f"{said(s.grade)}: {said(s.meaning)}" if s.grade else ""),
        (_("Worst slices"), ", ".join(map(str, s.worst))),
        (_("Scored range"), "" if s.scored_range_mm is None else f"{s.scored_range_mm:.0f} mm"),
        (_("Model"), f"{assessment.model.name} {assessment.model.version}"),
        (_("Please note"), assessment.model.statement),
        *((_("Warning"), said(warning)) for warning in assessment.warnings),
        *([(_("Incomplete"), _("The run was stopped before the last slice."))] if assessment.partial else []),
    ]
    measures, values = zip(*rows, strict=True)
    return _add_table(
        scene,
        _("Quality summary"),
        [_Column("measure", _("Measure"), "", measures), _Column("value", _("Value"), "", values)],
    )


def add_threshold_table(scene: slicer.vtkMRMLScene, assessment: VolumeAssessment) -> slicer.vtkMRMLTableNode:
    """The two ends of the line at grade Fair, from the first to the last slice, for the plot."""
    ends = [assessment.slices[0].index, assessment.slices[-1].index]
    table = _add_table(
        scene,
        _("Quality threshold"),
        [_Column("slice", _("Slice"), "", ends), _Column("score", _("Score (0-4)"), "", [FAIR_SCORE, FAIR_SCORE], 1)],
    )
    table.SetHideFromEditors(True)  # of use to the plot only
    return table


def add_before_after_table(scene: slicer.vtkMRMLScene, rows: Sequence[tuple[str, str, str]]) -> slicer.vtkMRMLTableNode:
    """What denoising changed: columns ``measure``, ``before`` and ``after``, all text."""
    measures, before, after = zip(*rows, strict=True)
    return _add_table(
        scene,
        _("Before and after denoising"),
        [
            _Column("measure", _("Measure"), "", measures),
            _Column("before", _("Before"), "", before),
            _Column("after", _("After"), "", after),
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
    if column.digits is None and isinstance(column.values[0], str):
        array = vtk.vtkStringArray()
        array.SetNumberOfValues(len(column.values))
        for row, value in enumerate(column.values):
            array.SetValue(row, " ".join(value.replace('"', "'").split()))
    elif column.digits is None:
        array = numpy_to_vtk(np.array(column.values, dtype=np.int32), deep=True)
    else:
        values = np.array([np.nan if one is None else one for one in column.values], dtype=np.float64)
        array = numpy_to_vtk(np.round(values, column.digits), deep=True)
    array.SetName(column.name)
    return array
