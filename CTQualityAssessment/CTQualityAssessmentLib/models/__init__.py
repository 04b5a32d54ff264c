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
from CTQualityAssessmentLib.models.store import add_bundle, remove_bundle, why_not_removable

__all__ = [
    "DEFAULT_BUNDLE",
    "BundleInfo",
    "LoadedModel",
    "add_bundle",
    "find_bundle",
    "installed_bundles",
    "load_bundle",
    "read_bundle",
    "remove_bundle",
    "verify_bundle",
    "why_not_removable",
]
