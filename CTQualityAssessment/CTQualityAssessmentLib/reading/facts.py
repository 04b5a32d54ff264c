"""Acquisition facts from the headers of a stack."""

from __future__ import annotations

import re
import statistics

from CTQualityAssessmentLib.prompts import organ_in
from CTQualityAssessmentLib.reading.frames import Frame
from CTQualityAssessmentLib.reading.stacks import Stack
from CTQualityAssessmentLib.volume import AcquisitionFacts, ScanOrigin, SliceExposure

_NO_CONTRAST = {"NONE", "NO", "N", "WITHOUT", "NO CONTRAST", "NATIVE"}


def stack_facts(stack: Stack) -> AcquisitionFacts:
    """What the headers say. Tube current, mAs and CTDIvol are medians over the slices, the rest is the first slice's.

    Empty values and zeros where a scanner cannot mean zero are absent. Siemens writes the strength of its iterative
    reconstruction as a second kernel value, GE and Philips in private elements.
    """
    first = stack.frames[0]
    return AcquisitionFacts(
        modality=first.text("Modality") or "CT",
        manufacturer=first.text("Manufacturer"),
        scanner_model=first.text("ManufacturerModelName"),
        body_part=first.text("BodyPartExamined"),
        kvp=first.positive("KVP"),
        tube_current_ma=_median(stack, "XRayTubeCurrent"),
        exposure_mas=_median(stack, "Exposure"),
        ctdivol_mgy=_median(stack, "CTDIvol"),
        ctdi_phantom_cm=_phantom(stack),
        kernel=first.text("ConvolutionKernel"),
        reconstruction=_reconstruction(first),
        slice_thickness_mm=first.positive("SliceThickness"),
        reconstruction_diameter_mm=first.positive("ReconstructionDiameter"),
        gantry_tilt_deg=first.number("GantryDetectorTilt"),
        contrast=_contrast(first),
        described_organ=organ_in(first.text("SeriesDescription")) or organ_in(first.text("ProtocolName")),
    )


def stack_origin(stack: Stack) -> ScanOrigin:
    """Month of the acquisition, else of the study, and serial number, else name, of the scanner."""
    first = stack.frames[0]
    dates = (first.text("AcquisitionDate"), first.text("StudyDate"))
    month = next((date for date in dates if re.fullmatch(r"[12][0-9]{3}(0[1-9]|1[0-2])[0-9]{2}", date or "")), None)
    return ScanOrigin(
        month and f"{month[:4]}-{month[4:6]}", first.text("DeviceSerialNumber") or first.text("StationName")
    )


def stack_exposures(stack: Stack) -> tuple[SliceExposure, ...]:
    """Tube current, mAs and CTDIvol of every slice of the volume; empty where no header has any of them.

    A slot without a frame, where a slice is missing, has none of the three.
    """
    nothing = SliceExposure()
    found = [nothing] * (stack.slots[-1] + 1)
    for slot, frame in zip(stack.slots, stack.frames, strict=True):
        found[slot] = SliceExposure(
            frame.positive("XRayTubeCurrent"), frame.positive("Exposure"), frame.positive("CTDIvol")
        )
    return () if all(one == nothing for one in found) else tuple(found)


def _phantom(stack: Stack) -> float | None:
    """Diameter of the CTDI phantom in cm; None where slices do not say it or disagree."""
    named = {frame.positive("CTDIPhantomDiameter") for frame in stack.frames}
    return named.pop() if len(named) == 1 else None


def _median(stack: Stack, keyword: str) -> float | None:
    values = [value for frame in stack.frames if (value := frame.positive(keyword)) is not None]
    return statistics.median(values) if values else None


def _reconstruction(frame: Frame) -> str | None:
    for keyword in ("VendorReconstruction", "IterativeReconstructionMethod", "ReconstructionAlgorithm"):
        if value := frame.text(keyword):
            return value
    level = frame.positive("VendorReconstructionLevel")
    if level is not None:
        return f"iDose {level:g}"
    kernel = frame.texts("ConvolutionKernel")
    if len(kernel) == 2 and kernel[1].isdigit() and "SIEMENS" in (frame.text("Manufacturer") or "").upper():
        return f"iterative, strength {kernel[1]}"
    return None


def _contrast(frame: Frame) -> bool | None:
    agent = frame.text("ContrastBolusAgent")
    return None if agent is None else agent.upper() not in _NO_CONTRAST
