"""Texts of an assessment that travel into files before anybody shows them, so they stay in English here."""

from __future__ import annotations

from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)

DISCLAIMER = _("A research tool, not a medical device; do not judge denoised images by this score alone.")

#: Acquisition facts as a reader expects them: name, label, unit.
FACT_LABELS: tuple[tuple[str, str, str], ...] = (
    ("manufacturer", _("Vendor"), ""),
    ("scanner_model", _("Scanner"), ""),
    ("body_part", _("Body part"), ""),
    ("kvp", _("Tube voltage"), "kV"),
    ("tube_current_ma", _("Tube current"), "mA"),
    ("exposure_mas", _("Exposure"), "mAs"),
    ("ctdivol_mgy", _("CTDIvol"), "mGy"),
    ("ctdi_phantom_cm", _("CTDI phantom"), "cm"),
    ("kernel", _("Kernel"), ""),
    ("reconstruction", _("Reconstruction"), ""),
    ("slice_thickness_mm", _("Slice thickness"), "mm"),
    ("reconstruction_diameter_mm", _("Field of view"), "mm"),
    ("gantry_tilt_deg", _("Gantry tilt"), "°"),
    ("contrast", _("Contrast agent"), ""),
)
