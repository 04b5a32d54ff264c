"""Image quality by physics alone: noise, contrast, texture, sharpness, streaks and size, without a network."""

from CTQualityAssessmentLib.assessment.measures.volume_measures import measure_volume

__all__ = ["measure_volume"]
