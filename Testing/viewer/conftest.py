"""The true server, driven by a true browser. Without trame-slicer or chromium the tests are skipped, and say so."""

from __future__ import annotations

import importlib.util
import shutil

import pytest

from Testing.bundle_factory import write_bundle
from Testing.denoiser_factory import write_denoiser
from Testing.hardness.viewer import UPLOAD_LIMIT_MIB
from Testing.viewer.pictures import KNOW_PICTURES
from Testing.viewer.running import PATIENCE_S, SAMPLE, start_viewer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
HAS_SERVER = all(importlib.util.find_spec(name) is not None for name in ("slicer", "trame_slicer"))
collect_ignore_glob = [] if HAS_SERVER else ["test_*.py"]


def pytest_report_header():
    return None if HAS_SERVER else "Testing/viewer is left out: trame-slicer is not installed (extra 'mrml')"


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder / "tiny")
    write_denoiser(folder / "quiet", seed=5, gain=5)  # takes a fifth of a lesion away
    return folder


@pytest.fixture(scope="session")
def viewer(models, tmp_path_factory):
    """A viewer on the shipped sample, shared by the tests of a worker."""
    limit = ("--upload-limit", UPLOAD_LIMIT_MIB)
    with start_viewer(models, tmp_path_factory.mktemp("viewer"), str(SAMPLE), *limit) as running:
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
        context.set_default_timeout(PATIENCE_S * 1000)
        context.add_init_script(KNOW_PICTURES)
        yield context
        context.close()


@pytest.fixture
def page(browser, viewer):
    """A page on the shared viewer, with the sample open; fails on script errors and on requests to elsewhere."""
    yield from _checked_page(browser, viewer)


def _checked_page(browser, running, ready="[data-test=assess]:enabled"):
    page = browser.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: outside(request.url, running.origin) and faults.append(request.url))
    page.goto(running.address)
    page.wait_for_selector(ready)
    yield page
    page.close()
    assert faults == []


@pytest.fixture
def open_page(browser):
    """Opens a checked page on any running viewer, and waits for what it shall show first."""
    pages = []

    def open_(running, *ready):
        pages.append(_checked_page(browser, running, *ready))
        return next(pages[-1])

    yield open_
    for one in pages:
        next(one, None)


def outside(url: str, origin: str) -> bool:
    return not url.startswith((origin, origin.replace("http", "ws"), "blob:", "data:"))
