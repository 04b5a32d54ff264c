"""How physical measures are written, shared by the table, the web page and the command line."""

from __future__ import annotations

from CTQualityAssessmentLib.measures import PhysicalMeasures, SliceMeasures, VolumeMeasures
from CTQualityAssessmentLib.reporting.measure_labels import MeasureWords
from CTQualityAssessmentLib.translation import said, texts_of

_ = texts_of(__file__)


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
