"""Names of the networks that a bundle may ask for; free of torch, so that bundles can be listed without it."""

from __future__ import annotations

#: See :func:`~CTQualityAssessmentLib.networks.registry.build_slice_scorer`.
SLICE_SCORERS = ("clinreadnet", "tfkt")
#: See :func:`~CTQualityAssessmentLib.networks.registry.build_volume_scorer`.
VOLUME_SCORERS = ("cmmiqa",)
#: See :func:`~CTQualityAssessmentLib.networks.registry.build_denoiser`.
DENOISERS = ("light-denoiser", "red-cnn")
