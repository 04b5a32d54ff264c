"""Nothing is lost or done twice when parts of a cluster die. The long version: ``make exactly-once``."""

from __future__ import annotations

import pytest

from Testing.pacs.exactly_once import survive
from Testing.pacs.orthanc import PASSWORD, USER, missing

pytestmark = pytest.mark.xdist_group("orthanc")


def test_every_series_once_though_worker_scheduler_and_command_are_killed(tmp_path, monkeypatch):
    """Computers of a cluster fail in the night. A report that is lost is a patient who was forgotten; one that is filed
    twice makes radiologists doubt all of them."""
    if reason := missing():
        pytest.skip(reason)
    monkeypatch.setenv("CTQA_PACS_USER", USER)
    monkeypatch.setenv("CTQA_PACS_PASSWORD", PASSWORD)
    found = survive(tmp_path, series=12, kills=3, seed=5)
    assert found["killed"] == {"worker": 1, "client": 1, "scheduler": 1}, found
    assert (found["exit"], found["exit_again"], found["unchanged"]) == (0, 0, True), found
    assert (found["reports"], found["scored"], found["lost"], found["twice"], found["left"]) == (12, 12, 0, 0, 0), found
