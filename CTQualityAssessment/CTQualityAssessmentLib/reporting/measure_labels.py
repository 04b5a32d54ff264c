"""How physical measures are named and read, in English: whoever shows a label translates it."""

from __future__ import annotations

from dataclasses import dataclass

from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)


@dataclass(frozen=True)
class MeasureWords:
    """Field name, label, unit, decimals, and one line on how to read the figure."""

    name: str
    label: str
    unit: str
    decimals: int
    how_to_read: str


MEASURE_WORDS: tuple[MeasureWords, ...] = (
    MeasureWords(
        "noise_hu",
        _("Global noise level"),
        "HU",
        1,
        _(
            "The local standard deviation that soft tissue has most often. Lower is quieter; a sharper kernel or a "
            "thinner slice raises it at the same dose."
        ),
    ),
    MeasureWords(
        "snr",
        _("SNR of muscle"),
        "",
        1,
        _("Mean HU of soft tissue in the range of muscle over the noise. Higher is better."),
    ),
    MeasureWords(
        "cnr",
        _("CNR of muscle to fat"),
        "",
        1,
        _("Difference between muscle and fat over the noise. Higher is better; it can be compared between scans."),
    ),
    MeasureWords(
        "nps_peak_per_mm",
        _("NPS peak frequency"),
        "1/mm",
        2,
        _(
            "Where the noise power spectrum is highest. Lower means coarser grain; a drop at equal kernel points to "
            "iterative or learned reconstruction."
        ),
    ),
    MeasureWords(
        "nps_mean_per_mm",
        _("NPS mean frequency"),
        "1/mm",
        2,
        _("Average frequency of the noise: its texture as one figure. Anatomy inside the regions lowers it."),
    ),
    MeasureWords(
        "edge_10_90_mm",
        _("Edge sharpness (10-90 %)"),
        "mm",
        2,
        _(
            "Distance over which the skin's edge rises from 10 % to 90 %. Smaller is sharper; slanted skin widens it "
            "in thick slices."
        ),
    ),
    MeasureWords(
        "streak_index",
        _("Streak index"),
        "",
        2,
        _(
            "Noise of the open air beside the patient over that of soft tissue. About 0.5 without streaks, whatever "
            "the dose; over about 0.8 streaks reach beyond the skin."
        ),
    ),
    MeasureWords(
        "water_equivalent_diameter_mm",
        _("Water-equivalent diameter"),
        "mm",
        0,
        _(
            "Diameter of the water cylinder that attenuates like the patient (AAPM Report 220). Larger patients are "
            "noisier at equal dose."
        ),
    ),
    MeasureWords(
        "ssde_mgy",
        _("SSDE"),
        "mGy",
        1,
        _("Size-specific dose estimate (AAPM Reports 204 and 220): dose to a patient of this size, not to a phantom."),
    ),
)
