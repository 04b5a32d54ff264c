"""From files to a :class:`~CTQualityAssessmentLib.volume.Volume`; every defect has its own error or warning."""

from CTQualityAssessmentLib.reading.discovery import FoundInput, find_inputs
from CTQualityAssessmentLib.reading.errors import ReadingError
from CTQualityAssessmentLib.reading.originals import Original, Originals, originals
from CTQualityAssessmentLib.reading.reader import list_series, read_volume, read_with_source
from CTQualityAssessmentLib.reading.series import SeriesInfo
from CTQualityAssessmentLib.reading.source import SourceSeries, SourceSlice
from CTQualityAssessmentLib.reading.wanted import CT_ONLY, Wanted

__all__ = [
    "CT_ONLY",
    "Wanted",
    "FoundInput",
    "Original",
    "Originals",
    "ReadingError",
    "SeriesInfo",
    "SourceSeries",
    "SourceSlice",
    "find_inputs",
    "list_series",
    "originals",
    "read_volume",
    "read_with_source",
]
