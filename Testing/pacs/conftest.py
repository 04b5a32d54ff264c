"""A real archive for the tests of one worker, and the small model of the batch tests in every process."""

from __future__ import annotations

import pytest

from Testing.batch.conftest import models  # noqa: F401  (a fixture)
from Testing.pacs.orthanc import PASSWORD, USER, Orthanc, missing


@pytest.fixture(scope="session")
def running_archive(tmp_path_factory):
    """One Orthanc for all tests."""
    if reason := missing():
        pytest.skip(reason)
    server = Orthanc(tmp_path_factory.mktemp("archive") / "orthanc").start()
    yield server
    server.stop()


@pytest.fixture
def archive(running_archive, monkeypatch):
    """It, empty, with the login in the environment."""
    monkeypatch.setenv("CTQA_PACS_USER", USER)
    monkeypatch.setenv("CTQA_PACS_PASSWORD", PASSWORD)
    monkeypatch.delenv("CTQA_PACS_TOKEN", raising=False)
    running_archive.clear()
    return running_archive
