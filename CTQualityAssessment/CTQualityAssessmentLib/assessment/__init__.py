"""From a volume and a model to an assessment."""

from CTQualityAssessmentLib.assessment.body import body_mask, patient_mask
from CTQualityAssessmentLib.assessment.prompting import Told
from CTQualityAssessmentLib.assessment.summary import summarise
from CTQualityAssessmentLib.assessment.volume_scoring import assess_volume, default_batch_size, software_versions

__all__ = ["Told", "assess_volume", "body_mask", "default_batch_size", "patient_mask", "software_versions", "summarise"]
