"""Bundles of weights with their metadata."""

from CTQualityAssessmentLib.models.bundles import (
    DEFAULT_BUNDLE,
    BundleInfo,
    LoadedModel,
    find_bundle,
    installed_bundles,
    load_bundle,
    read_bundle,
    verify_bundle,
)
from CTQualityAssessmentLib.models.denoisers import DEFAULT_DENOISER, LoadedDenoiser, load_denoiser
from CTQualityAssessmentLib.models.store import add_bundle, remove_bundle, why_not_removable

__all__ = [
    "DEFAULT_BUNDLE",
    "DEFAULT_DENOISER",
    "BundleInfo",
    "LoadedDenoiser",
    "LoadedModel",
    "add_bundle",
    "find_bundle",
    "installed_bundles",
    "load_bundle",
    "load_denoiser",
    "read_bundle",
    "remove_bundle",
    "verify_bundle",
    "why_not_removable",
]
