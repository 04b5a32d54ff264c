"""How physical measures are named, written and read, shared by the table, the web page and the command line."""

from __future__ import annotations

from dataclasses import dataclass

from CTQualityAssessmentLib.measures import PhysicalMeasures, SliceMeasures, VolumeMeasures
from CTQualityAssessmentLib.translation import marks_of, said, texts_of

_, _mark = texts_of(__file__), marks_of(__file__)


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
        _mark("Global noise level"),
        "HU",
        1,
        _mark(
            "The local standard deviation that soft tissue has most often. Lower is quieter; a sharper kernel or a "
            "thinner slice raises it at the same dose."
        ),
    ),
    MeasureWords(
        "snr",
        _mark("SNR of muscle"),
        "",
        1,
        _mark("Mean HU of soft tissue in the range of muscle over the noise. Higher is better."),
    ),
    MeasureWords(
        "cnr",
        _mark("CNR of muscle to fat"),
        "",
        1,
        _mark("Difference between muscle and fat over the noise. Higher is better; it can be compared between scans."),
    ),
    MeasureWords(
        "nps_peak_per_mm",
        _mark("NPS peak frequency"),
        "1/mm",
        2,
        _mark(
            "Where the noise power spectrum is highest. Lower means coarser grain; a drop at equal kernel points to "
            "iterative or learned reconstruction."
        ),
    ),
    MeasureWords(
        "nps_mean_per_mm",
        _mark("NPS mean frequency"),
        "1/mm",
        2,
        _mark("Average frequency of the noise: its texture as one figure. Anatomy inside the regions lowers it."),
    ),
    MeasureWords(
        "edge_10_90_mm",
        _mark("Edge sharpness (10-90 %)"),
        "mm",
        2,
        _mark(
            "Distance over which the skin's edge rises from 10 % to 90 %. Smaller is sharper; slanted skin widens it "
            "in thick slices."
        ),
    ),
    MeasureWords(
        "streak_index",
        _mark("Streak index"),
        "",
        2,
        _mark(
            "Noise of the open air beside the patient over that of soft tissue. About 0.5 without streaks, whatever "
            "the dose; over about 0.8 streaks reach beyond the skin."
        ),
    ),
    MeasureWords(
        "water_equivalent_diameter_mm",
        _mark("Water-equivalent diameter"),
        "mm",
        0,
        _mark(
            "Diameter of the water cylinder that attenuates like the patient (AAPM Report 220). Larger patients are "
            "noisier at equal dose."
        ),
    ),
    MeasureWords(
        "ssde_mgy",
        _mark("SSDE"),
        "mGy",
        1,
        _mark(
            "Size-specific dose estimate (AAPM Reports 204 and 220): dose to a patient of this size, not to a phantom."
        ),
    ),
)


def value_text(words: MeasureWords, measured: SliceMeasures | VolumeMeasures) -> str:
    """The figure with its unit, "n/a" where there is none."""
    return number_text(words, getattr(measured, words.name))


def number_text(words: MeasureWords, value: float | None) -> str:
    """A number in the figure's decimals and unit."""
    return _("n/a") if value is None else f"{value:.{words.decimals}f} {words.unit}".strip()


def reason_text(words: MeasureWords, measures: PhysicalMeasures) -> str | None:
    """Why the volume has no such figure; None where it has one."""
    code = measures.volume.missing.get(words.name)
    return None if code is None else said(measures.reasons[code])


def range_text(words: MeasureWords, measured: VolumeMeasures) -> str:
    """From the 10th to the 90th percentile of the slices, for example "9.1 to 12.4"; empty where there is none."""
    limits = measured.slice_percentiles.get(words.name)
    if limits is None:
        return ""
    low, high = (f"{value:.{words.decimals}f}" for value in limits)
    return _("{low} to {high}").format(low=low, high=high)
