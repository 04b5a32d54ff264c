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

__all__ = [
    "DEFAULT_BUNDLE",
    "BundleInfo",
    "LoadedModel",
    "find_bundle",
    "installed_bundles",
    "load_bundle",
    "read_bundle",
    "verify_bundle",
]
