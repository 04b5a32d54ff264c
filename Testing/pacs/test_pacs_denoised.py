"""The denoised series goes back to a real Orthanc: whole, once, and not where the guard saw lesions go."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.records import Settings
from CTQualityAssessmentLib.models import DEFAULT_BUNDLE, DEFAULT_DENOISER, find_bundle
from CTQualityAssessmentLib.pacs.address import Patience, dimse_address, web_address
from CTQualityAssessmentLib.pacs.archive import open_archive
from CTQualityAssessmentLib.pacs.kinds import Denoiser
from CTQualityAssessmentLib.pacs.plan import plan_series
from CTQualityAssessmentLib.pacs.series import do_series
from CTQualityAssessmentLib.pacs.transfer import OURS

from Testing.denoiser_factory import noisy_patient, write_denoiser
from Testing.dicom_factory import enhanced_dataset, save, write_series
from Testing.pacs.filling import counted, everything, store
from Testing.pacs.orthanc import AET, OUR_AET

pytestmark = pytest.mark.xdist_group("orthanc")
FAST = Patience(timeout_s=20, tries=2)
WAYS = {
    "DICOMweb": lambda archive: web_address(archive.url, patience=FAST),
    "DIMSE": lambda archive: dimse_address(f"127.0.0.1:{archive.dicom}", OUR_AET, AET, patience=FAST),
}


def denoiser(models, strength=1.0, **weights):
    folder = write_denoiser(models / DEFAULT_DENOISER, **weights)
    return Denoiser(str(folder), find_bundle(folder).sha256, strength)


def run_once(where, output, send, wanted=None, retry=False):
    """What ``ctqa pacs score`` does, in this process; the outcome of each series and what was left of the plan."""
    settings = Settings(DEFAULT_BUNDLE, find_bundle(DEFAULT_BUNDLE).sha256, figures=False)
    with output.opened() as run, open_archive(where) as one:
        found = one.find({"Modality": "CT"})
        plan = plan_series(found, output, settings, send, retry, wanted)
        jobs = [entry.study for entry in plan if entry.study and not entry.record]
        done = [do_series(job, settings, where, str(output.path), run) for job in jobs]
    assert all(outcome.record for outcome in done), done
    return [outcome.record for outcome in done], plan


def faults(image, file):
    image.save_as(file, enforce_file_format=True)
    run = subprocess.run(["dciodvfy", file], capture_output=True, text=True, timeout=60, check=False)
    return {line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")}


@pytest.mark.parametrize("way", WAYS)
def test_the_derived_series_is_filed_whole_and_once(archive, models, tmp_path, way):
    """Half a series beside the original misleads its reader; a second one each night fills the archive; and a derived
    series that is fetched again would be denoised again."""
    store(archive, write_series(tmp_path / "ct", noisy_patient(3, 64)))
    where, output, wanted = WAYS[way](archive), BatchFolder(tmp_path / "out"), denoiser(models)
    (first,), _ = run_once(where, output, ["report", "denoised"], wanted)
    assert (first.state, first.reason, first.made) == (
        "scored",
        None,
        ("denoised " + wanted.sha256[:16] + " 1", "report"),
    )
    assert counted(archive) == {"CT": 6, "SR": 1}
    images = [one for one in everything(archive) if one.Modality == "CT"]
    sources = {one.SOPInstanceUID: one for one in images if one.ImageType[0] == "ORIGINAL"}
    derived = [one for one in images if one.ImageType[0] == "DERIVED"]
    assert len(sources) == len(derived) == 3
    assert len({one.SeriesInstanceUID for one in derived} - {one.SeriesInstanceUID for one in sources.values()}) == 1
    assert {one.SourceImageSequence[0].ReferencedSOPInstanceUID for one in derived} == set(sources)
    for one in derived:
        source = sources[one.SourceImageSequence[0].ReferencedSOPInstanceUID]
        for same in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID", "ImagePositionPatient", "RescaleSlope"):
            assert one[same].value == source[same].value
        assert one.PixelData != source.PixelData and wanted.sha256 in one.DerivationDescription
        if shutil.which("dciodvfy"):
            assert faults(one, tmp_path / "derived.dcm") <= faults(source, tmp_path / "source.dcm")
    again, plan = run_once(where, output, ["report", "denoised"], wanted)
    assert again == [] and sorted(entry.record.state for entry in plan) == ["scored", "skipped"]
    assert {entry.record.reason for entry in plan} == {None, OURS}


def test_what_the_guard_flags_is_held_back_with_its_reason(archive, models, tmp_path):
    """Nobody looks before it is filed: a series without its faint lesions would lie beside the patient's images."""
    store(archive, write_series(tmp_path / "ct", noisy_patient(2, 200, noise=5.0)))
    where, output = WAYS["DICOMweb"](archive), BatchFolder(tmp_path / "out")
    wanted = denoiser(models, seed=5, gain=5.0)
    (record,), _ = run_once(where, output, ["report", "denoised"], wanted)
    assert record.state == "scored" and record.reason.startswith("No denoised series: RED FLAG: Lesion signal kept")
    assert counted(archive) == {"CT": 2, "SR": 1} and not list(output.path.rglob("outbox"))
    assert (output.studies / record.name / "denoising.json").exists()
    assert run_once(where, output, ["report", "denoised"], wanted)[0] == []


def test_an_enhanced_series_gets_its_report_and_is_told_to_have_no_denoised_one(archive, models, tmp_path):
    """Its score would otherwise be lost with the series that cannot be written."""
    (tmp_path / "ct").mkdir()
    save(enhanced_dataset(noisy_patient(3, 64)), tmp_path / "ct" / "one.dcm")
    store(archive, [tmp_path / "ct" / "one.dcm"])
    where, output = WAYS["DICOMweb"](archive), BatchFolder(tmp_path / "out")
    (record,), _ = run_once(where, output, ["report", "denoised"], denoiser(models))
    assert record.state == "scored" and "Enhanced CT object" in record.reason
    assert counted(archive) == {"CT": 1, "SR": 1}


def test_a_failure_later_does_not_bring_the_report_a_second_time(archive, models, tmp_path, monkeypatch):
    """The report was filed in March; in May the memory is not enough to denoise; a third run must file no other."""
    store(archive, write_series(tmp_path / "ct", noisy_patient(2, 64)))
    where, output, wanted = WAYS["DICOMweb"](archive), BatchFolder(tmp_path / "out"), denoiser(models)
    run_once(where, output, ["report"])
    with monkeypatch.context() as short:
        short.setattr("CTQualityAssessmentLib.pacs.series.write_denoised", out_of_memory)
        (failed,), _ = run_once(where, output, ["report", "denoised"], wanted)
    assert (failed.state, failed.made) == ("failed", ("report",)) and "memory" in failed.reason
    assert run_once(where, output, ["report", "denoised"], wanted)[0] == []
    (done,), _ = run_once(where, output, ["report", "denoised"], wanted, retry=True)
    assert done.state == "scored" and counted(archive) == {"CT": 4, "SR": 1}
    # Another strength is another series, and no second report either.
    (other,), _ = run_once(where, output, ["report", "denoised"], replace(wanted, strength=0.5))
    assert other.state == "scored" and counted(archive) == {"CT": 6, "SR": 1}
    assert run_once(where, output, ["report", "denoised"], wanted)[0] == []
    assert run_once(where, output, ["report"])[0] == []


def out_of_memory(*_):
    raise MemoryError
