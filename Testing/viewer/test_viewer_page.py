"""If these fail, a reader sees something else than what was found, or cannot do the work in the browser."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import nibabel
import numpy as np
import pytest
from PIL import Image

from Testing.viewer.running import ROOT, SAMPLE, start_viewer

CANCEL = "[data-test=cancel]"
SCORE = "[data-test=score]"


def here(page) -> int:
    return int(page.inner_text("[data-test=here]"))


def wait_here(page, index: int) -> None:
    page.wait_for_function(f"document.querySelector('[data-test=here]').textContent === '{index}'")


def assess(page) -> None:
    page.click("[data-test=assess]")
    page.wait_for_selector(SCORE)


def picture(page) -> np.ndarray:
    """The large view's own picture, once it has come to rest (then it is a PNG), as integers, rows from the top."""
    seen = None
    for _ in range(80):
        time.sleep(0.25)
        before, seen = (
            seen,
            page.evaluate(
                """async () => {
                const shown = document.querySelector('[data-test=large] img');
                const canvas = new OffscreenCanvas(shown.naturalWidth, shown.naturalHeight);
                const context = canvas.getContext('2d');
                context.drawImage(shown, 0, 0);
                const blob = await canvas.convertToBlob({ type: 'image/png' });
                const bytes = new Uint8Array(await blob.arrayBuffer());
                return [window.blobTypes[shown.src], btoa(Array.from(bytes, (c) => String.fromCharCode(c)).join(''))];
            }"""
            ),
        )
        if before == seen and seen[0] == "image/png":
            return np.asarray(Image.open(io.BytesIO(base64.b64decode(seen[1]))).convert("RGB"), dtype=int)
    raise AssertionError(f"the picture did not come to rest: {seen[0]}")


def test_from_the_sample_to_a_score(page):
    """Open, assess, read the score and what it is worth, and find the same after a reload."""
    assert page.inner_text("header .title").startswith("CT, 30 slices, 512 x 512 x 30")
    assert "Untrained weights" in page.inner_text(".statement")
    assess(page)
    assert page.inner_text("[data-test=statement]").startswith("Simulated labels.")
    assert page.locator(".curve .point").count() == 30 == page.locator(".slices tbody tr").count()
    score = page.inner_text(SCORE)
    assert 0 <= float(score) <= 4
    page.reload()
    page.wait_for_selector(SCORE)
    assert page.inner_text(SCORE) == score and "token" not in page.url


def test_a_point_a_row_and_the_walk_through_the_worst_move_the_views(page):
    if not page.locator(SCORE).count():
        assess(page)
    page.click(".curve .point[data-slice='3']")
    wait_here(page, 3)
    page.click(".slices tbody tr[data-slice='5']")
    wait_here(page, 5)
    page.click(".slices th:nth-child(2) button")
    by_score = [int(n) for n in page.eval_on_selector_all(".slices tbody tr", "all => all.map(r => r.dataset.slice)")]
    page.keyboard.press("n")
    wait_here(page, by_score[0])
    page.click("[data-test=worse-next]")
    wait_here(page, by_score[1])
    page.keyboard.press("b")
    wait_here(page, by_score[0])
    page.keyboard.press("End")
    wait_here(page, 29)
    box = page.locator("[data-test=large]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, 100)
    wait_here(page, 28)


def test_an_overlay_changes_the_patient_and_nothing_else(page):
    """The colours lie where the body is; the air keeps its pixels, and taking them away restores the picture."""
    if not page.locator(SCORE).count():
        assess(page)
    page.select_option("[data-test=overlay]", "")
    page.keyboard.press("Home")
    wait_here(page, 0)
    bare = picture(page)
    page.select_option("[data-test=overlay]", "quality")
    page.wait_for_selector("[data-test=legend]")
    coloured = picture(page)
    changed = np.abs(coloured - bare).max(axis=2) > 8
    rows, columns = changed.shape
    assert changed[rows // 2, columns // 2 - 60 : columns // 2 - 20].mean() > 0.9
    assert not changed[: rows // 12, : columns // 4].any() and not changed[-rows // 12 :, : columns // 4].any()
    page.fill("[data-test=opacity]", "0")
    assert np.abs(picture(page) - bare).max() <= 1
    page.fill("[data-test=opacity]", "0.4")
    assert np.array_equal(picture(page), coloured)
    page.select_option("[data-test=overlay]", "")
    assert np.array_equal(picture(page), bare)


def test_windows_change_the_picture_and_are_told(page):
    page.click("[data-test=window-soft-tissue]")
    page.wait_for_function("document.querySelector('[data-test=window]').textContent === 'W 350  L 40'")
    soft = picture(page)
    page.keyboard.press("2")
    page.wait_for_function("document.querySelector('[data-test=window]').textContent === 'W 1500  L -600'")
    assert np.abs(picture(page) - soft).mean() > 10
    box = page.locator("[data-test=large]").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 200, steps=8)
    page.mouse.up()
    page.wait_for_function("!document.querySelector('[data-test=window]').textContent.startsWith('W 1500')")
    page.keyboard.press("1")


def test_the_results_are_saved_as_shown(page):
    """Each file arrives whole, says what the page says, and names nobody."""
    if not page.locator(SCORE).count():
        assess(page)
    page.click("[data-test=tab-save]")
    files = {}
    for name in ("slices.csv", "assessment.json", "index.html", "scene.mrb"):
        with page.expect_download() as download:
            page.click(f"[data-test='save-{name}']:enabled")
        assert download.value.suggested_filename == name
        files[name] = open(download.value.path(), "rb").read()
    rows = list(csv.DictReader(io.StringIO(files["slices.csv"].decode())))
    document = json.loads(files["assessment.json"])
    assert len(rows) == 30 and f"{document['summary']['mean']:.1f}" == page.inner_text(SCORE)
    assert b"Untrained weights" in files["index.html"] and b"data:image/png" in files["index.html"]
    names = zipfile.ZipFile(io.BytesIO(files["scene.mrb"])).namelist()
    assert any(n.endswith(".mrml") for n in names) and any("Attention" in n for n in names)


def test_help_lists_the_keys_and_every_control_has_a_name(page):
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    assert "worst" in page.inner_text("dialog[open]")
    page.keyboard.press("Escape")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('button, select, input')].filter((one) =>
            !(one.textContent.trim() || one.ariaLabel || one.title || (one.labels && one.labels.length))).length"""
    )
    assert unnamed == 0


def test_an_upload_is_read_and_its_copy_is_gone(page, viewer, tmp_path):
    """A zip as it comes from a colleague; rubbish is refused in words and leaves what was open."""
    rubbish = tmp_path / "rubbish.zip"
    rubbish.write_bytes(b"PK\x03\x04 nothing")
    page.set_input_files("[data-test=files]", rubbish)
    page.wait_for_selector("[data-test=error]")
    assert "no image" in page.inner_text("[data-test=error]")
    assert "30 slices" in page.inner_text("header .title")
    archive = tmp_path / "Doe^John.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in sorted(SAMPLE.iterdir())[:6]:
            zipped.write(file, file.name)
    page.set_input_files("[data-test=files]", archive)
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 6 slices')")
    assert page.locator("[data-test=error]").count() == 0 and "Doe" not in page.content()
    private = next(viewer.temporary.glob("ctqa-viewer-*"))
    assert not list(private.glob("upload-*")) and private.stat().st_mode & 0o077 == 0


@pytest.fixture
def long_volume(tmp_path):
    """Many small slices: a run long enough to be caught in the middle."""
    rng = np.random.default_rng(0)
    disc = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, 64)] * 2)) < 0.8
    hu = np.where(disc[:, :, None], 40, -1000) + rng.normal(0, 20, (64, 64, 1500)) * disc[:, :, None]
    path = tmp_path / "long.nii.gz"
    nibabel.save(nibabel.Nifti1Image(hu.astype(np.int16), np.diag([-5.0, -5.0, 1.0, 1.0])), path)
    return path


def test_a_run_survives_a_reload_is_cancelled_and_ends_with_the_program(models, long_volume, tmp_path, open_page):
    """Rows come while it runs; a reload loses nothing; cancelling keeps what is there; nothing is left behind."""
    with start_viewer(models, tmp_path / "run", str(long_volume), "--upload-limit", "1") as running:
        page = open_page(running)
        page.click("[data-test=assess]")
        page.wait_for_selector(".curve .point")
        page.reload()
        page.wait_for_selector(CANCEL)
        page.wait_for_selector(".curve .point")
        assert "of 1500" in page.inner_text("[data-test=progress]")
        page.click(CANCEL)
        page.wait_for_selector(SCORE)
        assert "Partial" in page.inner_text("[data-test=summary]")
        assert 0 < page.locator(".curve .point").count() < 1500
        large = tmp_path / "large.nii"
        large.write_bytes(bytes(3 * 1024**2))
        page.set_input_files("[data-test=files]", large)
        page.wait_for_selector("[data-test=error]")
        assert "limit" in page.inner_text("[data-test=error]")
        page.click("[data-test=assess]")
        page.wait_for_selector(CANCEL)
        (killed,) = running.workers()
        os.kill(killed, signal.SIGKILL)
        page.wait_for_function("document.querySelector('[data-test=error]')?.textContent.includes('unexpectedly')")
        assert "Partial" in page.inner_text("[data-test=summary]")  # the result before is still there
        page.click("[data-test=assess]")
        page.wait_for_selector(CANCEL)
        page.wait_for_selector(".curve .point")
        workers = running.workers()
        assert workers and workers != [killed]
        page.goto("about:blank")
    deadline = time.monotonic() + 8
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in workers)
    assert running.process.returncode == 0 and not list((tmp_path / "run").glob("ctqa-viewer-*"))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_path_that_cannot_be_read_is_told_in_the_page(models, tmp_path, browser):
    with start_viewer(models, tmp_path / "run", str(tmp_path / "Doe" / "missing")) as running:
        page = browser.new_page()
        page.goto(running.address)
        page.wait_for_selector("[data-test=error]")
        assert "no file or folder" in page.inner_text("[data-test=error]") and "Doe" not in page.content()
        assert page.is_disabled("[data-test=assess]")
        page.close()


def test_a_folder_of_results_opens_with_its_result(models, tmp_path, open_page):
    """What `make run` does: the finished assessment, its overlays and its facts, without assessing again."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "CTQualityAssessment"), "CTQA_MODELS": str(models)}
    code = "from CTQualityAssessmentLib.cli import main; main()"
    command = [sys.executable, "-c", code, "assess", str(SAMPLE), "--out", str(tmp_path / "out"), "--model", "tiny"]
    subprocess.run([*command, "--no-figures"], env=environment, check=True, capture_output=True)
    with start_viewer(models, tmp_path / "run", str(tmp_path / "out")) as running:
        page = open_page(running)
        page.wait_for_selector(SCORE)
        written = json.loads((tmp_path / "out" / "assessment.json").read_text())
        assert page.inner_text(SCORE) == f"{written['summary']['mean']:.1f}"
        titles = page.eval_on_selector_all("[data-test=overlay] option", "all => all.map(o => o.textContent)")
        assert titles == ["None", "Quality", *(f"Attention {t} stage 3" for t in ("scan", "read", "focus"))]
        page.click("[data-test=tab-facts]")
        assert "120 kV" in page.inner_text("#details")


def test_an_unknown_model_ends_the_command_instead_of_another_taking_its_place(models, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT / "CTQualityAssessment"), "CTQA_MODELS": str(models)}
    code = "from CTQualityAssessmentLib.cli import main; main()"
    command = [sys.executable, "-c", code, "view", "--no-browser", "--model", "no-such-model"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 1 and "no model of that name" in done.stderr
