"""Records of both kinds; the small model of the batch tests in every process."""

from __future__ import annotations

import pytest

from Testing.batch.conftest import models  # noqa: F401  (a fixture)
from Testing.record.postgres import Postgres, missing


@pytest.fixture(scope="session")
def running_postgres():
    """One server for all tests."""
    if reason := missing():
        pytest.skip(reason)
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """What a user writes behind --record, for a record that does not exist yet."""
    if request.param == "sqlite":
        return str(tmp_path / "record.sqlite")
    return request.getfixturevalue("running_postgres").new_database()
