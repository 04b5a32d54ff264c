"""A small series, small models, and a server that starts commands at once, for the tests of faults."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, DEFAULT_DENOISER

from Testing.bundle_factory import write_bundle
from Testing.denoiser_factory import write_denoiser
from Testing.dicom_factory import body, write_series
from Testing.hardness.forks import Server
from Testing.small_disk import small_disk


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained small networks in the place of the default ones."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / DEFAULT_BUNDLE)
    write_denoiser(folder / DEFAULT_DENOISER)
    return folder


@pytest.fixture(scope="session")
def ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("Zweistein")
    write_series(folder, body(3, 64, 64))
    for one in (folder.parent, folder):
        one.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[Server]:
    if os.name != "posix" or not hasattr(os, "fork"):
        pytest.skip("needs a POSIX system")
    started = Server({"CTQA_MODELS": str(models)})
    yield started
    started.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 24 MiB."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder
