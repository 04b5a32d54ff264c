"""Acquisition facts: what the scanner did not say must stay unknown, never become a number."""

from __future__ import annotations

import pytest
from CTQualityAssessmentLib.reading import read_volume
from CTQualityAssessmentLib.volume import AcquisitionFacts
from pydicom.dataelem import DataElement

from Testing.dicom_factory import FACTS, body, put, write_series


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
