"""The sample: a valid DICOM series whose truth lies at the right slices, and whose shipped copy is unharmed."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from CTQualityAssessmentLib.reading import read_volume
from scipy import ndimage
from scipy.stats import spearmanr

from Training.data.surrogate import CHOSEN_FIDELITY, SurrogateScore
from Training.sample import DEFAULT_FOLDER, DOSE_STEPS_PERCENT, acquisition_plan, build_sample, fill_scores

MINI = {"seed": 3, "slices": 10, "size": 72, "spacing_mm": 5.5, "thickness_mm": 20.0}
#: Type 1 attributes of CT Image Storage (PS3.3 A.3) must have a value, type 2 must be there.
TYPE_1 = (
    "StudyInstanceUID SeriesInstanceUID Modality FrameOfReferenceUID SOPClassUID SOPInstanceUID InstanceNumber "
    "ImageType PixelSpacing ImageOrientationPatient ImagePositionPatient SamplesPerPixel PhotometricInterpretation "
    "Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation RescaleIntercept RescaleSlope PixelData "
    "PatientPosition"
).split()
TYPE_2 = (
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID "
    "AccessionNumber SeriesNumber PositionReferenceIndicator Manufacturer KVP AcquisitionNumber SliceThickness"
).split()


@pytest.fixture(scope="module")
def mini(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "mini"
    build_sample(folder, **MINI)
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_headers_are_complete_and_say_that_it_is_simulated(mini, monkeypatch):
    """A PACS or Slicer's DICOM database would refuse, or take for a patient, what is less."""
    monkeypatch.setattr(pydicom.config.settings, "reading_validation_mode", pydicom.config.RAISE)
    for path in sorted((mini / "dicom").iterdir()):
        dataset = pydicom.dcmread(path)
        assert all(dataset.get(keyword) not in (None, "") for keyword in TYPE_1)
        assert all(keyword in dataset for keyword in TYPE_2)
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert dataset.ImageType == ["DERIVED", "PRIMARY", "AXIAL"] and dataset.DerivationDescription == "simulated"
        assert dataset.PatientID == "CTQA-PHANTOM" and dataset.SyntheticData == "YES"
        assert dataset.BodyPartExamined == "ABDOMEN" and dataset.ConvolutionKernel == "HANN"
        list(dataset)  # converts, and so validates, every element


def test_truth_is_aligned_with_the_volume_by_position(mini):
    """Numbered from head to feet but read from feet to head: a mix-up would turn the sample's correlation round."""
    volume = read_volume(mini)
    truth = rows_of(mini)
    assert [int(row["index"]) for row in truth] == list(range(volume.slice_count))
    for row in truth:
        dataset = pydicom.dcmread(mini / "dicom" / row["file"])
        index = int(row["index"])
        assert volume.slice_centre_ras(index)[2] == pytest.approx(float(row["z_mm"]))
        assert dataset.ImagePositionPatient[2] == pytest.approx(float(row["z_mm"]))
        pixels = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        assert np.array_equal(pixels, volume.canonical_slices().hu[index])
        assert float(row["dose"]) == pytest.approx(dataset.Exposure / 200)
        assert float(row["dose"]) == pytest.approx(dataset.XRayTubeCurrent / 400)
        assert float(row["dose"]) == pytest.approx(dataset.CTDIvol / 14, abs=1e-3)


def test_plan_covers_every_dose_and_has_one_streak_region():
    plan = acquisition_plan(30)
    assert [round(100 * dose) for dose, _ in plan][::-3] == list(DOSE_STEPS_PERCENT)
    reduced = [i for i, (_, views) in enumerate(plan) if views < 720]
    assert reduced == list(range(reduced[0], reduced[-1] + 1)) and len(reduced) >= 5
    assert {views for _, views in plan} == {720, 360, 180}


def test_same_seed_same_bytes(mini, tmp_path):
    """A rebuilt sample must be the shipped one, or its checksums and every figure made from it are void."""
    build_sample(tmp_path / "again", **MINI)
    for path in (p for p in mini.rglob("*") if p.is_file()):
        assert (tmp_path / "again" / path.relative_to(mini)).read_bytes() == path.read_bytes()


def test_scores_are_filled_in_without_touching_the_images(tmp_path):
    """A new surrogate must not cost a new sample: 4 MB more in every clone."""
    build_sample(tmp_path / "copy", **{**MINI, "slices": 2})
    before = {path: path.read_bytes() for path in (tmp_path / "copy" / "dicom").iterdir()}
    surrogate = SurrogateScore(CHOSEN_FIDELITY, (0.0, 100.0), (0.0, 4.0))
    scores = fill_scores(tmp_path / "copy", surrogate)
    rows = rows_of(tmp_path / "copy")
    assert scores == [float(row["surrogate_score"]) for row in rows]
    assert scores == pytest.approx([float(row["fidelity"]) / 25 for row in rows], abs=1e-3)
    assert before == {path: path.read_bytes() for path in (tmp_path / "copy" / "dicom").iterdir()}
    with pytest.raises(ValueError, match="surrogate needs"):
        fill_scores(tmp_path / "copy", SurrogateScore("another", (0.0, 1.0), (0.0, 4.0)))


def test_another_folder_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError):
        build_sample(tmp_path, **MINI)
    assert (tmp_path / "thesis.txt").exists()


def test_shipped_sample_is_what_its_truth_says():
    """A damaged or half-updated sample would give figures that nobody can reproduce."""
    truth = json.loads((DEFAULT_FOLDER / "truth.json").read_text(encoding="utf-8"))
    files = {path.name: path for path in (DEFAULT_FOLDER / "dicom").iterdir()}
    assert set(files) == set(truth["sha256"]) and len(files) >= 24
    for name, digest in truth["sha256"].items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest
    rows = rows_of(DEFAULT_FOLDER)
    assert [(row["file"], row["dose"]) for row in rows] == [(r["file"], str(r["dose"])) for r in truth["slices"]]
    assert [(r["dose"], r["views"]) for r in truth["slices"]] == acquisition_plan(len(rows))
    assert sum(path.stat().st_size for path in DEFAULT_FOLDER.rglob("*") if path.is_file()) <= 8e6


def test_shipped_pixels_follow_the_plan():
    """If noise did not rise as the dose falls, or streaks were missing, a score could not be proven on the sample."""
    rows = rows_of(DEFAULT_FOLDER)
    hu = read_volume(DEFAULT_FOLDER / "dicom").canonical_slices().hu
    noise = {}
    for row in rows:
        slice_ = hu[int(row["index"])].astype(np.float32)
        inside = ndimage.binary_erosion((slice_ > -150) & (slice_ < 250), iterations=2)
        detail = np.abs(slice_ - ndimage.gaussian_filter(slice_, 2.0))[inside]
        noise[int(row["index"])] = np.median(detail)
    full = [row for row in rows if row["views"] == "720"]
    assert spearmanr([float(r["dose"]) for r in full], [noise[int(r["index"])] for r in full]).statistic < -0.95
    assert spearmanr(*np.transpose([(float(r["dose_view_score"]), float(r["fidelity"])) for r in rows])).statistic > 0.9
    few = [noise[int(row["index"])] for row in rows if row["views"] == "180"]
    assert min(few) > 1.3 * max(noise[int(row["index"])] for row in full if float(row["dose"]) >= 0.28)
