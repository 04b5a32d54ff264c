"""If these fail, a reader takes a denoised image for the original, or does not hear that it has lost lesions."""

from __future__ import annotations

import html
import json
import os
import re
import signal

import nibabel
import numpy as np
import pytest
import SimpleITK
import slicer
import slicer.util
from CTQualityAssessmentLib.assessment.denoising import blend, denoise_volume
from CTQualityAssessmentLib.denoising import Strength
from CTQualityAssessmentLib.models import load_denoiser
from CTQualityAssessmentLib.mrml.assessment_nodes import find_assessments
from CTQualityAssessmentLib.mrml.denoised_nodes import find_denoised, report_from_scene
from CTQualityAssessmentLib.mrml.scene import create_bare_scene, nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import load_scene
from CTQualityAssessmentLib.mrml.volume_nodes import ijk_to_world
from CTQualityAssessmentLib.reading import read_volume

from Testing.denoiser_factory import noisy_patient
from Testing.viewer.pictures import picture
from Testing.viewer.running import PATIENCE_S

pytestmark = pytest.mark.xdist_group("viewer")
READY = "[data-test=denoise]:enabled"


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """Four small slices with two lungs, as a file."""
    path = tmp_path_factory.mktemp("patient") / "patient.nii.gz"
    nibabel.save(nibabel.Nifti1Image(noisy_patient(4, 192).T, np.diag([-1.7, -1.7, 3.0, 1.0])), path)
    return path


def open_patient(page, patient) -> None:
    page.set_input_files("[data-test=files]", patient)
    page.wait_for_function("document.querySelector('header .title')?.textContent.startsWith('CT, 4 slices')")
    page.wait_for_selector("[data-test=assess]:enabled")
    page.keyboard.press("d")
    page.select_option("[data-test=denoiser]", "quiet")


def denoise(page) -> None:
    page.click(READY)
    look(page)


def look(page) -> None:
    """Until everything was looked at; the worker may have to load its libraries first."""
    page.wait_for_selector("[data-test=guard] li", timeout=5 * PATIENCE_S * 1000)
    page.wait_for_selector(READY)


def saved(page, name):
    with page.expect_download() as download:
        page.click(f"[data-test='save-{name}']:enabled")
    assert download.value.suggested_filename == name
    return download.value.path()


def test_denoise_hear_of_lost_lesions_flip_compare_and_save(page, viewer, models, patient, tmp_path):
    """The whole way of a reader; the saved volume is that of the library, voxel by voxel."""
    open_patient(page, patient)
    before = picture(page)
    assert "Untrained weights" in page.inner_text("[data-test=denoising] .statement")
    page.check("[data-test=findings]")
    denoise(page)
    flags = page.locator("[data-test=guard] .flag")
    assert flags.count() == 2 and flags.first.inner_text().startswith("⚑ RED FLAG: Lesion signal kept 8")
    table = page.inner_text("[data-test=before-after]")
    for words in ("Global noise level", "NPS mean frequency", "Edge sharpness"):
        assert words in table
    assert "muscle" in page.inner_text("[data-test=bias]") and page.locator("[data-test=boxes]").count() == 1

    assert np.array_equal(picture(page), before)  # the original is in view until the reader asks
    page.keyboard.press("f")
    page.wait_for_function("document.querySelector('[data-test=name-large]').textContent.startsWith('Axial, denoised')")
    after = picture(page)
    changed = np.abs(after - before).max(axis=2) > 2
    rows, columns = changed.shape
    assert changed[rows // 3 : -rows // 3, columns // 3 : -columns // 3].mean() > 0.2
    assert not changed[: rows // 12].any()  # air
    page.click("[data-test=flip]")
    page.wait_for_function("!document.querySelector('[data-test=name-large]').textContent.includes('denoised')")
    assert np.array_equal(picture(page), before)

    original = read_volume(patient)
    expected = denoise_volume(original, load_denoiser(models / "quiet", "cpu")).volume
    stored = SimpleITK.ReadImage(str(saved(page, "denoised.nrrd").rename(tmp_path / "denoised.nrrd")))
    assert np.array_equal(SimpleITK.GetArrayFromImage(stored), expected.hu)
    np.testing.assert_allclose(stored.GetSpacing(), original.spacing)
    report = json.loads(saved(page, "denoising.json").read_text())
    assert report["strength"] == {"lung": 1.0, "soft_tissue": 1.0, "bone": 1.0} and report["retention"][0]["flagged"]

    page.click("[data-test=beside]")
    page.wait_for_selector("[data-test=comparison] h2:text('Denoised minus original')")
    assert page.inner_text("[data-test=name-second]") == "Denoised" and page.is_disabled("[data-test=flip]")
    sd_hu = float(re.search(r"SD ([\d.]+) HU", page.inner_text("[data-test=whole]"))[1])
    narrowest = next((span for span in (10, 20, 50) if 3 * sd_hu <= span), 100)  # else faint anatomy in it is not seen
    page.wait_for_selector(f"[data-test=span-{narrowest}][aria-pressed=true]")
    assert page.locator("[data-test=swap]").count() == 0  # the scorer was never trained on denoised images
    assert picture(page, "second").shape == picture(page, "difference").shape

    # Another strength, with the process stopped that has the network.
    (worker,) = viewer.workers()
    os.kill(worker, signal.SIGSTOP)
    try:
        for tissue in ("lung", "soft", "bone"):
            told = page.inner_text("[data-test=denoised] h2")
            page.fill(f"[data-test=strength-{tissue}]", "0")
            page.wait_for_function(
                "told => document.querySelector('[data-test=denoised] h2').innerText !== told", arg=told
            )
            page.wait_for_selector(READY)
        page.wait_for_function("document.querySelector('[data-test=whole]')?.textContent === 'mean 0.0 HU, SD 0.0 HU'")
        page.wait_for_selector("[data-test=span-10][aria-pressed=true]")
        page.fill("[data-test=strength-soft]", "40")
        page.wait_for_selector("[data-test=denoised] h2:text('soft tissue 40 %')")
        page.wait_for_selector("[data-test=unexamined]")
        page.wait_for_selector(READY)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert page.locator("[data-test=guard] li").count() == 0  # what was told is not true of this strength
    stored = SimpleITK.ReadImage(str(saved(page, "denoised.nrrd").rename(tmp_path / "weaker.nrrd")))
    weaker = blend(original, expected, Strength(0.0, 0.4, 0.0))
    assert np.array_equal(SimpleITK.GetArrayFromImage(stored), weaker.hu)
    report = json.loads(saved(page, "denoising.json").read_text())
    assert report["strength"]["soft_tissue"] == 0.4 and report["retention"] == [] and report["measures"] is None
    page.click("[data-test=examine]")
    look(page)

    page.reload()
    page.wait_for_selector("[data-test=assess]:enabled")
    page.keyboard.press("d")
    page.wait_for_selector("[data-test=guard] li")
    assert page.input_value("[data-test=strength-soft]") == "40"
    page.click("[data-test=uncompare]")
    page.wait_for_selector("[data-test=comparison]", state="detached")
    assert page.locator("[data-test=denoised]").count() == 1


def test_report_and_scene_of_an_assessed_volume_hold_what_denoising_did(page, models, patient, tmp_path):
    """Else a report in a file praises the original, and what its denoised copy has lost stands elsewhere."""
    open_patient(page, patient)
    page.click("[data-test=assess]")
    page.click("[data-test=tab-save]")
    page.wait_for_selector("[data-test='save-index.html']:enabled")
    assert "RED FLAG" not in saved(page, "index.html").read_text()  # nothing was denoised yet
    page.keyboard.press("d")
    assert page.input_value("[data-test=denoiser]") == "quiet"  # what was chosen before the other tab
    denoise(page)
    told = page.inner_text("[data-test=guard] .flag >> nth=0").removeprefix("⚑ ")
    page.select_option("[data-test=overlay]", "quality")
    assert "of the original" not in page.inner_text("[data-test=legend]")
    page.keyboard.press("f")
    page.wait_for_selector("[data-test=legend] b:text('Quality of the original')")  # the denoised one has no score
    page.keyboard.press("f")
    page.wait_for_selector("[data-test=legend] b:text-is('Quality')")
    page.click("[data-test=tab-save]")
    text = saved(page, "index.html").read_text()
    assert told in html.unescape(text) and 'id="denoising"' in text

    bare = create_bare_scene()
    load_scene(bare.scene, saved(page, "scene.mrb").rename(tmp_path / "scene.mrb"))
    (source,) = (
        one for one in nodes_of_class(bare.scene, "vtkMRMLScalarVolumeNode") if find_assessments(bare.scene, one)
    )
    nodes = find_denoised(bare.scene, source)
    original = read_volume(patient)
    expected = denoise_volume(original, load_denoiser(models / "quiet", "cpu")).volume
    off = slicer.util.arrayFromVolume(nodes.volume).astype(int) - expected.hu
    assert not off.any(), f"{np.count_nonzero(off)} of {off.size} voxels differ, by up to {np.abs(off).max()} HU"
    assert np.array_equal(slicer.util.arrayFromVolume(source), original.hu)
    np.testing.assert_allclose(ijk_to_world(nodes.volume), ijk_to_world(source))
    report = report_from_scene(nodes)
    assert report.retention[0].flagged and report.result_sha256 == expected.voxel_sha256() and nodes.table is not None


def test_a_cancelled_denoising_says_so_and_leaves_nothing(page, viewer, patient):
    open_patient(page, patient)
    assert page.locator("[data-test=denoised]").count() == 0  # opened anew: that of the volume before is gone
    workers = viewer.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        page.click(READY)
        page.click("[data-test=cancel]")
        page.wait_for_function("document.querySelector('[data-test=progress]')?.textContent.includes('Cancelling')")
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    page.wait_for_selector("[data-test=error]")
    assert "cancelled" in page.inner_text("[data-test=error]")
    assert page.locator("[data-test=denoised]").count() == 0 and page.is_enabled(READY)
    private = next(viewer.temporary.glob("ctqa-viewer-*"))
    assert not [folder for folder in private.glob("kept-*") if (folder / "denoised.npy").exists()]
