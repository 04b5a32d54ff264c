"""slices.csv holds every slice with the numbers of the assessment."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
from CTQualityAssessmentLib.reporting.csv_file import COLUMNS, write_csv

from Testing.assessment_factory import make_assessment, make_volume


def test_rows_carry_the_numbers_of_the_slices(tmp_path):
    """A spreadsheet gets what the JSON has: same slice, same score, same place, probabilities under their scores."""
    assessment = make_assessment(make_volume())
    write_csv(tmp_path / "slices.csv", assessment)
    with (tmp_path / "slices.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and len(rows) == len(assessment.slices)
    for row, one in zip(rows[1:], assessment.slices[1:], strict=True):
        assert int(row["slice"]) == one.index and row["grade"] == one.grade
        assert float(row["score"]) == pytest.approx(one.score, rel=1e-5)
        assert [float(row[c]) for c in ("r_mm", "a_mm", "s_mm")] == pytest.approx(one.centre_ras, rel=1e-5)
        expected = sum(float(row[c]) * float(c[2:]) for c in COLUMNS if c.startswith("p_"))
        assert expected == pytest.approx(sum(p * n / 5 for n, p in enumerate(one.distribution)), abs=1e-4)


def test_refused_slice_has_empty_numbers_and_its_reason(tmp_path):
    """A zero in place of a missing score would pull every mean down; quotes and commas in a reason must survive."""
    assessment = make_assessment(make_volume())
    write_csv(tmp_path / "slices.csv", assessment)
    with (tmp_path / "slices.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert (row["score"], row["snapped"], row["grade"], row["p_2.0"]) == ("", "", "", "")
    assert row["refusal"] == "no-body" and row["reason"] == assessment.slices[0].refusal.reason


def test_dose_of_the_slice_is_in_its_row(tmp_path):
    """Dose against score is the first plot a physicist makes of the table; what a header does not say stays empty."""
    assessment = make_assessment(make_volume())
    slices = tuple(replace(one, tube_current_ma=100.0 + one.index, ctdivol_mgy=5.25) for one in assessment.slices)
    write_csv(tmp_path / "slices.csv", replace(assessment, slices=slices))
    with (tmp_path / "slices.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["tube_current_ma"]) for row in rows] == [100.0 + n for n in range(6)]
    assert {row["ctdivol_mgy"] for row in rows} == {"5.25"} and {row["exposure_mas"] for row in rows} == {""}
