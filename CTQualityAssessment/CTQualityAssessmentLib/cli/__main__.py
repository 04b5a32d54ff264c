"""``python -m CTQualityAssessmentLib.cli``."""

from CTQualityAssessmentLib.cli import main

main()
