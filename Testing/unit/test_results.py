"""If these fail, a score is shown as another one."""

from __future__ import annotations

import pytest
from CTQualityAssessmentLib.results import GRADES, grade, snap_score


@pytest.mark.parametrize(
    ("score", "snapped"),
    [(0.0, 0.0), (0.1, 0.2), (0.3, 0.4), (1.1, 1.2), (1.09, 1.0), (3.95, 4.0), (4.3, 4.0), (-1, 0.0)],
)
def test_scores_snap_to_the_nearest_fifth_and_halves_go_up(score, snapped):
    assert snap_score(score) == snapped


def test_each_grade_covers_one_point_around_its_number():
    assert [grade(s)[0] for s in (0.0, 0.49, 0.5, 1.5, 2.49, 3.49, 3.5, 4.0)] == [
        GRADES[n][0] for n in (0, 0, 1, 2, 2, 3, 4, 4)
    ]
