"""Physical measures come by themselves, in the background, and belong to the volume that is shown."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import qt
import slicer
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.assessment.measures.preview import spread_slices
from CTQualityAssessmentLib.mrml.volume_nodes import volume_from_node
from CTQualityAssessmentLib.panel.voxel_transfer import VoxelTransfer
from CTQualityAssessmentLib.volume import Volume

from Testing.assessment_factory import affine, make_volume


def body(slices=4, side=96, seed=1):
    """A noisy disc of muscle with a rim of fat, in air."""
    axis = np.linspace(-1, 1, side)
    radius = np.hypot(axis[:, None], axis)
    hu = np.where(radius < 0.75, np.where(radius < 0.6, 50.0, -100.0), -1000.0)
    hu = hu + np.random.default_rng(seed).normal(0, 15, (slices, side, side))
    return Volume(hu.astype(np.int16), affine(spacing=(3.0, 3.0, 5.0)))


def measuring(window):
    return window.panel.measures.measuring


def test_figures_appear_without_a_click_and_without_a_package(measures, window, monkeypatch):
    """The module is useful before anything is installed; a user who has to press a button first sees an empty panel."""
    monkeypatch.setattr(
        "CTQualityAssessmentLib.panel.assess_section.ensure_packages", lambda path: pytest.fail("asked")
    )
    node = window.add_volume(body())
    assert "Measuring" in window.ui.measuresStatusLabel.text
    window.wait(lambda: not measuring(window).busy)
    expected = measure_volume(volume_from_node(node)).volume
    assert f"{expected.noise_hu:.1f} HU" in window.ui.measuresLabel.text
    assert "n/a: " in window.ui.measuresLabel.text  # SSDE, with its reason
    assert "CTDIvol" in window.ui.measuresLabel.text
    assert not window.ui.measuresLabel.isHidden()
    assert window.ui.measuresStatusLabel.isHidden()


def test_the_worker_measures_without_torch(measures, window, monkeypatch):
    """The figures must not depend on an installation that may be broken."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([blocked(window.tmp), os.environ.get("PYTHONPATH", "")]))
    window.add_volume(body())
    window.wait(lambda: not measuring(window).busy)
    assert "HU" in window.ui.measuresLabel.text


def blocked(folder):
    for name in ("torch", "monai", "einops", "safetensors", "pydicom"):
        (folder / f"{name}.py").write_text("raise ImportError('not installed')")
    return str(folder)


def test_first_figures_come_from_a_few_slices(measures, window):
    window.add_volume(body(slices=160))
    window.wait(lambda: measuring(window).state.preview_slices)
    assert measuring(window).busy
    assert f"First figures, of {measuring(window).state.preview_slices} slices" in window.ui.measuresStatusLabel.text
    assert "HU" in window.ui.measuresLabel.text
    window.ui.inputSelector.setCurrentNode(None)
    assert not measuring(window).busy
    assert window.ui.measuresLabel.isHidden()


def test_figures_follow_the_choice_and_are_measured_once(measures, window):
    first = window.add_volume(body())
    window.wait(lambda: not measuring(window).busy)
    text = window.ui.measuresLabel.text
    window.add_volume(body(seed=2), "second")
    window.wait(lambda: not measuring(window).busy)
    assert window.ui.measuresLabel.text != text
    window.ui.inputSelector.setCurrentNode(first)
    assert window.ui.measuresLabel.text == text
    assert not measuring(window).busy


def test_changed_voxels_are_measured_anew(measures, window):
    """Figures of an image that is no longer there would be a lie."""
    node = window.add_volume(body())
    window.wait(lambda: not measuring(window).busy)
    text = window.ui.measuresLabel.text
    noise = np.random.default_rng(3).normal(0, 40, slicer.util.arrayFromVolume(node).shape)
    slicer.util.updateVolumeFromArray(node, (slicer.util.arrayFromVolume(node) + noise).astype(np.int16))
    window.panel.refresh()
    assert window.ui.measuresLabel.isHidden()
    window.wait(lambda: not measuring(window).busy)
    assert window.ui.measuresLabel.text not in ("", text)


def test_a_killed_process_is_told_and_leaves_no_folder(measures, window, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    window.add_volume(body(slices=160))
    window.wait(lambda: measuring(window).worker.python_id)
    os.kill(measuring(window).worker.python_id, signal.SIGKILL)
    window.wait(lambda: not measuring(window).busy)
    assert "ended unexpectedly" in window.ui.measuresStatusLabel.text
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("ctqa-")] == []


def test_nothing_is_left_running_when_the_module_closes(measures, window):
    window.add_volume(body(slices=160))
    window.wait(lambda: measuring(window).worker.python_id)
    process = measuring(window).worker.python_id
    window.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_handing_over_the_voxels_never_holds_the_window(tmp_path, module, window):
    """Each step runs between two events; a long one is a window that does not answer."""
    hu = np.zeros((64, 512, 512), np.uint16)
    hu[:, 100:400, 100:400] = 40000
    node = window.add_volume(Volume(np.zeros((64, 512, 512), np.int16), affine()))
    slicer.util.updateVolumeFromArray(node, hu)
    transfer = VoxelTransfer(node, tmp_path / "hu.npy")
    steps = 1
    while not transfer.step():
        steps += 1
    assert steps >= 8
    written = np.load(tmp_path / "hu.npy")
    assert written.dtype == np.float32
    assert np.array_equal(written, hu)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.float32, np.float64])
def test_the_worker_gets_the_voxels_that_an_assessment_gets(tmp_path, window, dtype):
    hu = np.arange(4 * 20 * 24).reshape(4, 20, 24) % 200
    node = window.add_volume(make_volume())
    slicer.util.updateVolumeFromArray(node, hu.astype(dtype))
    if np.issubdtype(dtype, np.signedinteger):
        slicer.util.arrayFromVolume(node)[0, 0, 0] = -3024  # padding
    transfer = VoxelTransfer(node, tmp_path / "hu.npy")
    while not transfer.step():
        pass
    expected = volume_from_node(node)
    written = np.load(tmp_path / "hu.npy")
    assert written.dtype == expected.hu.dtype
    assert np.array_equal(written, expected.hu)


def test_a_transfer_that_stops_half_way_leaves_no_file(tmp_path, window):
    node = window.add_volume(Volume(np.zeros((64, 512, 512), np.int16), affine()))
    transfer = VoxelTransfer(node, tmp_path / "hu.npy")
    transfer.step()
    assert not (tmp_path / "hu.npy").exists()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_spread_slices_lie_where_the_slices_of_the_volume_lie(axis):
    shape = [5, 6, 7]
    shape[2 - axis] = 40
    volume = Volume(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), affine(rotation_deg=(10, 5, 3)), axis)
    few = spread_slices(volume)
    assert 6 <= few.slice_count <= 8
    for k in range(few.slice_count):
        distances = [
            np.linalg.norm(np.subtract(volume.slice_centre_ras(n), few.slice_centre_ras(k))) for n in range(40)
        ]
        nearest = int(np.argmin(distances))
        assert distances[nearest] < 1e-6
        assert np.array_equal(np.take(few.hu, k, 2 - axis), np.take(volume.hu, nearest, 2 - axis))
    assert spread_slices(make_volume()) is None


def test_the_report_holds_the_measures_too(measures, window, tmp_path, monkeypatch):
    from CTQualityAssessmentLib.mrml.assessment_nodes import add_assessment

    from Testing.assessment_factory import make_assessment, make_body

    volume = body()
    node = window.add_volume(volume)
    window.wait(lambda: not measuring(window).busy)
    add_assessment(window.scene, node, make_assessment(volume), make_body(volume))
    window.panel.refresh()
    monkeypatch.setattr(
        "CTQualityAssessmentLib.panel.report_section.ask_for_folder", lambda parent: str(tmp_path / "r")
    )
    window.ui.exportButton.click()
    names = {file.name for file in (tmp_path / "r").iterdir()}
    assert names == {"assessment.json", "index.html", "measures.csv", "measures.json", "slices.csv"}
    assert json.loads((tmp_path / "r" / "measures.json").read_text())["volume"]["noise_hu"] > 5
    assert qt.QApplication.instance() is not None
