"""Denoising of a volume, what it changes, and whether lesions survive it."""

from CTQualityAssessmentLib.assessment.denoising.comparison import (
    before_and_after,
    spectra_before_and_after,
    tissue_bias,
)
from CTQualityAssessmentLib.assessment.denoising.engine import Denoising, NotDenoisableError, denoise_volume, residual
from CTQualityAssessmentLib.assessment.denoising.examination import (
    Examination,
    examine,
    report_of,
)
from CTQualityAssessmentLib.assessment.denoising.findings import find_lesions
from CTQualityAssessmentLib.assessment.denoising.guard import lesions_kept, slice_denoiser
from CTQualityAssessmentLib.assessment.denoising.strength import blend

__all__ = [
    "Denoising",
    "Examination",
    "NotDenoisableError",
    "before_and_after",
    "blend",
    "denoise_volume",
    "examine",
    "find_lesions",
    "lesions_kept",
    "report_of",
    "residual",
    "slice_denoiser",
    "spectra_before_and_after",
    "tissue_bias",
]
