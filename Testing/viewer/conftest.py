"""The true server, driven by a true browser. Without trame-slicer or chromium the tests are skipped, and say so."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from Testing.bundle_factory import write_bundle

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
HAS_SERVER = all(importlib.util.find_spec(name) is not None for name in ("slicer", "trame_slicer"))
collect_ignore_glob = [] if HAS_SERVER else ["test_*.py"]


def pytest_report_header():
    return None if HAS_SERVER else "Testing/viewer is left out: trame-slicer is not installed (extra 'mrml')"


class Running:
    """A viewer in a process of its own; ``temporary`` is where its private folder lies."""

    def __init__(self, process: subprocess.Popen, address: str, temporary: Path) -> None:
        self.process, self.address, self.temporary = process, address, temporary
        self.port = int(re.search(r":(\d+)/", address)[1])
        self.origin = f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        """Process numbers of the viewer's children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(number) for number in children.read_text().split()]


@contextmanager
def start_viewer(models: Path, temporary: Path, *arguments: str):
    """Start ``ctqa view`` with the test model and wait for its address."""
    temporary.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "CTQualityAssessment"),
        "CTQA_MODELS": str(models),
        "OMP_NUM_THREADS": "1",
        "TMPDIR": str(temporary),
    }
    code = "from CTQualityAssessmentLib.cli import main; main()"
    command = [sys.executable, "-c", code, "view", *arguments, "--no-browser", "--model", "tiny"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=temporary
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}", line)
        assert found, line
        yield Running(process, found[0], temporary)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(15)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / "tiny")
    return folder


@pytest.fixture(scope="session")
def viewer(models, tmp_path_factory):
    """A viewer on the shipped sample, shared by the tests of a worker."""
    with start_viewer(models, tmp_path_factory.mktemp("viewer"), str(SAMPLE)) as running:
        yield running


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra 'test')")
    with sync_api.sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            args=_ARGUMENTS,
            viewport={"width": 1280, "height": 720},
            accept_downloads=True,
        )
        context.set_default_timeout(45_000)
        yield context
        context.close()


@pytest.fixture
def page(browser, viewer):
    """A page on the shared viewer, with the sample open; fails on script errors and on requests to elsewhere."""
    yield from _checked_page(browser, viewer)


def _checked_page(browser, running):
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: outside(request.url, running.origin) and faults.append(request.url))
    page.goto(running.address)
    page.wait_for_selector("[data-test=assess]:enabled")
    yield page
    page.close()
    assert faults == []


@pytest.fixture
def open_page(browser):
    """Opens a checked page on any running viewer."""
    pages = []

    def open_(running):
        pages.append(_checked_page(browser, running))
        return next(pages[-1])

    yield open_
    for one in pages:
        next(one, None)


def outside(url: str, origin: str) -> bool:
    return not url.startswith((origin, origin.replace("http", "ws"), "blob:", "data:"))
