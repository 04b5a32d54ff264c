"""A few series through a real cluster whose worker and command are killed.

:mod:`Testing.pacs.exactly_once` does it with hundreds, with denoised series, and kills the scheduler too.
"""

from __future__ import annotations

import random

import pytest

from Testing.pacs.exactly_once import proven, random_kills, survive

pytestmark = pytest.mark.xdist_group("orthanc")


def test_killed_parts_lose_nothing_and_bring_nothing_twice(archive, tmp_path):
    """A computer that is switched off at night must cost no report, and the radiologist must not find two."""
    plan = [(1, "worker"), (2, "client")]
    found = survive(archive, tmp_path, 4, plan, random.Random(1), send="report", limit_s=900)
    assert proven(found), found
    assert found["killed"] == {"worker": 1, "client": 1} and found["ends"]["client -9"] == 1
    assert (found["reports"], found["reasons"]) == (4, {})


def test_a_plan_kills_each_kind_at_least_once():
    """A long run that never killed the scheduler would prove nothing of it."""
    for seed in range(20):
        plan = random_kills(300, 15, random.Random(seed))
        assert len(plan) == 15 and {victim for _, victim in plan} == {"worker", "client", "scheduler"}
        assert [moment for moment, _ in plan] == sorted({moment for moment, _ in plan})
