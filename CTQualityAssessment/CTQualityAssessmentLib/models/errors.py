"""What can be wrong with a model bundle."""

from __future__ import annotations

from CTQualityAssessmentLib.errors import CTQAError


class BundleError(CTQAError):
    """The bundle cannot be used."""


class UnknownBundle(BundleError):
    """No bundle of that name is installed."""


class DamagedBundle(BundleError):
    """A file of the bundle is missing, unreadable or not the one its metadata describes."""


class UnsafeBundle(BundleError):
    """The bundle holds something that this program never loads, such as a pickle."""


class DeviceUnavailable(CTQAError):
    """The device that was asked for is not there."""


class WrongTask(BundleError):
    """The bundle is for something else, such as a denoiser where a score was asked for."""
