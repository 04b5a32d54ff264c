"""The coded terms of the report and the maps: standard ones where the standard has the concept, else our own scheme."""

from __future__ import annotations

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

SCHEME = "99CTQA"

REPORT = Code("126000", "DCM", "Imaging Measurement Report")
PROCEDURE = Code("133887000", "SCT", "Image quality analysis")
COMMENT = Code("121106", "DCM", "Comment")

#: PS3.16 gives this rating the range 0 (worst) to 100 (best): the score times 25.
QUALITY_RATING = Code("111029", "DCM", "Image Quality Rating")
RATING_UNIT = Code("{0:100}", "UCUM", "range: 0:100")
RATING_PER_SCORE = 25.0
SLICE_QUALITY = Code("111101", "DCM", "Image Quality")
SERIES_QUALITY = Code("130550", "DCM", "Imaging Series Quality")

#: The score as everything else that this package writes has it.
SCORE = Code("score", SCHEME, "CT image quality score")
SCORE_UNIT = Code("{0:4}", "UCUM", "range: 0:4")
SHARE_BELOW_FAIR = Code("share-below-fair", SCHEME, "Share of scored slices below Fair")
SLICES_SCORED = Code("slices-scored", SCHEME, "Number of slices scored")
SLICES_REFUSED = Code("slices-refused", SCHEME, "Number of slices without a score")

#: Likert words. CID 3114 has three of the five.
WORDS: dict[str, Code] = {
    "Bad": Code("bad", SCHEME, "Bad image quality"),
    "Poor": Code("122742", "DCM", "Poor image quality"),
    "Fair": Code("fair", SCHEME, "Fair image quality"),
    "Good": Code("122741", "DCM", "Good image quality"),
    "Excellent": Code("122740", "DCM", "Excellent image quality"),
}

MEAN = Code("373098007", "SCT", "Mean")
MEDIAN = Code("373099004", "SCT", "Median")
MINIMUM = Code("255605001", "SCT", "Minimum")
MAXIMUM = Code("56851009", "SCT", "Maximum")
STANDARD_DEVIATION = Code("386136009", "SCT", "Standard Deviation")
PERCENTILE_10 = Code("371890005", "SCT", "10th Percentile Value of population")

#: Why a number is absent (CID 42). A coded item of its own, because highdicom cannot read the standard's way, a numeric
#: item without a value.
NO_SCORE = Code("no-score", SCHEME, "Reason for the absence of a score")
NOT_ATTEMPTED = Code("114007", "DCM", "Measurement not attempted")
FAILURE = Code("114006", "DCM", "Measurement failure")

ONE = codes.UCUM.NoUnits
PERCENT = Code("%", "UCUM", "percent")
_HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
_PER_MM = Code("/mm", "UCUM", "per millimeter")
_MM = Code("mm", "UCUM", "millimeter")
_MGY = Code("mGy", "UCUM", "milligray")

#: Name and unit of the physical measures, by field of ``VolumeMeasures``.
MEASURES: dict[str, tuple[Code, Code]] = {
    "noise_hu": (Code("noise", SCHEME, "Global noise level"), _HU),
    "snr": (Code("113060", "DCM", "Signal to noise"), ONE),
    "cnr": (Code("cnr", SCHEME, "Contrast to noise ratio of muscle to fat"), ONE),
    "nps_peak_per_mm": (Code("nps-peak", SCHEME, "Peak frequency of the noise power spectrum"), _PER_MM),
    "nps_mean_per_mm": (Code("nps-mean", SCHEME, "Mean frequency of the noise power spectrum"), _PER_MM),
    "edge_10_90_mm": (Code("edge-10-90", SCHEME, "10-90 % distance of the edge of the skin"), _MM),
    "streak_index": (Code("streak-index", SCHEME, "Streak index"), ONE),
    "water_equivalent_diameter_mm": (Code("113980", "DCM", "Water Equivalent Diameter"), _MM),
    "ssde_mgy": (Code("113930", "DCM", "Size Specific Dose Estimate"), _MGY),
}

#: What a map of each kind holds.
MAPS = {
    "attention": Code("attention", SCHEME, "Attention relative to an even spread"),
    "grad-cam": Code("grad-cam", SCHEME, "Grad-CAM relative to an even spread"),
}


def our_scheme() -> CodingSchemeIdentificationItem:
    """Says what the codes with our designator are."""
    return CodingSchemeIdentificationItem(
        SCHEME, name="CTQualityAssessment local codes", responsible_organization="CTQualityAssessment"
    )
