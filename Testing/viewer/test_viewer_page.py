"""If these fail, a reader sees something else than what was found, or cannot do the work in the browser."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import nibabel
import numpy as np
import pydicom
import pytest
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.colours import DIFFERENCE
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.reporting.measure_labels import MEASURE_WORDS
from CTQualityAssessmentLib.reporting.measure_words import value_text

from Testing.dicom_factory import body, write_series
from Testing.viewer.pictures import picture, picture_after, picture_when
from Testing.viewer.running import PATIENCE_S, ROOT, SAMPLE, start_viewer

# One server and one browser for all of them: starting these takes longer than most tests.
pytestmark = pytest.mark.xdist_group("viewer")
CANCEL = "[data-test=cancel]"
SCORE = "[data-test=score]"


def wait_here(page, index: int) -> None:
    page.wait_for_function(f"document.querySelector('[data-test=here]').textContent === '{index}'")


def assess(page) -> None:
    page.click("[data-test=assess]")
    page.wait_for_selector(SCORE)


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
    for _ in range(7):  # faster than pictures come: none is lost, and none comes later
        page.mouse.wheel(0, -100)
    wait_here(page, 22)
    page.mouse.wheel(0, 300)
    wait_here(page, 25)
    page.mouse.wheel(0, 9000)
    wait_here(page, 29)
    page.mouse.wheel(0, -9000)
    wait_here(page, 0)


def test_an_overlay_changes_the_patient_and_nothing_else(page):
    """The colours lie where the body is; the air keeps its pixels, and taking them away restores the picture."""
    if not page.locator(SCORE).count():
        assess(page)
    page.select_option("[data-test=overlay]", "quality")
    page.wait_for_selector("[data-test=legend]")
    page.keyboard.press("Home")
    wait_here(page, 0)

    def colour(one: np.ndarray) -> np.ndarray:
        """Of a piece of the patient beside the lines of the other views: grey has none."""
        row = one[one.shape[0] * 2 // 5, : one.shape[1] // 2][-60:-20]
        return np.ptp(row, axis=1)

    coloured = picture_when(page, lambda one: (colour(one) > 8).mean() > 0.9)
    page.select_option("[data-test=overlay]", "")
    bare = picture_when(page, lambda one: colour(one).max() == 0)
    changed = np.abs(coloured - bare).max(axis=2) > 8
    rows, columns = changed.shape
    assert not changed[: rows // 12, : columns // 4].any() and not changed[-rows // 12 :, : columns // 4].any()
    page.select_option("[data-test=overlay]", "quality")
    picture_when(page, lambda one: np.array_equal(one, coloured))
    page.fill("[data-test=opacity]", "0")
    picture_when(page, lambda one: np.abs(one - bare).max() <= 1)
    page.fill("[data-test=opacity]", "0.4")
    picture_when(page, lambda one: np.array_equal(one, coloured))
    page.fill("[data-test=threshold]", "0.1")  # only slices that are worse than this one
    picture_when(page, lambda one: np.array_equal(one, bare))
    page.fill("[data-test=threshold]", "4")
    picture_when(page, lambda one: np.array_equal(one, coloured))
    page.select_option("[data-test=overlay]", "")
    picture_when(page, lambda one: np.array_equal(one, bare))


def test_windows_change_the_picture_and_are_told(page):
    page.click("[data-test=window-soft-tissue]")
    page.wait_for_function("document.querySelector('[data-test=window]').textContent === 'W 350  L 40'")
    soft = picture(page)
    page.keyboard.press("2")
    page.wait_for_function("document.querySelector('[data-test=window]').textContent === 'W 1500  L -600'")
    picture_when(page, lambda one: np.abs(one - soft).mean() > 10)
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


def test_the_keys_do_what_the_mouse_does(page):
    """Slices, window, zoom, place, overlays, layouts and dialogs, for a reader who has no mouse."""
    page.keyboard.press("1")
    page.wait_for_function("document.querySelector('[data-test=window]').textContent === 'W 350  L 40'")
    page.keyboard.press(">")
    page.wait_for_function("document.querySelector('[data-test=window]').textContent === 'W 385  L 40'")
    page.keyboard.press(",")
    page.wait_for_function("document.querySelector('[data-test=window]').textContent === 'W 385  L 2'")
    page.keyboard.press("r")
    before = picture(page)
    page.keyboard.press("Shift+ArrowRight")
    moved = picture_when(page, lambda one: np.abs(one - before).mean() > 3)
    step = round(before.shape[1] / 10)
    row = before.shape[0] // 2 + 40  # beside the lines of the other views, which stay
    kept = moved[row, 20 : -step - 20] - before[row, 20 + step : -20]
    assert np.median(np.abs(kept)) < 5  # what was to the right has come nearer
    page.keyboard.press("z")
    picture_when(page, lambda one: np.abs(one - moved).mean() > 3)
    page.keyboard.press("r")
    picture_when(page, lambda one: np.abs(one - before).mean() < 1)
    page.keyboard.press("1")
    for dialog, opener in (("help-title", "[data-test=help]"), ("open-title", "[data-test=open]")):
        page.focus(opener)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"dialog[open] #{dialog}")
        assert page.evaluate("document.querySelector('dialog[open]').contains(document.activeElement)")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog[open]", state="detached")
    page.focus("[data-test=tab-model]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#details h2:text('Model card')")
    page.focus("[data-test=enlarge-upper]")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-test=large]", state="hidden")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-test=large]")
    spoken = page.locator("main").aria_snapshot()
    for words in ('img "Axial"', 'button "Show the Coronal view alone"', 'combobox "Model"', 'tab "Model" [selected]'):
        assert words in spoken, words
    page.click("[data-test=tab-slices]")


def drag(page, place, button, right, down) -> None:
    box = page.locator(f"[data-test={place}]").bounding_box()
    x, y = box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.6
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + right, y + down, steps=6)
    page.mouse.up(button=button)
    page.mouse.move(5, 5)


def test_the_mouse_does_what_the_help_says(page):
    """Window, pan, zoom, lines and the pointer that all views follow; and back to where it was."""
    page.keyboard.press("1")
    page.keyboard.press("r")
    before = picture(page)
    drag(page, "large", "middle", 40, 0)
    panned = picture_after(page, before)
    row = before.shape[0] // 2 + 40  # beside the lines of the other views
    kept = panned[row, 60:-20] - before[row, 20:-60]
    assert np.median(np.abs(kept)) < 5  # the patient went along with the pointer
    page.keyboard.press("r")
    picture_when(page, lambda one: np.abs(one - before).mean() < 1)
    page.keyboard.down("Shift")
    drag(page, "large", "left", 40, 0)
    page.keyboard.up("Shift")
    picture_after(page, before)
    page.keyboard.press("r")
    drag(page, "large", "right", 0, -150)
    zoomed = picture_after(page, before)

    def shown(one: np.ndarray) -> float:
        """Share of the view that is not air."""
        return (one.max(axis=2) > 60).mean()

    assert abs(shown(zoomed) - shown(before)) > 0.05
    page.keyboard.press("r")
    picture_when(page, lambda one: np.abs(one - before).mean() < 1)

    levels = page.inner_text("[data-test=window]")
    drag(page, "large", "left", 0, 50)
    page.wait_for_function("told => document.querySelector('[data-test=window]').innerText !== told", arg=levels)
    page.keyboard.press("1")
    page.wait_for_function("told => document.querySelector('[data-test=window]').innerText === told", arg=levels)

    page.keyboard.press("Home")  # with the pointer's last click in a view: Slicer's own keys must not act as well
    wait_here(page, 0)
    page.keyboard.press("ArrowDown")
    wait_here(page, 1)
    picture(page)
    assert page.inner_text("[data-test=here]") == "1"

    lines = page.locator("button:text-is('Lines')")

    with_lines = picture(page)
    lines.click()
    page.wait_for_selector("button:text-is('Lines')[aria-pressed=false]")
    taken_away = np.abs(picture(page) - with_lines).max(axis=2) > 5
    assert 100 < taken_away.sum() < 4 * sum(taken_away.shape)  # two lines, and nothing else
    lines.click()
    page.wait_for_selector("button:text-is('Lines')[aria-pressed=true]")
    picture_when(page, lambda one: np.array_equal(one, with_lines))

    here = page.inner_text("[data-test=here]")
    box = page.locator("[data-test=upper]").bounding_box()
    page.keyboard.down("Shift")
    for share in (0.4, 0.35, 0.3):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] * share)
    page.wait_for_function("told => document.querySelector('[data-test=here]').innerText !== told", arg=here)
    page.keyboard.up("Shift")
    page.keyboard.press("r")


def test_one_view_alone_and_back(page):
    """The view fills the space, and the way back shows the same pictures at the same scale."""
    before = picture(page)
    full = page.locator(".views").bounding_box()
    page.click("[data-test=enlarge-upper]")
    page.wait_for_selector("[data-test=large]", state="hidden")
    assert page.locator("[data-test=upper]").bounding_box() == full
    assert page.is_hidden("[data-test=lower]") and page.is_hidden("[data-test=second]")
    wait_size(page, "upper", full)
    page.keyboard.press("l")  # without a second volume there is no third layout
    page.wait_for_selector("[data-test=large]")
    after = picture(page)
    assert after.shape == before.shape and np.abs(after - before).mean() < 0.5


def wait_size(page, place, box) -> None:
    """Until the picture of a view has the size of its place on the page."""
    page.wait_for_function(
        """([place, width, height]) => {
            const shown = document.querySelector(`[data-test=${place}] img`);
            return Math.abs(shown.naturalWidth - width) < 3 && Math.abs(shown.naturalHeight - height) < 3;
        }""",
        arg=[place, box["width"], box["height"]],
    )


def pack(archive, slices, shift_hu=0):
    """Slices of the sample as a zip, all values higher by ``shift_hu``."""
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in slices:
            dataset = pydicom.dcmread(file)
            dataset.RescaleIntercept = float(dataset.RescaleIntercept) + shift_hu
            out = io.BytesIO()
            dataset.save_as(out)
            zipped.writestr(file.name, out.getvalue())
    return archive


def test_an_upload_is_read_and_its_copy_is_gone(page, viewer, tmp_path):
    """A zip as it comes from a colleague; rubbish is refused in words and leaves what was open."""
    rubbish = tmp_path / "rubbish.zip"
    rubbish.write_bytes(b"PK\x03\x04 nothing")
    page.set_input_files("[data-test=files]", rubbish)
    page.wait_for_selector("[data-test=error]")
    assert "no image" in page.inner_text("[data-test=error]")
    assert "30 slices" in page.inner_text("header .title")
    page.set_input_files("[data-test=files]", pack(tmp_path / "Doe^John.zip", sorted(SAMPLE.iterdir())[:6]))
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 6 slices')")
    assert page.locator("[data-test=error]").count() == 0 and "Doe" not in page.content()
    private = next(viewer.temporary.glob("ctqa-viewer-*"))
    assert not list(private.glob("upload-*")) and private.stat().st_mode & 0o077 == 0


_DROP = """(name) => {
    const transfer = new DataTransfer();
    if (name) transfer.items.add(new File(["x"], name));
    window.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
}"""


def test_a_drop_of_nothing_is_told(page):
    """As of an empty folder: else the user waits for a CT that never comes."""
    page.evaluate(_DROP, "")
    page.wait_for_selector("[data-test=error]")
    assert "No file" in page.inner_text("[data-test=error]")
    page.click("[data-test=error] button")
    page.wait_for_selector("[data-test=error]", state="detached")


def test_a_drop_while_something_goes_on_is_told(page):
    """Else the files seem to be taken."""
    page.route("**/upload", lambda route: None)  # the first one takes for ever
    page.evaluate(_DROP, "first.dcm")
    page.wait_for_selector("[data-test=progress]")
    page.evaluate(_DROP, "second.dcm")
    page.wait_for_selector("[data-test=error]")
    assert "busy" in page.inner_text("[data-test=error]")


def test_a_folder_is_uploaded_with_all_that_lies_in_it(page, viewer, tmp_path):
    """As chosen in the dialog: the images from folders below, and files that are none do not matter."""
    for n, file in enumerate(sorted(SAMPLE.iterdir())[:7]):
        folder = tmp_path / "Doe^John" / f"part {n % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    (tmp_path / "Doe^John" / "notes.txt").write_text("nothing")
    page.set_input_files("[data-test=folder]", tmp_path / "Doe^John")
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 7 slices')")
    page.wait_for_selector("[data-test=assess]:enabled")
    assert page.locator("[data-test=error]").count() == 0 and "Doe" not in page.content()
    assert not list(next(viewer.temporary.glob("ctqa-viewer-*")).glob("upload-*"))


def test_two_volumes_are_compared_slice_by_slice(page, tmp_path):
    """The same place in both, and exactly what one has more than the other: here 30 HU, in one slice less."""
    files = sorted(SAMPLE.iterdir())[:6]
    page.set_input_files("[data-test=files]", pack(tmp_path / "first.zip", files))
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 6 slices')")
    page.keyboard.press("c")  # there is nothing to compare with yet: it asks for it
    page.wait_for_selector("dialog[open]")
    page.set_input_files("[data-test=files]", pack(tmp_path / "second.zip", files[:5], shift_hu=30))
    page.wait_for_selector("[data-test=comparison]")
    assert page.inner_text("[data-test=whole]") == "mean +30.0 HU, SD 0.0 HU"
    assert "83%" in page.inner_text("[data-test=comparison-note]")
    page.click("[data-test=span-100]")
    page.keyboard.press("Home")
    wait_here(page, 0)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    wait_here(page, 2)
    box = page.locator("[data-test=second]").bounding_box()
    wait_size(page, "difference", box)
    shown = picture(page, "difference")
    rows, columns, _ = shown.shape
    expected = 255 * DIFFERENCE.rgb(201)[130]
    np.testing.assert_allclose(
        np.median(shown[rows // 2, columns // 2 - 20 : columns // 2 + 20], axis=0), expected, atol=6
    )
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -100)
    page.wait_for_function("document.querySelector('[data-test=here]').textContent !== '2'")
    before = picture(page)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.mouse.move(5, 5)
    picture_after(page, before)
    first, second = (picture(page, place).mean(axis=2) for place in ("large", "second"))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.98  # zoomed in one, and both show the same place
    page.click("[data-test=swap]")
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 5 slices')")
    page.wait_for_function("document.querySelector('[data-test=whole]')?.textContent.startsWith('mean -30.0 HU')")
    page.click("[data-test=uncompare]:enabled")
    page.wait_for_selector("[data-test=comparison]", state="detached")
    assert page.is_visible("[data-test=upper]")


def test_physical_measures_are_those_of_the_command(page, tmp_path):
    files = sorted(SAMPLE.iterdir())[:6]
    page.set_input_files("[data-test=files]", pack(tmp_path / "some.zip", files))
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 6 slices')")
    page.wait_for_selector("[data-test=assess]:enabled")
    page.keyboard.press("m")
    page.wait_for_selector("[data-test=measures] tbody tr")
    told = page.inner_text("[data-test=measures]")
    assert page.locator(".curve").count() == 0  # nothing of what was assessed before
    measures = measure_volume(read_volume(tmp_path / "some.zip"))
    for words in MEASURE_WORDS:
        assert value_text(words, measures.volume) in told, words.label
    page.click("[data-test=tab-save]")
    with page.expect_download() as download:
        page.click("[data-test='save-measures.csv']:enabled")
    with open(download.value.path(), encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 6
    assert page.locator("[data-test='save-scene.mrb']").count() == 0  # nothing was assessed


def drop(page, path) -> None:
    """Drag a file or folder onto the page and let it go."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})


def test_another_series_of_an_upload_can_be_chosen(page, viewer, tmp_path):
    """Both kernels in one zip: the reader chooses; the copy stays until something else is open, and no longer."""
    write_series(tmp_path / "a", body(4), ConvolutionKernel="B70f")
    write_series(tmp_path / "b", body(7), series_uid="1.2.3.4")
    archive = shutil.make_archive(tmp_path / "two", "zip", tmp_path)
    page.set_input_files("[data-test=files]", archive)
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 7 slices')")
    options = page.eval_on_selector_all("[data-test=series] option", "all => all.map(o => o.textContent)")
    assert len(options) == 2 and "7 slices" in options[0] and "B70f" in options[1]
    page.select_option("[data-test=series]:enabled", "2")
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 4 slices')")
    page.wait_for_selector("[data-test=assess]:enabled")
    private = next(viewer.temporary.glob("ctqa-viewer-*"))
    assert len(list(private.glob("upload-*"))) == 1
    (tmp_path / "dropped" / "deep").mkdir(parents=True)
    for file in sorted(SAMPLE.iterdir())[:2]:
        shutil.copy(file, tmp_path / "dropped" / "deep")
    drop(page, tmp_path / "dropped")  # a folder, as from a file manager
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 2 slices')")
    page.wait_for_selector("[data-test=series]", state="detached")
    page.wait_for_selector("[data-test=assess]:enabled")
    assert not list(private.glob("upload-*"))


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
    rubbish = tmp_path / "Doe.dcm"
    rubbish.write_bytes(b"no image at all")
    with start_viewer(models, tmp_path / "run", str(rubbish), "--upload-limit", "32") as running:
        page = open_page(running, "[data-test=error]")
        told = page.inner_text("[data-test=error]")
        assert "no image" in told and "Doe" not in page.content()
        # In the terminal too, for whoever has closed the tab.
        line = running.process.stdout.readline()
        assert line.startswith("Error: ") and line[7:].strip() in told and "Doe" not in line
        assert page.is_disabled("[data-test=assess]")
        page.set_input_files("[data-test=files]", long_volume)
        page.click("[data-test=assess]:enabled")
        page.wait_for_selector(".curve .point")
        (worker,) = running.workers()
        os.kill(worker, signal.SIGSTOP)  # however long this takes, the run is not over before it
        page.reload()
        page.wait_for_selector(CANCEL)
        page.wait_for_selector(".curve .point")
        assert "of 1500" in page.inner_text("[data-test=progress]")
        page.click(CANCEL)
        page.wait_for_function("document.querySelector('[data-test=progress]')?.textContent.includes('Cancelling')")
        os.kill(worker, signal.SIGCONT)
        page.wait_for_selector(SCORE)
        assert "Partial" in page.inner_text("[data-test=summary]")
        assert 0 < page.locator(".curve .point").count() < 1500
        large = tmp_path / "large.nii"
        with large.open("wb") as file:
            file.truncate(34 * 1024**2)
        page.wait_for_selector("[data-test=assess]:enabled")
        page.set_input_files("[data-test=files]", large)
        page.wait_for_selector("[data-test=error]")
        assert "limit of 32 MiB" in page.inner_text("[data-test=error]")
        page.click("[data-test=assess]")
        page.wait_for_selector(CANCEL)
        os.kill(worker, signal.SIGKILL)
        page.wait_for_function("document.querySelector('[data-test=error]')?.textContent.includes('unexpectedly')")
        assert "Partial" in page.inner_text("[data-test=summary]")  # the result before is still there
        page.click("[data-test=assess]:enabled")
        page.wait_for_selector(CANCEL)
        page.wait_for_selector(".curve .point")
        workers = running.workers()
        assert workers and workers != [worker]
        page.goto("about:blank")
    deadline = time.monotonic() + PATIENCE_S
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


def test_a_folder_of_results_opens_with_its_result(models, tmp_path, open_page):
    """What `make run` does: the finished assessment, its overlays and its facts, without assessing again."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "CTQualityAssessment"), "CTQA_MODELS": str(models)}
    code = "from CTQualityAssessmentLib.cli import main; main()"
    command = [sys.executable, "-c", code, "assess", str(SAMPLE), "--out", str(tmp_path / "out"), "--model", "tiny"]
    subprocess.run([*command, "--no-figures"], env=environment, check=True, capture_output=True)
    with start_viewer(models, tmp_path / "run", str(tmp_path / "out"), "--compare", str(SAMPLE)) as running:
        page = open_page(running)
        page.wait_for_selector(SCORE)
        written = json.loads((tmp_path / "out" / "assessment.json").read_text())
        assert page.inner_text(SCORE) == f"{written['summary']['mean']:.1f}"
        titles = page.eval_on_selector_all("[data-test=overlay] option", "all => all.map(o => o.textContent)")
        assert titles == ["None", "Quality", *(f"Attention {t} stage 3" for t in ("scan", "read", "focus"))]
        page.click("[data-test=tab-facts]")
        assert "120 kV" in page.inner_text("#details")
        page.click("[data-test=tab-physics]")
        assert "Global noise level" in page.inner_text("[data-test=measures]")  # measured by the command
        page.wait_for_selector("[data-test=comparison]")
        assert page.inner_text("[data-test=whole]") == "mean 0.0 HU, SD 0.0 HU"
    page.wait_for_selector(".lost")
    assert "The connection is lost" in page.inner_text(".lost")


@pytest.mark.parametrize(
    ("wrong", "code", "told"),
    [
        (["--model", "no-such-model"], 1, "no model of that name"),
        (["Doe/missing"], 3, "no file or folder"),
        ([".", "--compare", "Doe/missing"], 3, "no file or folder"),
    ],
)
def test_a_wrong_start_ends_the_command_with_a_sentence(wrong, code, told, models, tmp_path):
    """Instead of another model taking its place, or a page that stays empty; and nothing is left behind."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "CTQualityAssessment"),
        "CTQA_MODELS": str(models),
        "TMPDIR": str(tmp_path),
    }
    command = [sys.executable, "-c", "from CTQualityAssessmentLib.cli import main; main()", "view", "--no-browser"]
    done = subprocess.run(
        [*command, *wrong], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == code and told in done.stderr and "Doe" not in done.stderr and done.stdout == ""
    assert not list(tmp_path.iterdir())
