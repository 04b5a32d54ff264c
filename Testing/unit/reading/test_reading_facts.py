"""Acquisition facts: what the scanner did not say must stay unknown, never become a number."""

from __future__ import annotations

import numpy as np
import pytest
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.volume import AcquisitionFacts, SliceExposure
from pydicom import Dataset
from pydicom.dataelem import DataElement

from Testing.dicom_factory import FACTS, body, enhanced_dataset, put, save, write_series


def test_facts_come_from_the_headers(tmp_path):
    write_series(
        tmp_path, body(5), ContrastBolusAgent="APPLIED", change=lambda k, ds: put(ds, XRayTubeCurrent=100 + 10 * k)
    )
    assert read_volume(tmp_path).facts == AcquisitionFacts(
        modality="CT",
        manufacturer="Maker",
        scanner_model="Model 1",
        body_part="ABDOMEN",
        kvp=120.0,
        tube_current_ma=120.0,  # the median over the slices: the current follows the patient
        exposure_mas=150.0,
        ctdivol_mgy=7.5,
        kernel="B30f",
        slice_thickness_mm=3.0,
        reconstruction_diameter_mm=400.0,
        gantry_tilt_deg=0.0,
        contrast=True,
    )


@pytest.mark.parametrize("value", [None, ""])
def test_absent_and_empty_facts_are_unknown(tmp_path, value):
    write_series(tmp_path, body(), **dict.fromkeys(FACTS, value), ContrastBolusAgent=value)
    assert read_volume(tmp_path).facts.known() == {"modality": "CT"}


def test_zeros_and_nonsense_are_unknown(tmp_path):
    """0 kV and 0 mAs are what some exports write for "not known"."""
    nothing = dict.fromkeys(("KVP", "XRayTubeCurrent", "Exposure", "CTDIvol", "SliceThickness"), 0)

    def change(k, dataset):
        # raw bytes, as a broken exporter would write them
        dataset[0x00181100] = DataElement(0x00181100, "LO", "four hundred")

    write_series(tmp_path, body(), change=change, **nothing)
    facts = read_volume(tmp_path).facts
    known = facts.known()
    assert not {"kvp", "tube_current_ma", "exposure_mas", "ctdivol_mgy", "slice_thickness_mm"} & set(known)
    assert facts.reconstruction_diameter_mm is None
    assert facts.gantry_tilt_deg == 0.0, "an upright gantry is a fact"


@pytest.mark.parametrize(("agent", "contrast"), [("NONE", False), ("Omnipaque", True), ("", None)])
def test_contrast(tmp_path, agent, contrast):
    write_series(tmp_path, body(), ContrastBolusAgent=agent)
    assert read_volume(tmp_path).facts.contrast is contrast


def test_iterative_reconstruction_of_three_vendors(tmp_path):
    """A score of an iterative image is read differently, so the strength must not be lost."""

    def ge(k, dataset):
        dataset.private_block(0x0053, "GEHC_CT_ADVAPP_001", create=True).add_new(0x42, "LO", "SS50")

    def philips(k, dataset):
        dataset.private_block(0x01F7, "ELSCINT1", create=True).add_new(0x9B, "IS", "4")

    write_series(tmp_path / "ge", body(), change=ge)
    write_series(tmp_path / "philips", body(), change=philips)
    write_series(tmp_path / "siemens", body(), Manufacturer="SIEMENS", ConvolutionKernel=["Br38f", "3"])
    found = {folder.name: read_volume(folder).facts for folder in tmp_path.iterdir()}
    assert {name: facts.reconstruction for name, facts in found.items()} == {
        "ge": "SS50",
        "philips": "iDose 4",
        "siemens": "iterative, strength 3",
    }
    assert found["siemens"].kernel == "Br38f"


def _phantom(code, scheme="DCM"):
    return [put(Dataset(), CodeValue=code, CodingSchemeDesignator=scheme, CodeMeaning="A phantom")]


def test_dose_is_kept_slice_by_slice(tmp_path):
    """The current follows the patient; the median alone would hide where the dose was saved."""

    def change(k, dataset):
        put(dataset, XRayTubeCurrent=100 + 10 * k, CTDIvol=None if k == 2 else 5.0 + k)

    write_series(tmp_path, body(4), change=change, Exposure=None)
    assert read_volume(tmp_path).exposures == (
        SliceExposure(100.0, None, 5.0),
        SliceExposure(110.0, None, 6.0),
        SliceExposure(120.0),
        SliceExposure(130.0, None, 8.0),
    )


def test_a_missing_slice_has_no_dose_and_shifts_no_other(tmp_path):
    """A gap in the series must not move the dose of one slice to its neighbour."""
    positions = [(-10.0, -20.0, 2.5 * n) for n in range(30) if n != 20]
    write_series(
        tmp_path,
        body(29),
        positions=positions,
        change=lambda k, ds: put(ds, XRayTubeCurrent=int(2 * positions[k][2]) + 100),
    )
    exposures = read_volume(tmp_path).exposures
    assert len(exposures) == 30 and exposures[20] == SliceExposure()
    assert all(one.tube_current_ma == 5 * n + 100 for n, one in enumerate(exposures) if n != 20)


def test_headers_without_dose_give_no_exposures(tmp_path):
    """A row of empty entries would be drawn as a curve of nothing."""
    write_series(tmp_path, body(), **dict.fromkeys(("XRayTubeCurrent", "Exposure", "CTDIvol")))
    assert read_volume(tmp_path).exposures == ()


@pytest.mark.parametrize(
    ("phantom", "diameter"),
    [
        (_phantom("113690"), 16),
        (_phantom("113691"), 32),
        (_phantom("113682"), None),
        (_phantom("113691", "99LOCAL"), None),
        (None, None),
    ],
)
def test_phantom_of_the_dose_index(tmp_path, phantom, diameter):
    """CTDIvol of the 16 cm phantom is about twice that of the 32 cm phantom: taking one for the other halves a dose."""
    write_series(tmp_path, body(), change=lambda k, ds: put(ds, CTDIPhantomTypeCodeSequence=phantom))
    assert read_volume(tmp_path).facts.ctdi_phantom_cm == diameter


def test_slices_that_disagree_on_the_phantom_have_none(tmp_path):
    """Half of the slices would get a dose that is wrong by a factor of two."""

    def change(k, dataset):
        put(dataset, CTDIPhantomTypeCodeSequence=_phantom("113690" if k else "113691"))

    write_series(tmp_path, body(), change=change)
    assert read_volume(tmp_path).facts.ctdi_phantom_cm is None


def test_a_broken_phantom_code_costs_no_image(tmp_path):
    """One odd element must not make a patient's series unreadable."""

    def change(k, dataset):
        dataset[0x00189346] = DataElement(0x00189346, "LO", "body")

    write_series(tmp_path, body(), change=change)
    assert read_volume(tmp_path).facts.ctdi_phantom_cm is None


def test_enhanced_ct_gives_dose_and_phantom_too(tmp_path):
    """The newer object nests them; a site that switches must not lose its dose curve."""
    hu = body(4)
    dataset = enhanced_dataset(np.asarray(hu), order=[2, 0, 3, 1])
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        frame.CTExposureSequence[0].CTDIPhantomTypeCodeSequence = _phantom("113691")
    save(dataset, tmp_path / "enhanced.dcm")
    volume = read_volume(tmp_path)
    assert [one.tube_current_ma for one in volume.exposures] == [100.0, 101.0, 102.0, 103.0]
    assert volume.exposures[0].ctdivol_mgy == 5.0 and volume.facts.ctdi_phantom_cm == 32
