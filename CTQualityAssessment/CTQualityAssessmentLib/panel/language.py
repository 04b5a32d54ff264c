"""The language of the application, for the texts of the whole library."""

from __future__ import annotations

from slicer.i18n import getContext, translate

# Their texts come from the worker as they are written: whoever marks them has to be known here.
from CTQualityAssessmentLib.assessment import denoising, volume_scoring  # noqa: F401
from CTQualityAssessmentLib.translation import use_translator
from CTQualityAssessmentLib.worker import denoising as worker_denoising  # noqa: F401
from CTQualityAssessmentLib.worker import faults, loop  # noqa: F401


def speak_application_language() -> None:
    """Let texts of the library be translated by the application's catalogues, each under the name of its file."""
    use_translator(lambda file, text: translate(getContext(file), text))
