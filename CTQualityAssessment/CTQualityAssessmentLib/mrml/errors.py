"""What can be wrong with a scene or a node that a user hands in."""

from __future__ import annotations

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)


class UnsuitableNodeError(CTQAError):
    """The node holds no scalar volume that could be read in Hounsfield units."""


class NonLinearTransformError(CTQAError):
    """The volume is under a transform that bends its grid, so that it has no affine geometry."""

    def __init__(self) -> None:
        super().__init__(
            _("The volume is under a non-linear transform, so its slices are not flat."),
            _("Take it out of the transform, or resample it onto a straight grid first."),
        )


class AssessmentMismatchError(CTQAError):
    """The assessment was made on a volume of another size than the node it is to be shown on."""

    def __init__(self) -> None:
        super().__init__(
            _("The assessment belongs to a volume with another number of voxels."),
            _("Choose the volume that was assessed, or assess this one."),
        )


class SceneFileError(CTQAError):
    """A scene bundle could not be written or read."""
