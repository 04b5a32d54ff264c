"""The shipped networks on a few slices: if these fail, two people get two answers for one patient."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from CTQualityAssessmentLib.assessment import assess_volume
from CTQualityAssessmentLib.assessment.denoising import denoise_volume
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, load_bundle, load_denoiser
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.volume import Volume

from Testing.dicom_factory import write_series
from Testing.hardness.forks import Server

SAMPLE = Path(__file__).resolve().parents[2] / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"
TOLERANCE = 1e-4
pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture(scope="module")
def volume() -> Volume:
    """Three slices of the shipped sample, of different dose."""
    sample = read_volume(SAMPLE)
    return replace(sample, hu=np.ascontiguousarray(sample.hu[[2, 17, 28]]), exposures=())


@contextmanager
def threads(number: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", [DEFAULT_BUNDLE, "tfkt-compact-simulated"])
def test_batch_threads_and_order_of_slices_do_not_change_scores(volume, name):
    model = load_bundle(name, "cpu")
    with threads(1):
        first = assess_volume(volume, model, attention_stages=(3,))
        again = assess_volume(volume, model, attention_stages=(3,))
        assert np.isfinite(first.scores()).all() and np.array_equal(first.scores(), again.scores())
        for one, other in zip(first.attention, again.attention, strict=True):
            assert np.array_equal(one.values, other.values)
        whole = assess_volume(volume, model, batch_size=3).scores()
        turned = assess_volume(replace(volume, hu=np.ascontiguousarray(volume.hu[::-1])), model).scores()[::-1]
    with threads(3):
        more = assess_volume(volume, model).scores()
    for other in (whole, turned, more):
        assert np.abs(first.scores() - other).max() < TOLERANCE
    alone = [float(assess_volume(replace(volume, hu=volume.hu[k : k + 1]), model).scores()[0]) for k in range(3)]
    assert np.abs(first.scores() - alone).max() < TOLERANCE


def test_the_denoiser_gives_the_same_voxels(volume):
    model = load_denoiser(device="cpu")
    one = replace(volume, hu=volume.hu[1:2])
    with threads(1):
        first, again = denoise_volume(one, model).volume.hu, denoise_volume(one, model).volume.hu
    with threads(3):
        other = denoise_volume(one, model).volume.hu
    assert np.array_equal(first, again) and not np.array_equal(first, one.hu)
    assert np.abs(first.astype(int) - other).max() <= 1  # whole HU: a rounding may fall to either side


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks")
def test_two_runs_of_the_command_write_the_same_files(volume, tmp_path):
    """In two processes; only how long it took, and the times and numbers of new DICOM objects, may differ."""
    spacing = (float(volume.spacing[1]), float(volume.spacing[0]))
    write_series(tmp_path / "ct", volume.hu, step=(0, 0, 5.0), pixel_spacing=spacing, series_uid="1.2.3.4")
    server = Server({})
    try:
        runs = [server.start("assess", tmp_path / "ct", "--out", tmp_path / str(n), "--dicom") for n in range(2)]
        assert [one.finish().code for one in runs] == [0, 0]
    finally:
        server.close()
    first, second = tmp_path / "0", tmp_path / "1"
    names = sorted(path.name for path in first.iterdir())
    assert names == sorted(path.name for path in second.iterdir()) and "scene.mrb" in names and "report.dcm" in names
    different = [name for name in names if content(first / name) != content(second / name)]
    assert different == []


def content(path: Path) -> object:
    """What must be the same in a file."""
    if path.name == "assessment.json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key != "timings_s"}
    if path.suffix == ".mrb":
        with zipfile.ZipFile(path) as bundle:
            return {name: untimed(name, bundle.read(name)) for name in bundle.namelist()}
    if path.suffix == ".dcm":
        import pydicom

        dataset = pydicom.dcmread(io.BytesIO(path.read_bytes()))
        told = [str(element) for element in dataset if element.tag.group in (0x0018, 0x0020, 0x0028)]
        told = [line for line in told if "UID" not in line and "Date" not in line and "Time" not in line]
        return told, bytes(dataset.get("FloatPixelData", b"")), len(dataset.get("ContentSequence", []))
    return untimed(path.name, path.read_bytes())


def untimed(name: str, found: bytes) -> bytes:
    """Without the seconds that a run took."""
    import re

    if name.endswith(".html"):
        found = re.sub(rb"\b(read|prepare|network|total|measures) \d+\.\d+", b"", found)
    if name.endswith((".mrml", ".html", ".json", ".txt")):
        found = re.sub(rb'\d+(\.\d+)? s\b|(&quot;|")seconds(&quot;|"): ?[\d.e-]+', b"", found)
        found = re.sub(rb'(&quot;|")timings_s(&quot;|"): ?\{[^}]*\}', b"", found)
    return found
