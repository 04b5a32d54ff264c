"""The language of the application, for the texts of the whole library."""

from __future__ import annotations

import slicer
from slicer.i18n import getContext, translate

# Their texts come from the worker as they are written: whoever marks them has to be known here.
from CTQualityAssessmentLib.assessment import denoising, volume_scoring  # noqa: F401
from CTQualityAssessmentLib.translation import use_translator
from CTQualityAssessmentLib.worker import denoising as worker_denoising  # noqa: F401
from CTQualityAssessmentLib.worker import faults, loop  # noqa: F401


def speak_application_language() -> None:
    """Let texts of the library be translated by the application's catalogues, each under the name of its file."""
    use_translator(None if _in_english() else lambda file, text: translate(getContext(file), text))


def _in_english() -> bool:
    """Whether the application loaded no catalogue, by the settings that tell it which; a change asks for a restart.

    Where they do not tell, it is asked for translations: that takes longer, but is never wrong.
    """
    if not hasattr(slicer, "app"):
        return False
    settings = slicer.app.userSettings()
    switched_off = str(settings.value("Internationalization/Enabled", True)).lower() in ("false", "0")
    return switched_off or str(settings.value("language", "")).lower().startswith("en")
